//! What can go wrong, one enum for each question a caller asks.
//!
//! The edges translate these into status codes, so each variant carries the figures that an answer
//! needs. Nothing here knows HTTP, and no error ends the engine.

use thiserror::Error;

use crate::{SequenceId, TokenId};

/// Why an engine could not be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LimitsError {
    /// A size is zero.
    #[error("engine limit {name} is 0, expected at least 1")]
    Zero {
        /// Which one.
        name: &'static str,
    },
    /// Not every running sequence could decode in one step.
    #[error(
        "batch_tokens_max is {batch_tokens_max}, expected at least sequences_max ({sequences_max}), \
         so that every running sequence gets a token in each step; raise the one or lower the other"
    )]
    BatchTooSmall {
        /// Tokens of a step.
        batch_tokens_max: usize,
        /// Sequences that may run.
        sequences_max: usize,
    },
    /// A size does not fit the integers of a batch.
    #[error("engine limit {name} is {found}, expected at most {limit}")]
    TooLarge {
        /// Which one.
        name: &'static str,
        /// Its value.
        found: u128,
        /// The most it may be.
        limit: u128,
    },
}

/// Why a sequence was not taken.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SubmitError {
    /// As many sequences are held as the limits allow; try again later.
    #[error("the queue is full: {live} sequences are running or waiting, the limit is {limit}")]
    QueueFull {
        /// Sequences held.
        live: usize,
        /// Most that may be held.
        limit: usize,
    },
    /// The prompt has no token.
    #[error("the prompt is empty, expected at least one token")]
    EmptyPrompt,
    /// The prompt leaves no room in the context.
    #[error(
        "the prompt has {tokens} tokens, expected at most {limit}; shorten the prompt or raise the \
         context length"
    )]
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// Most it may have.
        limit: usize,
    },
    /// The prompt does not fit the KV cache, even alone.
    #[error(
        "the prompt has {tokens} tokens and the KV cache holds {slots}; shorten the prompt or give \
         the cache more blocks"
    )]
    KvTooSmall {
        /// Tokens of the prompt.
        tokens: usize,
        /// Slots of the cache.
        slots: usize,
    },
    /// A token is not in the vocabulary.
    #[error("{place} names token {token}, expected less than the vocabulary size {vocab_size}")]
    TokenOutOfRange {
        /// Where it was found.
        place: &'static str,
        /// The token.
        token: TokenId,
        /// Size of the vocabulary.
        vocab_size: usize,
    },
    /// A list of the request is too long.
    #[error("{place} has {found} entries, expected at most {limit}")]
    TooMany {
        /// Which list.
        place: &'static str,
        /// Its length.
        found: usize,
        /// The most it may have.
        limit: usize,
    },
    /// A sampling parameter is out of range.
    #[error(transparent)]
    Sampling(#[from] SamplingError),
    /// The id belongs to a sequence that has not ended.
    #[error("{id} is in use by a sequence that has not ended; choose another id")]
    DuplicateId {
        /// The id.
        id: SequenceId,
    },
}

/// A sampling parameter out of its range.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{name} is {found}, expected {expected}")]
pub struct SamplingError {
    /// Which parameter.
    pub name: &'static str,
    /// Its value.
    pub found: f32,
    /// The range, in words.
    pub expected: &'static str,
}

/// Why a step of the model failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StepError {
    /// The plugin that computes reported an error or caught a panic.
    #[error("plugin {plugin} failed in a step: {message}")]
    Model {
        /// Plugin to blame.
        plugin: String,
        /// What it said.
        message: String,
        /// Whether it panicked: its state may be broken, and the model should rest.
        panicked: bool,
    },
}

/// Why one sequence ended without a finish reason.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SequenceError {
    /// The step it was part of failed.
    #[error(transparent)]
    Step(#[from] StepError),
    /// Every logit was NaN or -inf: nothing can be sampled.
    #[error(
        "the model returned no finite logits for position {position}, expected at least one; its \
         weights may hold NaN"
    )]
    NoFiniteLogits {
        /// Position of the token that could not be chosen.
        position: usize,
    },
    /// Its constraint cannot be followed any further.
    #[error("the grammar of this request cannot be followed any further: {0}")]
    Constraint(String),
}

/// Why a text cannot be embedded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TextError {
    /// It has no token.
    #[error("the text is empty, expected at least one token")]
    Empty,
    /// It is longer than the context.
    #[error("the text has {tokens} tokens, expected at most the context length {limit}")]
    ContextTooShort {
        /// Tokens of the text.
        tokens: usize,
        /// Most it may have.
        limit: usize,
    },
    /// It must run in one step and is longer than that.
    #[error(
        "the text has {tokens} tokens and the model takes a text in one step, which has at most \
         {limit}; shorten the text or let a step have more tokens"
    )]
    StepTooShort {
        /// Tokens of the text.
        tokens: usize,
        /// Tokens of a step.
        limit: usize,
    },
    /// It does not fit the KV cache, even alone.
    #[error(
        "the text has {tokens} tokens and the KV cache holds {slots}; shorten the text or give the \
         cache more blocks"
    )]
    KvTooSmall {
        /// Tokens of the text.
        tokens: usize,
        /// Slots of the cache.
        slots: usize,
    },
    /// A token is not in the vocabulary.
    #[error("the text has token {token}, expected less than the vocabulary size {vocab_size}")]
    TokenOutOfRange {
        /// The token.
        token: TokenId,
        /// Size of the vocabulary.
        vocab_size: usize,
    },
}

/// Why a text got no vector.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EmbeddingError {
    /// The step it was part of failed.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The vector has NaN or an infinity in it.
    #[error("the model returned a vector that is not finite; its weights may hold NaN")]
    NotFinite,
}
