//! Chooses which sequences run in the next step, and how many of their tokens.
//!
//! Running sequences decode first, because a client watches each of their tokens; what is left of
//! the step's tokens goes to prefill, in chunks, in the order of arrival. Whoever arrived first has
//! the right to blocks: when none is free, paused sequences and then the latest arrivals give theirs
//! back and are recomputed later, so the earliest sequence always moves and every sequence ends. It
//! deals in counts and block indices and must not look at tokens, logits or text.

use std::ops::Range;

use crate::SequenceId;
use crate::blocks::BlockAllocator;
use crate::event::EngineCounts;
use crate::limits::EngineLimits;
use crate::sequence::{Fate, Sequence};

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
}

impl Chunk {
    pub(crate) fn end(&self) -> usize {
        self.first + self.count
    }

    pub(crate) fn logit_rows(&self) -> usize {
        self.scored.len() + usize::from(self.samples)
    }
}

/// All sequences that have not ended, and the blocks they hold. Both lists are in order of arrival.
#[derive(Debug)]
pub(crate) struct Scheduler {
    limits: EngineLimits,
    blocks: BlockAllocator,
    /// Sequences with blocks for all their tokens but, after they got one, the next.
    pub(crate) running: Vec<Sequence>,
    waiting: Vec<Sequence>,
    /// The next step's batch, decoding sequences first.
    pub(crate) plan: Vec<Chunk>,
    preemptions: usize,
}

impl Scheduler {
    pub(crate) fn new(limits: EngineLimits) -> Self {
        Self {
            limits,
            blocks: BlockAllocator::new(limits.block_count),
            running: Vec::with_capacity(limits.sequences_max.min(1024)),
            waiting: Vec::new(),
            plan: Vec::new(),
            preemptions: 0,
        }
    }

    /// Fills `plan` and returns how many sequences were preempted for it.
    pub(crate) fn plan(&mut self) -> usize {
        self.preemptions = 0;
        self.grow_decoding();
        self.settle_preempted();
        self.admit();
        self.plan.clear();
        self.plan_decode();
        self.plan_prefill();
        self.preemptions
    }

    pub(crate) fn enqueue(&mut self, sequence: Sequence) {
        insert_by_arrival(&mut self.waiting, sequence);
    }

    pub(crate) fn find_mut(&mut self, id: SequenceId) -> Option<&mut Sequence> {
        self.running.iter_mut().chain(&mut self.waiting).find(|sequence| sequence.id == id)
    }

    pub(crate) fn contains(&self, id: SequenceId) -> bool {
        self.running.iter().chain(&self.waiting).any(|sequence| sequence.id == id)
    }

    /// Takes a sequence out, its blocks freed.
    pub(crate) fn remove(&mut self, id: SequenceId) -> Option<Sequence> {
        let from = |list: &mut Vec<Sequence>| {
            let index = list.iter().position(|sequence| sequence.id == id)?;
            Some(list.remove(index))
        };
        let mut sequence = from(&mut self.running).or_else(|| from(&mut self.waiting))?;
        sequence.release(&mut self.blocks);
        Some(sequence)
    }

    /// Drops the sequences that ended and frees their blocks.
    pub(crate) fn reap(&mut self) {
        let blocks = &mut self.blocks;
        self.running.retain_mut(|sequence| {
            let ended = sequence.fate == Fate::Ended;
            if ended {
                sequence.release(blocks);
            }
            !ended
        });
    }

    /// Whether a step would run anything.
    pub(crate) fn has_work(&self) -> bool {
        self.running.iter().chain(&self.waiting).any(|sequence| !sequence.paused)
    }

    pub(crate) fn counts(&self) -> EngineCounts {
        let all = self.running.iter().chain(&self.waiting);
        EngineCounts {
            running: self.running.len(),
            waiting: self.waiting.len(),
            paused: all.filter(|sequence| sequence.paused).count(),
            blocks_used: self.blocks.used_count(),
            blocks_total: self.blocks.total_count(),
        }
    }

    /// Gives each decoding sequence the block of its next token, the earliest first.
    fn grow_decoding(&mut self) {
        for index in 0..self.running.len() {
            while self.needs_block(&self.running[index]) {
                match self.blocks.allocate() {
                    Some(block) => self.running[index].block_table.push(block),
                    None => self.preempt(self.victim()),
                }
            }
        }
    }

