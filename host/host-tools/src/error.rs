//! Why a call has no result. A tool that ran and failed has one: it is an outcome with `is_error`.

use std::time::Duration;

use serde_json::Value;

/// Why a call has no result. Which code a client sees is decided by the surface.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ToolError {
    /// There is nothing of this name, or the caller may not see it.
    #[error("unknown {kind}: {name}")]
    Unknown {
        /// Tool, prompt or resource.
        kind: &'static str,
        /// What was asked for.
        name: String,
    },
    /// The arguments do not fit the schema.
    #[error("invalid arguments: {0}")]
    InvalidArguments(String),
    /// The caller may see it, and this they may not do.
    #[error("not allowed: {0}")]
    Forbidden(String),
    /// The client did not declare a capability that the tool cannot do without.
    #[error("the client must have the capability `{0}` for this tool")]
    MissingCapability(String),
    /// The caller, or all of them together, ask too often.
    #[error("too many calls; try again in {} s", retry_after.as_secs_f64().ceil())]
    RateLimited {
        /// When there is room again.
        retry_after: Duration,
    },
    /// Who offers it cannot answer now.
    #[error("{server} is not available: {reason}")]
    Unavailable {
        /// Its name.
        server: String,
        /// What an operator can do something with.
        reason: String,
    },
    /// Who offers it tried and failed.
    #[error("{who} failed: {reason}")]
    Failed {
        /// Its name.
        who: String,
        /// What it says.
        reason: String,
    },
    /// It did not answer in time.
    #[error("no answer within {} s", after.as_secs_f64())]
    Timeout {
        /// The time it had.
        after: Duration,
    },
    /// The caller no longer waits.
    #[error("cancelled")]
    Cancelled,
    /// A request or a result is larger than allowed.
    #[error("{what} of at least {bytes} bytes is too large: at most {bytes_max}")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// How large it is at least: what is too large is not read to its end.
        bytes: usize,
        /// How large it may be.
        bytes_max: usize,
    },
    /// Who offers it answered with an error of the protocol, which is passed on.
    #[error("{message}")]
    Protocol {
        /// The JSON-RPC code.
        code: i32,
        /// The message, with the name of whoever sent it in front.
        message: String,
        /// More of it.
        data: Option<Value>,
    },
}

impl ToolError {
    /// There is no tool, prompt or resource of this name.
    pub fn unknown(kind: &'static str, name: &str) -> Self {
        Self::Unknown { kind, name: name.to_owned() }
    }

    /// A short word for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "unknown",
            Self::InvalidArguments(_) => "invalid_arguments",
            Self::Forbidden(_) => "forbidden",
            Self::MissingCapability(_) => "missing_capability",
            Self::RateLimited { .. } => "rate_limited",
            Self::Unavailable { .. } => "unavailable",
            Self::Failed { .. } => "failed",
            Self::Timeout { .. } => "timeout",
            Self::Cancelled => "cancelled",
            Self::TooLarge { .. } => "too_large",
            Self::Protocol { .. } => "protocol_error",
        }
    }
}
