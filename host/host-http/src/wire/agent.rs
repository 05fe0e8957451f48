//! What clients hear of tools that the host runs for a model, in the words that mistral.rs has.

use host_tools::agent::{CallRecord, Ending, Phase, Progress};
use serde::Serialize;

/// What an answer tells beside its choices.
#[derive(Debug, Serialize)]
pub(crate) struct AgentReport {
    #[serde(skip_serializing_if = "Option::is_none")]
    agentic_tool_calls: Option<Vec<CallObject>>,
    /// Why the model could not go on calling.
    #[serde(skip_serializing_if = "Option::is_none")]
    agentic_stop: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct CallObject {
    round: usize,
    id: String,
    name: String,
    arguments: String,
    result_content: String,
    is_error: bool,
}

impl AgentReport {
    pub(crate) fn whole(ending: &Ending) -> Self {
        let calls = ending.records.iter().map(CallObject::new).collect();
        Self { agentic_tool_calls: Some(calls), ..Self::streamed(ending) }
    }

    /// A stream has told of each call when it was made.
    pub(crate) fn streamed(ending: &Ending) -> Self {
        let agentic_stop = ending.stop.map(host_tools::agent::Stop::name);
        Self { agentic_tool_calls: None, agentic_stop }
    }
}

impl CallObject {
    fn new(record: &CallRecord) -> Self {
        let CallRecord { round, call, result, is_error } = record.clone();
        let (id, name, arguments) = (call.id, call.name, call.arguments);
        Self { round, id, name, arguments, result_content: result, is_error }
    }
}

/// An event between the chunks of a stream: a call begins, or has ended.
#[derive(Debug, Serialize)]
pub(crate) struct ToolCallProgress {
    r#type: &'static str,
    round: usize,
    tool_name: String,
    phase: &'static str,
    data: ToolCallData,
    /// Clients that look at no event's name take it for a chunk, and find that it has nothing.
    choices: [(); 0],
}

#[derive(Debug, Serialize)]
struct ToolCallData {
    tool_type: &'static str,
    tool_call_id: String,
    arguments: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_error: Option<bool>,
}

impl ToolCallProgress {
    pub(crate) const NAME: &'static str = "agentic_tool_call_progress";

    pub(crate) fn new(progress: Progress<'_>) -> Self {
        let Progress { round, call, phase } = progress;
        let (phase, content, is_error) = match phase {
            Phase::Calling => ("calling", None, None),
            Phase::Complete { result, is_error } => {
                ("complete", Some(result.to_owned()), Some(is_error))
            }
        };
        let data = ToolCallData {
            tool_type: "custom",
            tool_call_id: call.id.clone(),
            arguments: call.arguments.clone(),
            content,
            is_error,
        };
        let tool_name = call.name.clone();
        Self { r#type: Self::NAME, round, tool_name, phase, data, choices: [] }
    }
}
