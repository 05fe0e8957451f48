//! A model as data: a straight-line list of operations over the tokens of one step.
//!
//! An architecture plugin writes a [`Graph`], the host validates and simplifies it, a compute
//! plugin runs it. Values have the shape `[rows, width]`, where rows are the tokens of this step,
//! all sequences laid end to end; only `rope`, `attention` and `pool` know which row belongs to which
//! sequence. So batching, chunked prefill and paging are invisible to the author. The crate knows
//! no file, tensor data or device.
#![warn(missing_docs)]

mod chat;
mod draw;
mod error;
mod model;
mod observe;
mod op;
mod passes;
mod validate;

pub use chat::{CallSyntax, ChatConventions, ReasoningForm, ToolCallForm};
pub use error::GraphError;
pub use model::{
    CacheSpec, GgufModel, Graph, LongRope, Node, Output, RopeTable, ValueId, Weight, WeightId,
};
pub use observe::{Observed, observe};
pub use op::{Activation, Expert, Op, Pooling, RopeStyle};
pub use passes::{fold_rope_divisors, simplify};
pub use validate::Widths;

/// The opset this build reads and writes. A graph of the same major and a minor not above this one
/// is accepted; an op this build does not know is refused by name.
pub const OPSET: semver::Version = semver::Version::new(1, 0, 0);
