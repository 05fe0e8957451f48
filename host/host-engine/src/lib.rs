//! The engine: sequences, scheduler, KV block tables, sampler and the step loop.
//!
//! It exists so that every model gets continuous batching, chunked prefill, preemption and
//! reproducible sampling from one place, whatever plugin computes the logits. It is pure and
//! synchronous: no I/O, no thread, no clock and no random source of its own, so a scripted
//! [`StepModel`] and a seed replay any schedule. It must not know text, plugins or HTTP.
//!
//! A caller submits [`SequenceRequest`]s and calls [`Engine::step`] until [`Engine::is_idle`]; what
//! happened comes back as [`Event`]s. A token depends only on its own sequence (its tokens, its
//! parameters, its seed), never on what else ran, provided that the model's rows do so too. A model
//! that embeds instead of generating runs in an [`EmbeddingEngine`].

mod advance;
mod batch;
mod blocks;
mod constraint;
mod draft;
mod dry;
mod embedding;
mod engine;
mod error;
mod event;
mod limits;
mod logprobs;
mod lookup;
mod lru;
mod plan;
mod prefix;
mod random;
mod sampler;
mod sampling;
mod scheduler;
mod selection;
mod sequence;
mod sharing;
mod softmax;
mod speculation;
mod typical;

pub use batch::{Batch, StepModel};
pub use blocks::{BlockAllocator, BlockIndex};
pub use constraint::{Constraint, TokenSet};
pub use dry::{BreakerSequence, Breakers, Dry};
pub use embedding::{Embedded, EmbeddingEngine, EmbeddingShape};
pub use engine::Engine;
pub use error::{
    EmbeddingError, LimitsError, SamplingError, SequenceError, StepError, SubmitError, TextError,
};
pub use event::{EngineCounts, Event, FinishReason, SequenceUsage, StepStats};
pub use limits::{EngineLimits, LOGIT_BIAS_MAX, STOP_TOKENS_MAX};
pub use logprobs::{TokenLogprobs, TopLogprob};
pub use sampling::SamplingParams;
pub use sequence::{SequenceId, SequenceRequest};

/// Index of a token in the model's vocabulary.
///
/// An alias and not a newtype: token lists go from the tokenizer through [`Batch`] into a C struct
/// as plain `u32`, and no other integer travels in such lists here.
pub type TokenId = u32;
