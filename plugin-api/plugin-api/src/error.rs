//! The error of every plugin function: a kind the host acts on, and a sentence for people.

use plugin_abi::Status;
use std::fmt;

/// Why a plugin could not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// What the host makes of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input is malformed or contradicts itself.
    Invalid,
    /// The input is well formed, but this plugin cannot serve it.
    Unsupported,
    /// The thing asked for is not there.
    NotFound,
    /// The plugin failed.
    Failed,
    /// The plugin panicked.
    Panic,
}

impl Error {
    /// An error of that kind. Say what was found, what was expected and what to do next.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Malformed input: a file's or a client's fault.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// Well-formed input this plugin cannot serve.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// The plugin failed through no fault of the input.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    /// What the host makes of it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Puts words before the message: `context: message`.
    #[must_use]
    pub fn context(self, context: impl fmt::Display) -> Self {
        Self { kind: self.kind, message: format!("{context}: {}", self.message) }
    }

    /// Reads a status of the wire; `message` is what the error sink received.
    #[must_use]
    pub fn from_status(status: Status, message: String) -> Self {
        let kind = match status {
            Status::INVALID => ErrorKind::Invalid,
            Status::UNSUPPORTED => ErrorKind::Unsupported,
            Status::NOT_FOUND => ErrorKind::NotFound,
            Status::PANIC => ErrorKind::Panic,
            _ => ErrorKind::Failed,
        };
        Self { kind, message }
    }

    /// The status of the wire.
    #[must_use]
    pub fn status(&self) -> Status {
        match self.kind {
            ErrorKind::Invalid => Status::INVALID,
            ErrorKind::Unsupported => Status::UNSUPPORTED,
            ErrorKind::NotFound => Status::NOT_FOUND,
            ErrorKind::Failed => Status::FAILED,
            ErrorKind::Panic => Status::PANIC,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<graph::GraphError> for Error {
    fn from(error: graph::GraphError) -> Self {
        Self::unsupported(error.to_string())
    }
}
