//! The author's SDK: write a model architecture, a file format, a dtype, a compute device or tools
//! as a plugin, in safe Rust.
//!
//! A plugin is one dynamic library. It implements a trait of this crate, registers it and exports
//! itself; the host finds the file in its plugin folder and does the rest:
//!
//! ```
//! use plugin_api::{Architecture, CheckpointView, Decoder, Error, Graph};
//!
//! struct Tiny;
//!
//! impl Architecture for Tiny {
//!     const NAME: &'static str = "tiny";
//!     const CLAIMS: &'static [&'static str] = &["TinyForCausalLM"];
//!
//!     fn build(checkpoint: &CheckpointView) -> Result<Graph, Error> {
//!         Decoder::new(checkpoint)?.build()
//!     }
//! }
//!
//! plugin_api::register!(architecture: Tiny);
//! # fn main() {}
//! ```
//!
//! and, once per library, `plugin_api::export_plugin!();`. The library's crate type is `cdylib`
//! and its panic strategy is `unwind`: a panic in a provider is caught and becomes an error that
//! names the plugin.
#![expect(unsafe_code, reason = "the fence between safe traits and the wire")]
#![warn(missing_docs)]

mod checkpoint;
mod decoder;
mod embedding;
mod error;
mod export;
mod graph_writer;
mod manifest;
mod profile;
mod quantize;
mod rope;
mod rows;
mod session;
mod tensor_names;
mod thunk;
mod tools;
mod traits;
mod view;
#[doc(hidden)]
pub mod wire;
mod writing;

pub use checkpoint::{CheckpointInfo, Scheme, TensorInfo};
pub use decoder::{Decoder, Experts, NormPlacement};
pub use embedding::{Embedding, EmbeddingDense, EmbeddingRows};
pub use error::{Error, ErrorKind};
#[doc(hidden)]
pub use export::{Provider, export_root};
pub use graph::{
    self, Activation, CallSyntax, ChatConventions, Graph, ReasoningForm, RopeStyle, RopeTable,
    ToolCallForm,
};
pub use graph_writer::{GraphWriter, Norm};
#[doc(hidden)]
pub use inventory;
pub use manifest::{Manifest, Need, ProviderInfo};
pub use plugin_abi;
pub use profile::{MachineLimits, Profile, ProfileEntry, ProfiledSession};
pub use quantize::{QuantizePlan, QuantizeRequest, QuantizeTensor, Recipe};
pub use rope::{RopeScaling, rope_table};
pub use rows::RowSource;
pub use session::{DtypeLookup, DtypeRef, MemoryEstimate, Progress, StepBatch, WeightData};
#[doc(hidden)]
pub use thunk::{DtypeEntry, DtypeSet};
pub use tools::{LogLevel, ToolAnswer, ToolCall, ToolOffer, ToolRequest, Tools, Wanted};
pub use traits::{
    Architecture, Checkpoint, Compute, ComputeSession, Dtype, Format, Quantizer, SessionLimits,
    SessionOptions, Writer,
};
pub use view::CheckpointView;
pub use writing::{Export, ExportTensor};