    fn needs_block(&self, sequence: &Sequence) -> bool {
        sequence.can_run()
            && sequence.block_table.len() < self.limits.blocks_for(sequence.tokens.len())
    }

    /// Who gives its blocks back: the latest paused sequence, or the latest of all.
    fn victim(&self) -> usize {
        let live = |sequence: &Sequence| sequence.fate == Fate::Live;
        let paused = self.running.iter().rposition(|sequence| sequence.paused && live(sequence));
        paused
            .or_else(|| self.running.iter().rposition(live))
            .expect("a sequence that needs a block is running, if only itself")
    }

    fn preempt(&mut self, index: usize) {
        let sequence = &mut self.running[index];
        sequence.release(&mut self.blocks);
        sequence.fate = Fate::Preempted;
        self.preemptions += 1;
    }

    /// Moves preempted sequences to those that wait.
    fn settle_preempted(&mut self) {
        let waiting = &mut self.waiting;
        for mut sequence in self.running.extract_if(.., |sequence| sequence.fate == Fate::Preempted)
        {
            sequence.fate = Fate::Live;
            insert_by_arrival(waiting, sequence);
        }
    }

    /// Lets sequences in, the earliest first and none past another, while there is room.
    ///
    /// A sequence gets the blocks of all its tokens at once, so prefill never fails half way.
    fn admit(&mut self) {
        while let Some(index) = self.waiting.iter().position(|sequence| !sequence.paused) {
            let needed = self.limits.blocks_for(self.waiting[index].tokens.len());
            if !self.make_room(needed) {
                return;
            }
            // Making room adds paused sequences to the list, maybe before this one.
            let index = self.waiting.iter().position(|sequence| !sequence.paused);
            let mut sequence = self.waiting.remove(index.expect("it was found above"));
            let blocks = std::iter::from_fn(|| self.blocks.allocate());
            sequence.block_table.extend(blocks.take(needed));
            insert_by_arrival(&mut self.running, sequence);
        }
    }

    /// Whether a sequence of `needed` blocks may run; takes blocks back from paused sequences if
    /// that lets it in, so that a slow reader holds nobody up.
    fn make_room(&mut self, needed: usize) -> bool {
        let paused = self.running.iter().filter(|sequence| sequence.paused);
        let paused_blocks: usize = paused.clone().map(|sequence| sequence.block_table.len()).sum();
        let active = self.running.len() - paused.count();
        // A block for each running sequence to grow into, or who is let in now is soon preempted.
        let wanted = needed + active;
        if active >= self.limits.sequences_max || self.blocks.free_count() + paused_blocks < wanted
        {
            return false;
        }
        while self.running.len() >= self.limits.sequences_max || self.blocks.free_count() < wanted {
            self.preempt(self.victim());
            self.settle_preempted();
        }
        true
    }

    fn plan_decode(&mut self) {
        for (index, sequence) in self.running.iter().enumerate() {
            if sequence.can_run() && sequence.decodes() {
                self.plan.push(Chunk {
                    sequence: index,
                    first: sequence.computed,
                    count: 1,
                    scored: 0..0,
                    samples: true,
                });
            }
        }
    }

    fn plan_prefill(&mut self) {
        let prefills = |sequence: &Sequence| sequence.can_run() && !sequence.decodes();
        let decoding = self.plan.len();
        let mut tokens_left = self.limits.batch_tokens_max - decoding;
        let mut rows_left = self.limits.logit_rows_max() - decoding;
        let mut others = self.running.iter().filter(|sequence| prefills(sequence)).count();
        for (index, sequence) in self.running.iter().enumerate() {
            if tokens_left == 0 {
                return;
            }
            if !prefills(sequence) {
                continue;
            }
            // Each sequence after this one may want one row.
            others -= 1;
            let chunk = prefill_chunk(index, sequence, tokens_left, rows_left - others);
            tokens_left -= chunk.count;
            rows_left -= chunk.logit_rows();
            self.plan.push(chunk);
        }
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
    Chunk { sequence: index, first, count, scored, samples }
}

fn insert_by_arrival(list: &mut Vec<Sequence>, sequence: Sequence) {
    let index = list.partition_point(|other| other.arrival < sequence.arrival);
    list.insert(index, sequence);
}
