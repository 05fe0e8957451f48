//! What a step tells its caller: events of single sequences and figures of the whole.
//!
//! Events carry token ids only; text, stop strings and usage objects are made above. They are
//! appended to a list that the caller owns and reuses, so the engine never waits for a reader.

use crate::error::{SequenceError, StepError};
use crate::logprobs::TokenLogprobs;
use crate::{SequenceId, TokenId};

/// One thing that happened to one sequence.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A token of the completion. Stop tokens are not reported as such, see [`Event::Finished`].
    Token {
        /// Whose.
        id: SequenceId,
        /// The token.
        token: TokenId,
        /// Its logprobs, when asked for.
        logprobs: Option<TokenLogprobs>,
    },
    /// The prompt has run. Comes before the first token, if any token was cached.
    Prefilled {
        /// Whose.
        id: SequenceId,
        /// Prompt tokens that were cached, as in [`SequenceUsage::cached_tokens`].
        cached_tokens: usize,
    },
    /// Logprobs of consecutive prompt tokens; a long prompt sends several. The first token of a
    /// prompt has none.
    PromptLogprobs {
        /// Whose.
        id: SequenceId,
        /// Position of the first token of the list.
        first: usize,
        /// One entry for each token.
        logprobs: Vec<TokenLogprobs>,
    },
    /// The sequence ended and its blocks are free. Nothing follows for this id.
    Finished {
        /// Whose.
        id: SequenceId,
        /// Why it ended.
        reason: FinishReason,
        /// The stop token that ended it, with [`FinishReason::Stop`].
        stop_token: Option<TokenId>,
        /// Tokens counted.
        usage: SequenceUsage,
    },
    /// The sequence ended by an error and its blocks are free. Nothing follows for this id.
    Failed {
        /// Whose.
        id: SequenceId,
        /// What went wrong.
        error: SequenceError,
    },
}

impl Event {
    /// The sequence it is about.
    pub fn id(&self) -> SequenceId {
        match self {
            Event::Token { id, .. }
            | Event::Prefilled { id, .. }
            | Event::PromptLogprobs { id, .. }
            | Event::Finished { id, .. }
            | Event::Failed { id, .. } => *id,
        }
    }
}

/// Why a sequence ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model chose a stop token.
    Stop,
    /// The completion or the context is full.
    Length,
    /// The caller cancelled it.
    Cancelled,
}

/// Tokens of a sequence, counted for the `usage` of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SequenceUsage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Prompt tokens whose keys and values were shared with an earlier sequence instead of run.
    pub cached_tokens: usize,
    /// Tokens sampled, the stop token included.
    pub completion_tokens: usize,
}

/// How full the engine is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EngineCounts {
    /// Sequences that hold blocks, paused ones included.
    pub running: usize,
    /// Sequences that hold no blocks: not yet admitted, or preempted.
    pub waiting: usize,
    /// Sequences paused, running or waiting.
    pub paused: usize,
    /// KV blocks that sequences hold.
    pub blocks_used: usize,
    /// KV blocks that no sequence holds and whose content may be used again.
    pub blocks_cached: usize,
    /// KV blocks in all.
    pub blocks_total: usize,
}

/// What one step ran.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepStats {
    /// Tokens of prompts (and of sequences computed again).
    pub prefill_tokens: usize,
    /// Sequences that decoded, one token each beside accepted drafts.
    pub decode_tokens: usize,
    /// Guesses at the tokens that follow those of decoding sequences.
    pub draft_tokens: usize,
    /// Guesses that were right, each of them a token without a step of its own.
    pub accepted_tokens: usize,
    /// Sequences in the batch.
    pub sequences: usize,
    /// Sequences whose blocks were taken back.
    pub preemptions: usize,
    /// Prompt tokens that were looked for in the prefix cache.
    pub prefix_queries: usize,
    /// Prompt tokens that were found there, so that they need not run.
    pub prefix_hits: usize,
    /// Sequences that outgrew [`crate::EngineLimits::long_above`] and begin anew.
    pub restarts: usize,
    /// How full the engine is after the step.
    pub counts: EngineCounts,
    /// Why the step failed; each of its sequences also got [`Event::Failed`].
    pub fault: Option<StepError>,
}
