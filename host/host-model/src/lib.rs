//! From a path to a model that is ready to generate.
//!
//! The pipeline: format plugin -> architecture plugin -> graph -> compute session, with the
//! tokenizer and the chat template beside it. Everything that can be known before memory is taken
//! (is every plugin there, does every tensor fit, how much will it need) is found out by
//! [`Prepared`], so a bad file costs nothing; only the tokenizer is read while the weights are
//! packed, because it takes as long. It runs no sequence and knows no request.

mod budget;
mod calibrate;
mod catalog;
mod error;
mod export;
mod importance;
mod load;
mod memory;
mod prepare;
mod quantize;
mod session;
mod summary;
mod tokenizer;
mod tokenizer_file;
mod weights;

pub use budget::{MemoryBudget, MemoryLease, available_bytes};
pub use calibrate::{Calibrated, Calibration, calibrate};
pub use catalog::{Catalog, CatalogEntry, checkpoint_id};
pub use error::{LoadError, LoadErrorKind};
pub use export::{Exported, export};
pub use graph::{CallSyntax, ChatConventions, ReasoningForm, ToolCallForm};
pub use importance::Importance;
pub use load::{LoadedModel, SpecialTokens, load, load_prepared};
pub use memory::{MemoryNeed, MemoryPlan, gives_huge_pages};
pub use prepare::{LoadOptions, Prepared, prepare};
pub use session::ModelSession;
pub use summary::{ModelPlugins, ModelSummary};
pub use tokenizer::{Detokenizer, Tokenizer, TokenizerError};
