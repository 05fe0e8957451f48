//! Chooses the next token of a sequence from one row of logits.
//!
//! The order is fixed: penalties, DRY, logit bias, the constraint, then temperature, top-k, typical,
//! top-p, min-p, XTC, then one draw that depends only on the seed and the index of the token, as
//! XTC's coin does. Greedy is one pass and allocates nothing. The row is left as it was found, so that logprobs can be taken from the raw logits. It
//! must not know of batches or schedules, or the same seed would not give the same tokens.

use crate::TokenId;
use crate::constraint::TokenSet;
use crate::dry::{Dry, Repetitions};
use crate::random;
use crate::sampling::SamplingParams;
use crate::selection::{Candidate, argmax, largest};
use crate::softmax::{Scale, Weights};
use crate::typical::Typical;

/// Most likely tokens that top-p looks at first; eight times as many follow while too few.
const NUCLEUS_FIRST: usize = 64;

/// Bit of [`Sampler::seen`] for a token of prompt or completion; the bits above count how often the
/// completion holds it.
const SEEN: u32 = 1;
const GENERATED: u32 = 2;

/// What a choice depends on beside the logits.
#[derive(Debug)]
pub(crate) struct Draw<'a> {
    pub(crate) params: &'a SamplingParams,
    /// Prompt and completion so far.
    pub(crate) history: &'a [TokenId],
    /// How many tokens of the history are the prompt.
    pub(crate) prompt_tokens: usize,
    /// Tokens that may not be chosen.
    pub(crate) suppressed: &'a [TokenId],
    /// Whether only tokens of [`Sampler::allowed`] may be chosen.
    pub(crate) constrained: bool,
}

/// Buffers reused from token to token.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    candidates: Vec<Candidate>,
    weights: Weights,
    typical: Typical,
    /// Candidates of top-k, while typical ones are chosen of them, and their logits.
    pool: Vec<Candidate>,
    pool_logits: Vec<f32>,
    repetitions: Repetitions,
    /// One entry for each token of the vocabulary, all zero between calls.
    seen: Vec<u32>,
    /// Logits changed for this draw, with their raw values.
    changed: Vec<(TokenId, f32)>,
    allowed: TokenSet,
    /// The row of a constrained draw.
    masked: Vec<f32>,
}

impl Sampler {
    /// The next token, or none if no logit is finite.
    pub(crate) fn sample(&mut self, logits: &mut [f32], draw: &Draw<'_>) -> Option<TokenId> {
        self.change(logits, draw);
        let token = if draw.constrained {
            let mut masked = std::mem::take(&mut self.masked);
            self.allowed.mask(logits, &mut masked);
            let token = self.choose(&masked, draw);
            self.masked = masked;
            token
        } else {
            self.choose(logits, draw)
        };
        // Last change first: a token can be changed more than once.
        for (token, raw) in self.changed.drain(..).rev() {
            logits[token as usize] = raw;
        }
        token
    }

    /// Buffer for other selections over the same row.
    pub(crate) fn candidates(&mut self) -> &mut Vec<Candidate> {
        &mut self.candidates
    }

    /// The tokens that may be chosen in a constrained draw.
    pub(crate) fn allowed(&mut self) -> &mut TokenSet {
        &mut self.allowed
    }

    fn change(&mut self, logits: &mut [f32], draw: &Draw<'_>) {
        if draw.params.has_penalties() {
            self.penalise(logits, draw);
        }
        if let Some(dry) = &draw.params.dry {
            self.penalise_repetitions(logits, draw, dry);
        }
        for &(token, bias) in &draw.params.logit_bias {
            self.set(logits, token, |logit| logit + bias);
        }
        for &token in draw.suppressed {
            if (token as usize) < logits.len() {
                self.set(logits, token, |_| f32::NEG_INFINITY);
            }
        }
    }

    fn set(&mut self, logits: &mut [f32], token: TokenId, new: impl FnOnce(f32) -> f32) {
        let logit = &mut logits[token as usize];
        self.changed.push((token, *logit));
        *logit = new(*logit);
    }

    fn penalise(&mut self, logits: &mut [f32], draw: &Draw<'_>) {
        self.seen.resize(logits.len(), 0);
        let (prompt, completion) = draw.history.split_at(draw.prompt_tokens);
        for &token in prompt {
            self.seen[token as usize] |= SEEN;
        }
        for &token in completion {
            let seen = &mut self.seen[token as usize];
            *seen = (*seen | SEEN) + GENERATED;
        }
        let params = draw.params;
        for &token in draw.history {
            let seen = std::mem::take(&mut self.seen[token as usize]);
            if seen == 0 {
                continue;
            }
            let count = (seen / GENERATED) as f32;
            let presence = if count > 0.0 { params.presence_penalty } else { 0.0 };
            self.set(logits, token, |logit| {
                let logit = if logit > 0.0 {
                    logit / params.repetition_penalty
                } else {
                    logit * params.repetition_penalty
                };
                logit - presence - count * params.frequency_penalty
            });
        }
    }

