//! A sequence: token ids, block table and sampling state, and the request it is made from.
//!
//! It is the unit that the scheduler moves about. All that must survive preemption is here and
//! none of it lies in the KV cache, so a sequence can be recomputed from it. It chooses nothing.

use std::fmt;

use crate::TokenId;
use crate::blocks::{BlockAllocator, BlockIndex};
use crate::constraint::Constraint;
use crate::draft::Drafter;
use crate::error::SubmitError;
use crate::event::SequenceUsage;
use crate::limits::{EngineLimits, LOGIT_BIAS_MAX, STOP_TOKENS_MAX};
use crate::sampling::SamplingParams;
use crate::sharing::Shared;

/// Names a sequence; chosen by the caller, free again once the sequence has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceId(pub u64);

impl fmt::Display for SequenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sequence {}", self.0)
    }
}

/// A prompt to complete.
#[derive(Debug, Clone)]
pub struct SequenceRequest {
    /// Name for events; unused by any sequence that has not ended.
    pub id: SequenceId,
    /// Tokens of the prompt, at least one.
    pub prompt: Vec<TokenId>,
    /// Most tokens of the completion; the context and the KV cache may end it earlier. 0 runs the
    /// prompt only.
    pub tokens_max: usize,
    /// Fewest tokens of the completion: stop tokens cannot be chosen before.
    pub tokens_min: usize,
    /// How tokens are chosen.
    pub sampling: SamplingParams,
    /// Tokens that end the completion (the model's EOS tokens).
    pub stop_tokens: Vec<TokenId>,
    /// Treat stop tokens like any other.
    pub ignore_eos: bool,
    /// Report logprobs, with this many of the most likely tokens.
    pub logprobs: Option<u8>,
    /// Report the logprobs of the prompt too, with as many likely tokens as `logprobs` says.
    pub prompt_logprobs: bool,
    /// Lower runs first; among equals, who was submitted first.
    pub priority: i32,
    /// A rule for the completion, at its beginning.
    pub constraint: Option<Box<dyn Constraint>>,
}

impl SequenceRequest {
    pub(crate) fn check(&self, limits: &EngineLimits) -> Result<(), SubmitError> {
        let tokens = self.prompt.len();
        if tokens == 0 {
            return Err(SubmitError::EmptyPrompt);
        }
        // A completion needs a place in the context; its first token needs no slot.
        let limit = limits.context_length - usize::from(self.tokens_max > 0);
        if tokens > limit {
            return Err(SubmitError::PromptTooLong { tokens, limit });
        }
        if limits.blocks_for(tokens) > limits.block_count as usize {
            let slots = limits.block_size as usize * limits.block_count as usize;
            return Err(SubmitError::KvTooSmall { tokens, slots });
        }
        let lists = [
            ("logit_bias", self.sampling.logit_bias.len(), LOGIT_BIAS_MAX),
            ("stop_tokens", self.stop_tokens.len(), STOP_TOKENS_MAX),
        ];
        if let Some((place, found, limit)) = lists.into_iter().find(|(_, len, max)| len > max) {
            return Err(SubmitError::TooMany { place, found, limit });
        }
        let biased = self.sampling.logit_bias.iter().map(|(token, _)| ("logit_bias", *token));
        let mut named = self.prompt.iter().map(|token| ("the prompt", *token)).chain(biased);
        let vocab_size = limits.vocab_size;
        if let Some((place, token)) = named.find(|(_, token)| *token as usize >= vocab_size) {
            return Err(SubmitError::TokenOutOfRange { place, token, vocab_size });
        }
        Ok(self.sampling.check()?)
    }
}

/// What becomes of a running sequence after the present phase of the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Live,
    /// Its blocks are gone; it goes back to those that wait.
    Preempted,
    /// None of its keys can be used any more; it begins again at its first token.
    Outgrown,
    /// It finished or failed; its blocks are to be freed.
    Ended,
}

