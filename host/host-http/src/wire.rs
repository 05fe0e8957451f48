//! The JSON of answers, as OpenAI's API has it.
//!
//! Plain shapes that are made by hand from the inner types, so that those can change without the
//! wire noticing. Nothing here reads a request.

mod agent;

use axum::http::{HeaderName, HeaderValue, header};
use host_generation::{FinishReason, TokenPiece, ToolCallDelta as CallDelta};
use serde::Serialize;

pub(crate) use self::agent::{AgentReport, ToolCallProgress};
use crate::ids::random_id;

/// The header of a JSON answer.
pub(crate) const JSON: [(HeaderName, HeaderValue); 1] =
    [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];

/// Stands for a logprob of minus infinity, which JSON does not have.
const LOGPROB_MIN: f32 = -9999.0;

/// The JSON text of an answer.
pub(crate) fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("answers have string keys and finite numbers")
}

/// An answer, whole or one chunk of a streamed one.
#[derive(Debug, Serialize)]
pub(crate) struct Envelope<'a, C> {
    pub(crate) id: &'a str,
    pub(crate) object: &'static str,
    pub(crate) created: u64,
    pub(crate) model: &'a str,
    pub(crate) system_fingerprint: &'a str,
    pub(crate) choices: &'a [C],
    /// Absent, null, or the figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<Option<Usage>>,
    /// What only answers with tools of the host have.
    #[serde(flatten)]
    pub(crate) agent: Option<&'a AgentReport>,
}

/// Tokens of an answer.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: usize,
    pub(crate) completion_tokens: usize,
    pub(crate) total_tokens: usize,
    pub(crate) prompt_tokens_details: PromptDetails,
    pub(crate) completion_tokens_details: CompletionDetails,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct PromptDetails {
    pub(crate) cached_tokens: usize,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct CompletionDetails {
    pub(crate) reasoning_tokens: usize,
}

/// A choice of a chat answer.
#[derive(Debug, Serialize)]
pub(crate) struct ChatChoice {
    pub(crate) index: usize,
    pub(crate) message: Message,
    pub(crate) logprobs: Option<ChatLogprobs>,
    pub(crate) finish_reason: &'static str,
}

#[derive(Debug, Serialize)]
pub(crate) struct Message {
    pub(crate) role: &'static str,
    /// Null in an answer that only calls tools.
    pub(crate) content: Option<String>,
    /// What the model thought before; not in OpenAI's API, but where most servers have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning_content: Option<String>,
    pub(crate) refusal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool_calls: Option<Vec<ToolCall>>,
}

/// A call of a tool, whole.
#[derive(Debug, Serialize)]
pub(crate) struct ToolCall {
    id: String,
    r#type: &'static str,
    function: Function,
}

#[derive(Debug, Serialize)]
struct Function {
    name: String,
    arguments: String,
}

impl ToolCall {
    pub(crate) fn new(call: CallDelta) -> Self {
        let CallDelta { name, arguments, .. } = call;
        let function = Function { name: name.unwrap_or_default(), arguments };
        Self { id: random_id("call_"), r#type: "function", function }
    }
}

/// A part of a call; only the first has id, type and name, which clients add up.
#[derive(Debug, Serialize)]
pub(crate) struct ToolCallDelta {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    function: FunctionDelta,
}

#[derive(Debug, Serialize)]
struct FunctionDelta {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    arguments: String,
}

impl ToolCallDelta {
    pub(crate) fn new(call: CallDelta) -> Self {
        let CallDelta { index, name, arguments } = call;
        let first = name.is_some();
        Self {
            index,
            id: first.then(|| random_id("call_")),
            r#type: first.then_some("function"),
            function: FunctionDelta { name, arguments },
        }
    }
}

/// A choice of a chunk of a streamed chat answer.
#[derive(Debug, Serialize)]
pub(crate) struct ChatChunkChoice {
    pub(crate) index: usize,
    pub(crate) delta: MessageDelta,
    pub(crate) logprobs: Option<ChatLogprobs>,
    pub(crate) finish_reason: Option<&'static str>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct MessageDelta {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool_calls: Option<Vec<ToolCallDelta>>,
}

/// A choice of a text completion, whole or streamed.
#[derive(Debug, Serialize)]
pub(crate) struct TextChoice {
    pub(crate) text: String,
    pub(crate) index: usize,
    pub(crate) logprobs: Option<crate::legacy::TextLogprobs>,
    pub(crate) finish_reason: Option<&'static str>,
}

/// Logprobs of a chat answer.
#[derive(Debug, Serialize)]
pub(crate) struct ChatLogprobs {
    content: Vec<ChatLogprob>,
    refusal: Option<Vec<ChatLogprob>>,
}

#[derive(Debug, Serialize)]
struct ChatLogprob {
    token: String,
    logprob: f32,
    bytes: Vec<u8>,
    id: u32,
    top_logprobs: Vec<TopLogprob>,
}

#[derive(Debug, Serialize)]
struct TopLogprob {
    token: String,
    logprob: f32,
    bytes: Vec<u8>,
    id: u32,
}

impl ChatLogprobs {
    pub(crate) fn new(pieces: Vec<TokenPiece>) -> Self {
        let entry = |piece: TokenPiece| ChatLogprob {
            token: piece.text,
            logprob: piece.logprob.map_or(0.0, finite),
            bytes: piece.bytes,
            id: piece.id,
            top_logprobs: piece
                .top
                .into_iter()
                .map(|top| TopLogprob {
                    token: top.text,
                    logprob: finite(top.logprob),
                    bytes: top.bytes,
                    id: top.id,
                })
                .collect(),
        };
        Self { content: pieces.into_iter().map(entry).collect(), refusal: None }
    }
}

/// A logprob that JSON can hold.
pub(crate) fn finite(logprob: f32) -> f32 {
    logprob.max(LOGPROB_MIN)
}

pub(crate) fn finish_reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
    }
}
