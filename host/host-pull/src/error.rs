//! Why nothing was fetched, in words for the person who asked.

use std::io;
use std::path::{Path, PathBuf};

/// Why a checkpoint could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PullError {
    /// The hub knows no such repository, or does not show it.
    #[error(
        "the hub shows no {what} (status {status}); check the name, or set HF_TOKEN if it is not \
         public"
    )]
    NotShown { what: String, status: u16 },
    /// The hub answered something else than was asked for.
    #[error("the hub's answer about {what} was not understood: {reason}")]
    Answer { what: String, reason: String },
    /// The connection did not come about, or broke again and again.
    #[error("{what} could not be fetched: {reason}; what has come is kept, run it again to go on")]
    Connection { what: String, reason: String },
    /// What came is not what the hub has.
    #[error(
        "{file} came with the hash {found}, expected {expected}; it was thrown away, run it again"
    )]
    Hash { file: String, found: String, expected: String },
    /// Another one fetches it.
    #[error("{0} is being fetched by another `host pull`; wait for it")]
    Busy(String),
    /// There is nothing to load in it.
    #[error("{0}")]
    Choice(String),
    /// It is not in the cache, and nothing may be fetched.
    #[error("{0} is not in the cache, and HF_HUB_OFFLINE says to fetch nothing")]
    Offline(String),
    /// There is no place for it.
    #[error("there is no folder for the cache: set HF_HOME, or name one with --cache-dir")]
    NoCache,
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
}

impl PullError {
    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }
}
