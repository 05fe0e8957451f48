//! Why a model could not be loaded, in one line each.
//!
//! The message names the file, what was found and what to do; the kind lets the edges choose a
//! status code without reading the message.

use crate::memory::MemoryNeed;
use std::path::PathBuf;

/// A model could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The path cannot be read.
    #[error("{}: {reason}", path.display())]
    NotFound {
        /// The path.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// No format plugin reads it.
    #[error("{}: no loaded format plugin reads this; looked at: {looked_at}", path.display())]
    UnknownFormat {
        /// The path.
        path: PathBuf,
        /// The formats there are.
        looked_at: String,
    },
    /// No architecture plugin answers for it.
    #[error(
        "{}: no loaded plugin provides architecture `{architecture}`; looked at: {looked_at}; \
         put a plugin for it into the plugin folder and rescan", path.display()
    )]
    MissingArchitecture {
        /// The path.
        path: PathBuf,
        /// The architecture the checkpoint asks for.
        architecture: String,
        /// The architecture plugins there are, with their claims.
        looked_at: String,
    },
    /// No compute plugin answers for the device.
    #[error("no loaded plugin provides compute device `{device}`; looked at: {looked_at}")]
    MissingCompute {
        /// The device asked for.
        device: String,
        /// The devices there are.
        looked_at: String,
    },
    /// No quantizer plugin knows the recipe.
    #[error(
        "no loaded plugin knows how to quantize to `{recipe}`, nor is it a file; known: {known}"
    )]
    UnknownRecipe {
        /// The recipe asked for.
        recipe: String,
        /// The recipes there are.
        known: String,
    },
    /// The checkpoint is damaged or contradicts itself.
    #[error("{}: {reason}", path.display())]
    Invalid {
        /// The path.
        path: PathBuf,
        /// Field, what was found, what was expected.
        reason: String,
    },
    /// A plugin refused the checkpoint or failed.
    #[error("{}: {source} (plugin {})", path.display(), source.plugin)]
    Plugin {
        /// The path.
        path: PathBuf,
        /// What the plugin said.
        source: host_loader::PluginError,
    },
    /// It would not fit into the machine's memory.
    #[error(
        "{}: {need}, {available_mib} MiB are available; lower --kv-memory or --context-length, \
         or use a smaller quantization", path.display()
    )]
    Memory {
        /// The path.
        path: PathBuf,
        /// What it takes.
        need: MemoryNeed,
        /// What the machine has left.
        available_mib: u64,
    },
    /// It would not fit beside the other models.
    #[error(
        "{}: {need}, and of the {budget_mib} MiB that all models may take {used_mib} are taken by \
         models that are in use; try again when they are idle, lower --kv-memory or \
         --context-length, or raise --memory-budget", path.display()
    )]
    Budget {
        /// The path.
        path: PathBuf,
        /// What it takes.
        need: MemoryNeed,
        /// What all models may take.
        budget_mib: u64,
        /// What the loaded ones take.
        used_mib: u64,
    },
}

/// What the edges make of a [`LoadError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadErrorKind {
    /// The path is not there.
    NotFound,
    /// The file is bad.
    Invalid,
    /// The file is good, but something needed for it is missing.
    Unsupported,
    /// It does not fit.
    Memory,
    /// A plugin failed.
    Failed,
}

impl LoadError {
    /// What the edges make of it.
    #[must_use]
    pub fn kind(&self) -> LoadErrorKind {
        match self {
            Self::NotFound { .. } => LoadErrorKind::NotFound,
            Self::Invalid { .. } | Self::UnknownFormat { .. } => LoadErrorKind::Invalid,
            Self::MissingArchitecture { .. }
            | Self::MissingCompute { .. }
            | Self::UnknownRecipe { .. } => LoadErrorKind::Unsupported,
            Self::Memory { .. } | Self::Budget { .. } => LoadErrorKind::Memory,
            Self::Plugin { source, .. } => match source.source.kind() {
                plugin_api::ErrorKind::Invalid => LoadErrorKind::Invalid,
                plugin_api::ErrorKind::Unsupported => LoadErrorKind::Unsupported,
                _ => LoadErrorKind::Failed,
            },
        }
    }

    pub(crate) fn invalid(path: &std::path::Path, reason: impl Into<String>) -> Self {
        Self::Invalid { path: path.to_owned(), reason: reason.into() }
    }
}
