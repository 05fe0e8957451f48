//! Every bound of the engine in one place.
//!
//! A host that promises bounded memory must be able to point at the numbers; each queue, batch and
//! buffer of this crate is sized from here. No policy lives here, only the numbers, the figures
//! derived from them and the check that they agree with each other.

use crate::error::LimitsError;

/// Most entries in a request's logit bias.
pub const LOGIT_BIAS_MAX: usize = 1024;

/// Most stop tokens in a request.
pub const STOP_TOKENS_MAX: usize = 256;

/// Logit rows that a step may ask for even when fewer sequences may run, so that the logprobs of a
/// prompt do not crawl through one row at a time.
const LOGIT_ROWS_FLOOR: usize = 32;

/// Sizes of an engine, fixed for its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineLimits {
    /// Token places in a KV block.
    pub block_size: u32,
    /// KV blocks of the compute session.
    pub block_count: u32,
    /// Most sequences that hold blocks and run at once.
    pub sequences_max: usize,
    /// Most tokens in a step; at least `sequences_max`, so that every sequence can decode.
    pub batch_tokens_max: usize,
    /// Most prefill tokens in a step in which a sequence decodes, so that none of them waits long
    /// for its next token; at least 1.
    pub prefill_tokens_beside_decode_max: usize,
    /// Most sequences that wait beside those that may run: the engine holds at most
    /// `sequences_max + queue_max` sequences, all told.
    pub queue_max: usize,
    /// Most tokens (prompt and completion) of a sequence.
    pub context_length: usize,
    /// Logits in a row.
    pub vocab_size: usize,
    /// Length above which the model rotates all keys of a sequence otherwise (longrope). A sequence
    /// that grows past it is computed again from its first token.
    pub long_above: Option<usize>,
    /// Most tokens of a sequence that are drafted for one step; 0 drafts nothing.
    pub draft_tokens_max: usize,
    /// Whether blocks keep their content for sequences that begin with the same tokens.
    pub prefix_cache: bool,
}

impl EngineLimits {
    /// Most tokens a sequence can reach here: the context length, or less where the KV blocks do
    /// not hold that many. The last token of a sequence is never run, so it needs no slot.
    pub fn sequence_tokens_max(&self) -> usize {
        let slots = self.block_size as usize * self.block_count as usize;
        self.context_length.min(slots + 1)
    }

    /// Most sequences the engine holds, waiting or running.
    pub fn live_max(&self) -> usize {
        self.sequences_max.saturating_add(self.queue_max)
    }

    /// Most rows of logits one step asks for.
    pub fn logit_rows_max(&self) -> usize {
        self.sequences_max.max(LOGIT_ROWS_FLOOR)
    }

    /// Blocks that hold `tokens` tokens.
    pub(crate) fn blocks_for(&self, tokens: usize) -> usize {
        tokens.div_ceil(self.block_size as usize)
    }

    pub(crate) fn check(&self) -> Result<(), LimitsError> {
        let sizes = [
            ("block_size", self.block_size as usize),
            ("block_count", self.block_count as usize),
            ("sequences_max", self.sequences_max),
            ("context_length", self.context_length),
            ("vocab_size", self.vocab_size),
            ("prefill_tokens_beside_decode_max", self.prefill_tokens_beside_decode_max),
        ];
        if let Some((name, _)) = sizes.into_iter().find(|(_, size)| *size == 0) {
            return Err(LimitsError::Zero { name });
        }
        if self.batch_tokens_max < self.sequences_max {
            return Err(LimitsError::BatchTooSmall {
                batch_tokens_max: self.batch_tokens_max,
                sequences_max: self.sequences_max,
            });
        }
        let slots = u128::from(self.block_size) * u128::from(self.block_count);
        let logits = self.logit_rows_max() as u128 * self.vocab_size as u128;
        // Everything a batch carries is a u32, and a buffer of f32 must be addressable.
        let bounded = [
            ("block_size * block_count", slots, u128::from(u32::MAX)),
            ("context_length", self.context_length as u128, u128::from(u32::MAX)),
            ("batch_tokens_max", self.batch_tokens_max as u128, u128::from(u32::MAX)),
            ("vocab_size", self.vocab_size as u128, u128::from(u32::MAX)),
            ("logit rows * vocab_size", logits, isize::MAX as u128 / 4),
        ];
        match bounded.into_iter().find(|(_, found, limit)| found > limit) {
            Some((name, found, limit)) => Err(LimitsError::TooLarge { name, found, limit }),
            None => Ok(()),
        }
    }
}
