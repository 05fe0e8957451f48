//! Finds, checks, loads and lists plugins, and calls them.
//!
//! A plugin is native code from somebody else, so each file passes a line of checks of growing
//! trust: what the file system says, what its bytes say, what a child process survives, and only
//! then is it opened here. A bad plugin is a row with a reason, never the end of the host. This is
//! the only crate of the host that touches pointers of the wire; everything above is safe code.
#![expect(unsafe_code, reason = "opens libraries and calls through the frozen C facets")]

mod architecture;
mod candidate;
mod compute;
mod environment;
mod error;
mod facets;
mod format;
mod inspect;
mod loader;
mod needs;
mod open;
mod probe;
mod provider;
mod quantization;
mod quantizer;
mod registry;
mod report;
mod tool;
mod verdicts;
mod writer;

pub use architecture::ArchitectureProvider;
pub use compute::{ComputeProvider, RowReader, Session, SessionRequest};
pub use error::{PluginError, Refusal};
pub use facets::ToolFacet;
pub use format::{FormatProvider, OpenCheckpoint};
pub use loader::{Loader, LoaderOptions};
pub use probe::probe_main;
pub use provider::Provider;
pub use quantization::DtypeProvider;
pub use quantizer::QuantizerProvider;
pub use registry::Registry;
pub use report::{PluginReport, PluginState};
pub use tool::{ToolCaller, ToolProvider};
pub use writer::WriterProvider;