#[derive(Debug)]
pub(crate) struct Sequence {
    pub(crate) id: SequenceId,
    /// Priority, then arrival: the order of service.
    pub(crate) order: (i32, u64),
    /// Prompt and completion.
    pub(crate) tokens: Vec<TokenId>,
    pub(crate) prompt_tokens: usize,
    /// Count of `tokens` at which the sequence is full.
    pub(crate) tokens_end: usize,
    /// Tokens whose keys and values are in the cache.
    pub(crate) computed: usize,
    /// Most tokens whose keys and values ever were.
    pub(crate) reached: usize,
    pub(crate) block_table: Vec<BlockIndex>,
    pub(crate) shared: Shared,
    /// Prompt tokens that came from the prefix cache instead of being run.
    pub(crate) cached_tokens: usize,
    pub(crate) paused: bool,
    pub(crate) fate: Fate,
    pub(crate) sampling: SamplingParams,
    pub(crate) stop_tokens: Vec<TokenId>,
    pub(crate) tokens_min: usize,
    pub(crate) logprobs: Option<u8>,
    pub(crate) constraint: Option<Box<dyn Constraint>>,
    /// First prompt position whose logprob has not been reported; the prompt's end if none is due.
    pub(crate) unscored: usize,
    /// Made for its first draft.
    pub(crate) drafter: Option<Box<Drafter>>,
    /// Tokens of the present step's draft that were right.
    pub(crate) accepted: usize,
}

impl Sequence {
    /// A sequence of a checked request.
    pub(crate) fn new(request: SequenceRequest, arrival: u64, limits: &EngineLimits) -> Self {
        let prompt_tokens = request.prompt.len();
        let full = limits.sequence_tokens_max();
        Self {
            id: request.id,
            order: (request.priority, arrival),
            prompt_tokens,
            tokens_end: prompt_tokens.saturating_add(request.tokens_max).min(full),
            tokens: request.prompt,
            computed: 0,
            reached: 0,
            block_table: Vec::new(),
            shared: Shared::default(),
            cached_tokens: 0,
            paused: false,
            fate: Fate::Live,
            sampling: request.sampling,
            stop_tokens: if request.ignore_eos { Vec::new() } else { request.stop_tokens },
            tokens_min: request.tokens_min,
            constraint: request.constraint,
            logprobs: request.logprobs,
            unscored: if request.prompt_logprobs { 1 } else { prompt_tokens },
            drafter: None,
            accepted: 0,
        }
    }

    pub(crate) fn completion_tokens(&self) -> usize {
        self.tokens.len() - self.prompt_tokens
    }

    /// Tokens to run before the next one can be chosen.
    pub(crate) fn pending(&self) -> usize {
        self.tokens.len() - self.computed
    }

    /// Whether its next run is the one token it generated last.
    pub(crate) fn decodes(&self) -> bool {
        self.pending() == 1 && self.completion_tokens() > 0
    }

    /// Whether it can be part of a batch.
    pub(crate) fn can_run(&self) -> bool {
        !self.paused && self.fate == Fate::Live
    }

    /// Whether the completion has room for a token.
    pub(crate) fn samples(&self) -> bool {
        self.tokens.len() < self.tokens_end
    }

    /// Whether the token chosen last took it past the length above which its keys are rotated
    /// otherwise, so that none of those in the cache can be used any more.
    pub(crate) fn outgrows(&self, long_above: Option<usize>) -> bool {
        self.fate == Fate::Live && long_above == Some(self.tokens.len() - 1)
    }

    /// Stop tokens that cannot be chosen yet.
    pub(crate) fn suppressed(&self) -> &[TokenId] {
        if self.completion_tokens() < self.tokens_min { &self.stop_tokens } else { &[] }
    }

    pub(crate) fn usage(&self) -> SequenceUsage {
        SequenceUsage {
            prompt_tokens: self.prompt_tokens,
            cached_tokens: self.cached_tokens,
            completion_tokens: self.completion_tokens(),
        }
    }

    /// Books that the tokens up to a position have run.
    pub(crate) fn ran_to(&mut self, end: usize) {
        self.computed = end;
        self.reached = self.reached.max(end);
    }

    /// Gives the blocks back and forgets what they held.
    pub(crate) fn release(&mut self, blocks: &mut BlockAllocator) {
        for block in self.block_table.drain(..).rev() {
            blocks.release(block);
        }
        self.computed = 0;
        self.shared = Shared::default();
    }
}
