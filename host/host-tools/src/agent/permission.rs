//! Whether a person is asked before a model's call runs.

use std::str::FromStr;

/// What happens to calls of a model, from loose to strict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// They run, but for those of tools that need approval: a person is asked about these.
    #[default]
    Auto,
    /// A person is asked about each.
    Ask,
    /// None runs.
    Deny,
}

impl Permission {
    /// The words for them.
    pub const NAMES: &'static [&'static str] = &["auto", "ask", "deny"];
}

/// A word that names no permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no permission: auto, ask or deny expected")]
pub struct PermissionError(String);

impl FromStr for Permission {
    type Err = PermissionError;

    fn from_str(word: &str) -> Result<Self, PermissionError> {
        match word {
            "auto" => Ok(Self::Auto),
            "ask" => Ok(Self::Ask),
            "deny" => Ok(Self::Deny),
            _ => Err(PermissionError(word.to_owned())),
        }
    }
}

/// What a person said about a call, or who is to ask them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approval {
    /// It may run.
    Given,
    /// It must not; the model is told why.
    Refused(String),
    /// The person is elsewhere: the call is handed out, and the loop ends.
    Elsewhere,
}
