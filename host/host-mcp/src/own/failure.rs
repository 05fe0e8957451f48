//! Why a tool of the host came to nothing.

use host_generation::{GenerationError, LoadFailure};
use host_tools::{ToolError, ToolOutcome};
use serde_json::json;

/// Why a tool came to nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The tool ran and failed; what there is of its answer comes after the reason.
    Failed {
        /// One line for people and models.
        message: String,
        /// What was written so far.
        partial: Option<String>,
    },
    /// It did not run.
    Refused(ToolError),
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), partial: None }
    }

    /// What is wrong with the arguments beyond what their schema says.
    pub(crate) fn arguments(message: impl Into<String>) -> Self {
        Self::Refused(ToolError::InvalidArguments(message.into()))
    }

    /// As the registry wants it.
    pub(super) fn into_outcome(self) -> Result<ToolOutcome, ToolError> {
        match self {
            Self::Refused(error) => Err(error),
            Self::Failed { message, partial } => {
                let mut outcome = ToolOutcome::failure(message);
                let block = |text| json!({"type": "text", "text": text});
                outcome.content.extend(partial.map(block));
                Ok(outcome)
            }
        }
    }
}

impl From<ToolError> for Failure {
    fn from(error: ToolError) -> Self {
        Self::Refused(error)
    }
}

impl From<GenerationError> for Failure {
    fn from(error: GenerationError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<LoadFailure> for Failure {
    fn from(failure: LoadFailure) -> Self {
        Self::new(failure.message)
    }
}
