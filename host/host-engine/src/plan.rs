//! Chooses how many tokens each running sequence runs in the next step.
//!
//! Running sequences decode first, because a client watches each of their tokens; what is left of
//! the step's tokens goes to prefill, in chunks. Beside sequences that decode prefill gets only so
//! many tokens that nobody sees a pause. The first prompt gets most of them, and prompts with much
//! less to run share a part, so that a short one need not sit out a very long one. Drafts get
//! what is left after all that. Who has blocks was decided before; it deals in counts and must not
//! look at tokens, logits or text.

use std::ops::Range;

use crate::scheduler::Scheduler;
use crate::sequence::Sequence;

/// The part of one sequence in the next step.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Index among the running sequences.
    pub(crate) sequence: usize,
    /// Position of the first token.
    pub(crate) first: usize,
    /// Tokens to run.
    pub(crate) count: usize,
    /// Prompt positions whose logits score the token that follows.
    pub(crate) scored: Range<usize>,
    /// Whether a token is chosen from the last position.
    pub(crate) samples: bool,
    /// Guesses that run after them.
    pub(crate) drafts: usize,
}

impl Chunk {
    pub(crate) fn end(&self) -> usize {
        self.first + self.count
    }

    pub(crate) fn logit_rows(&self) -> usize {
        self.scored.len() + usize::from(self.samples) + self.drafts
    }
}

/// Tokens and rows of logits that a step still has.
#[derive(Debug, Clone, Copy)]
struct Left {
    tokens: usize,
    /// Of the tokens, those kept for prompts much shorter than the first.
    for_short: usize,
    rows: usize,
}

impl Scheduler {
    pub(crate) fn plan_decode(&mut self) {
        for (index, sequence) in self.running.iter().enumerate() {
            if sequence.can_run() && sequence.decodes() {
                self.plan.push(Chunk {
                    sequence: index,
                    first: sequence.computed,
                    count: 1,
                    scored: 0..0,
                    samples: true,
                    drafts: 0,
                });
            }
        }
        self.stats.decode_tokens = self.plan.len();
    }

    /// Adds prefill chunks to a plan of those that decode.
    pub(crate) fn plan_prefill(&mut self) {
        self.find_prefilling();
        let Some(&first) = self.prefilling.first() else { return };
        let first_pending = self.running[first].pending();
        let is_short = |sequence: &Sequence| sequence.pending() <= first_pending / 2;
        let mut left = self.left_for_prefill(is_short);
        for order in 0..self.prefilling.len() {
            let index = self.prefilling[order];
            let is_short = is_short(&self.running[index]);
            let tokens = if is_short { left.tokens } else { left.tokens - left.for_short };
            if tokens == 0 {
                continue;
            }
            self.copy_common(index);
            let sequence = &self.running[index];
            // Each sequence after this one may want one row.
            let others = self.prefilling.len() - order - 1;
            let chunk = prefill_chunk(index, sequence, tokens, left.rows - others);
            left.tokens -= chunk.count;
            left.rows -= chunk.logit_rows();
            if is_short {
                left.for_short = left.for_short.saturating_sub(chunk.count);
            }
            self.plan.push(chunk);
        }
    }

    /// Adds drafts to the decoding chunks of a complete plan, with what the step has left.
    pub(crate) fn plan_drafts(&mut self) {
        if self.limits.draft_tokens_max == 0 {
            return;
        }
        let tokens: usize = self.plan.iter().map(|chunk| chunk.count).sum();
        let rows: usize = self.plan.iter().map(Chunk::logit_rows).sum();
        let mut left =
            (self.limits.batch_tokens_max - tokens).min(self.limits.logit_rows_max() - rows);
        for chunk in self.plan.iter_mut().take(self.stats.decode_tokens) {
            let sequence = &mut self.running[chunk.sequence];
            chunk.drafts = sequence.make_draft(left, &self.limits, &mut self.blocks);
            left -= chunk.drafts;
            self.stats.draft_tokens += chunk.drafts;
        }
    }

    /// Lists the sequences that prefill in this step, after they took what is cached by now.
    fn find_prefilling(&mut self) {
        let block_size = self.limits.block_size as usize;
        self.prefilling.clear();
        for index in 0..self.running.len() {
            let sequence = &mut self.running[index];
            if !sequence.can_run() || sequence.decodes() {
                continue;
            }
            let first = sequence.computed;
            sequence.take_cached(&mut self.blocks, block_size);
            self.stats.prefix_hits += sequence.count_cached(first);
            let sequence = &self.running[index];
            // What another computes in this step is there for it in the next.
            let awaits = |&other: &usize| sequence.awaits(&self.running[other], block_size);
            if !self.prefilling.iter().any(awaits) {
                self.prefilling.push(index);
            }
        }
    }

    /// Lets a sequence that runs in this step begin with a copy of what is cached of its next block.
    fn copy_common(&mut self, index: usize) {
        let sequence = &mut self.running[index];
        let first = sequence.computed;
        let copy = sequence.take_common(&mut self.blocks, self.limits.block_size as usize);
        self.copies.extend(copy);
        self.stats.prefix_hits += sequence.count_cached(first);
    }

    fn left_for_prefill(&self, is_short: impl Fn(&Sequence) -> bool) -> Left {
        let decoding = self.plan.len();
        let mut tokens = self.limits.batch_tokens_max - decoding;
        if decoding > 0 {
            tokens = tokens.min(self.limits.prefill_tokens_beside_decode_max);
        }
        let later = self.prefilling[1..].iter().map(|&index| &self.running[index]);
        let short = later.filter(|sequence| is_short(sequence)).map(Sequence::pending);
        let for_short = short.sum::<usize>().min(tokens / 2);
        Left { tokens, for_short, rows: self.limits.logit_rows_max() - decoding }
    }
}

/// As much of a sequence's prefill as fits `tokens` tokens and `rows` rows of logits, both at
/// least 1.
fn prefill_chunk(index: usize, sequence: &Sequence, tokens: usize, rows: usize) -> Chunk {
    let first = sequence.computed;
    // The logits at a position score the token after it. What was scored before a preemption is
    // not scored again.
    let score_first = first.max(sequence.unscored - 1);
    let score_end = sequence.prompt_tokens - 1;
    let mut count = sequence.pending().min(tokens);
    if score_first < score_end {
        count = count.min(score_first - first + rows);
    }
    let end = first + count;
    let scored = score_first..score_end.min(end).max(score_first);
    let samples = end == sequence.tokens.len() && sequence.samples();
    Chunk { sequence: index, first, count, scored, samples, drafts: 0 }
}