    fn penalise_repetitions(&mut self, logits: &mut [f32], draw: &Draw<'_>, dry: &Dry) {
        let mut repetitions = std::mem::take(&mut self.repetitions);
        repetitions.each(dry, draw.history, logits.len(), |token, penalty| {
            self.set(logits, token, |logit| logit - penalty);
        });
        self.repetitions = repetitions;
    }

    fn choose(&mut self, logits: &[f32], draw: &Draw<'_>) -> Option<TokenId> {
        let best = argmax(logits)?;
        let params = draw.params;
        if params.temperature == 0.0 {
            return Some(best.token);
        }
        let index = (draw.history.len() - draw.prompt_tokens) as u64;
        let scale = Scale { max: best.logit, temperature: params.temperature };
        let limited = params.top_k > 0 && params.top_k < logits.len();
        let in_order = !limited && params.typical_p >= 1.0 && params.top_p >= 1.0;
        if in_order {
            // In the order of tokens: nothing has to be sorted.
            self.weights.weigh(logits, scale, params.min_p);
        } else {
            self.find_candidates(logits, scale, params, limited);
        }
        if params.has_xtc() && random::coin(params.seed, index) < f64::from(params.xtc_probability)
        {
            self.weights.exclude_top(params.xtc_threshold);
        }
        let picked = self.weights.pick(random::unit(params.seed, index));
        Some(if in_order { picked as TokenId } else { self.candidates[picked].token })
    }

    /// The tokens that top-k, typical, top-p and min-p leave, the most likely first.
    fn find_candidates(
        &mut self,
        logits: &[f32],
        scale: Scale,
        params: &SamplingParams,
        limited: bool,
    ) {
        if limited {
            largest(logits, params.top_k, &mut self.candidates);
        }
        if params.typical_p < 1.0 {
            self.keep_typical(logits, scale, params.typical_p, limited);
        } else if !limited {
            self.find_nucleus(logits, scale, params, scale.total(logits));
            return;
        }
        // The most likely of all need not be typical.
        let max = self.candidates.first().map_or(scale.max, |best| best.logit);
        self.weigh_candidates(Scale { max, ..scale });
        let total = self.weights.total();
        self.cut(params, total);
    }

    /// Keeps the typical ones of all tokens, or of the candidates.
    fn keep_typical(&mut self, logits: &[f32], scale: Scale, typical_p: f32, limited: bool) {
        if !limited {
            self.typical.keep(logits, scale, typical_p, &mut self.candidates);
            return;
        }
        std::mem::swap(&mut self.pool, &mut self.candidates);
        self.pool_logits.clear();
        self.pool_logits.extend(self.pool.iter().map(|candidate| candidate.logit));
        self.typical.keep(&self.pool_logits, scale, typical_p, &mut self.candidates);
        for candidate in &mut self.candidates {
            candidate.token = self.pool[candidate.token as usize].token;
        }
    }

    fn weigh_candidates(&mut self, scale: Scale) {
        self.weights.take(self.candidates.iter().map(|candidate| scale.weight(candidate.logit)));
    }

    /// Candidates of top-p without top-k: takes more and more of the best until they are enough.
    fn find_nucleus(&mut self, logits: &[f32], scale: Scale, params: &SamplingParams, total: f64) {
        let mut count = NUCLEUS_FIRST;
        loop {
            largest(logits, count, &mut self.candidates);
            let all = self.candidates.len() < count;
            self.weigh_candidates(scale);
            if self.cut(params, total) || all {
                return;
            }
            count = count.saturating_mul(8);
        }
    }

    /// Keeps of the candidates, which fall in weight, what top-p and then min-p allow. False if all
    /// were kept, so that there may be more to consider.
    fn cut(&mut self, params: &SamplingParams, total: f64) -> bool {
        let wanted = f64::from(params.top_p) * total;
        let mut reached = 0.0;
        let mut kept = 0;
        for &weight in self.weights.as_slice() {
            // The best token is always kept, whatever the parameters.
            if kept > 0 && (reached >= wanted || weight < params.min_p) {
                break;
            }
            reached += f64::from(weight);
            kept += 1;
        }
        let cut = kept < self.candidates.len() || reached >= wanted;
        self.weights.truncate(kept);
        self.candidates.truncate(kept);
        cut
    }
}

#[cfg(test)]
mod extra_tests;
#[cfg(test)]
mod tests;
