//! What the loop and its session say to each other.

use serde_json::{Map, Value, json};

use super::Approval;
use crate::Tool;

/// A call that a model makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentCall {
    /// Tells it from others of the conversation.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments, JSON as the model wrote it.
    pub arguments: String,
}

/// One turn of a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turn {
    /// What it thought, where it thinks aloud.
    pub reasoning: String,
    /// What it said.
    pub text: String,
    /// What it calls.
    pub calls: Vec<AgentCall>,
    /// It was cut by a limit, so that its calls may not be whole.
    pub is_cut: bool,
}

impl Turn {
    /// It as a message of the conversation.
    pub(super) fn message(&self) -> Value {
        let mut message = json!({"role": "assistant", "content": self.text});
        if !self.reasoning.is_empty() {
            message["reasoning_content"] = json!(self.reasoning);
        }
        if !self.calls.is_empty() && !self.is_cut {
            message["tool_calls"] = self.calls.iter().map(call_of_message).collect();
        }
        message
    }
}

/// Chat templates print arguments that are an object as JSON, and quote what is text.
fn call_of_message(call: &AgentCall) -> Value {
    let parsed = serde_json::from_str::<Map<String, Value>>(&call.arguments);
    let arguments = parsed.map_or_else(|_| json!(call.arguments), Value::Object);
    let function = json!({"name": call.name, "arguments": arguments});
    json!({"id": call.id, "type": "function", "function": function})
}

/// A call that has ended, run or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRecord {
    /// In which round, from 0.
    pub round: usize,
    /// The call.
    pub call: AgentCall,
    /// What the model sees of its result.
    pub result: String,
    /// The result says what went wrong.
    pub is_error: bool,
}

impl CallRecord {
    /// Its result as a message of the conversation.
    pub(super) fn message(&self) -> Value {
        let AgentCall { id, name, .. } = &self.call;
        json!({"role": "tool", "tool_call_id": id, "name": name, "content": self.result})
    }
}

/// Which tools a turn may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// As the request says, which may ask for a call: it is the first turn.
    AsAsked,
    /// The model decides.
    Free,
    /// None: it is to answer.
    Nothing,
}

/// How far a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase<'a> {
    /// It is about to run.
    Calling,
    /// It has ended.
    Complete {
        /// What the model sees of its result.
        result: &'a str,
        /// The result says what went wrong.
        is_error: bool,
    },
}

/// News of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// In which round, from 0.
    pub round: usize,
    /// The call.
    pub call: &'a AgentCall,
    /// How far it is.
    pub phase: Phase<'a>,
}

/// Whoever has a model and a client.
pub trait Session: Send {
    /// Why a turn failed.
    type Error: Send;

    /// Has the model continue the conversation, and shows what it says while it does.
    fn turn(
        &mut self,
        conversation: &[Value],
        choice: Choice,
    ) -> impl Future<Output = Result<Turn, Self::Error>> + Send;

    /// Asks whether a call may run that needs a person's word.
    fn approve(&mut self, call: &AgentCall, tool: &Tool) -> impl Future<Output = Approval> + Send;

    /// Hears how far calls are. Calls begin in their order and end as they do.
    fn hear(&mut self, progress: Progress<'_>) -> impl Future<Output = ()> + Send;
}
