//! The wire between host and plugins: `repr(C)` structs, integers and function pointers.
//!
//! Everything a plugin and the host say to each other passes through the types of this crate, so
//! a plugin built by another compiler, or written in C, can be loaded. A published facet struct
//! never changes, not even by appending; what is new becomes `facet/2`. This crate must stay free
//! of logic, serialization and collections: it imports only the layout checker.
//!
//! Rules of the wire:
//! - Text and bytes are borrowed for the call (see each field for longer lives) and never freed by
//!   the receiver. Answers of unknown length go through a [`Sink`] of the caller.
//! - A function returns a [`Status`]; a message for people goes to the `error` sink.
//! - No unwinding crosses: the plugin catches panics and answers [`Status::PANIC`].
//! - A plugin is never unloaded, so `'static` data of a plugin lives as long as the process.
#![expect(unsafe_code, reason = "the derive for layouts implements unsafe traits")]
#![warn(missing_docs)]

mod architecture;
mod compute;
mod facet;
mod format;
mod layout;
mod profile;
mod quantization;
mod quantizer;
mod root;
mod tool;
mod wire;
mod writer;

pub use architecture::ArchitectureV1;
pub use compute::{
    ComputeSessionV1, ComputeV1, DtypeLookupV1, ProgressV1, SessionOptionsV1, StepBatchV1, WeightV1,
};
pub use facet::{Facet, FacetHeader, fingerprint};
pub use format::{CheckpointV1, FormatV1};
pub use layout::{LayoutRef, check_layout, layout_header, layout_of};
pub use profile::ProfileV1;
pub use quantization::{DtypeV1, MatmulTileV1, QuantizationV1};
pub use quantizer::QuantizerV1;
pub use root::{ABI_MAJOR, ABI_MINOR, ENTRY_SYMBOL, EntryFn, MAGIC, PluginRoot};
pub use tool::{ToolCallerV1, ToolV1};
pub use wire::{Bytes, RowSourceV1, Sink, Span32, Status, Text};
pub use writer::WriterV1;
