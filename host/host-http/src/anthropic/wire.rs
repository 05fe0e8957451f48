//! The JSON of answers, as Anthropic's Messages API has it.
//!
//! Plain shapes that are made by hand from the inner types. Nothing here reads a request.

use host_generation::{FinishReason, TokenCounts};
use serde::Serialize;
use serde_json::{Map, Value};

/// An answer, whole or as it begins.
#[derive(Debug, Serialize)]
pub(super) struct Message<'a> {
    pub(super) id: &'a str,
    pub(super) r#type: &'static str,
    pub(super) role: &'static str,
    pub(super) model: &'a str,
    pub(super) content: Vec<Block>,
    #[serde(flatten)]
    pub(super) ending: Ending,
    pub(super) usage: Usage,
}

/// A block of content.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block {
    /// Nothing signs thoughts here; clients expect the field.
    Thinking {
        thinking: String,
        signature: String,
    },
    Text {
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
        input: Map<String, Value>,
    },
}

/// Why an answer ended; nulls as long as it has not.
#[derive(Debug, Default, Serialize)]
pub(super) struct Ending {
    stop_reason: Option<&'static str>,
    stop_sequence: Option<String>,
}

impl Ending {
    pub(super) fn new(reason: FinishReason, stop_sequence: Option<String>) -> Self {
        let stop_reason = match reason {
            FinishReason::Stop if stop_sequence.is_some() => "stop_sequence",
            FinishReason::Stop => "end_turn",
            FinishReason::Length => "max_tokens",
            FinishReason::ToolCalls => "tool_use",
        };
        Self { stop_reason: Some(stop_reason), stop_sequence }
    }
}

/// Tokens of an answer. Those found in the prefix cache are not counted as input again.
#[derive(Debug, Serialize)]
pub(super) struct Usage {
    input_tokens: usize,
    output_tokens: usize,
    cache_read_input_tokens: usize,
}

impl Usage {
    pub(super) fn new(prompt: usize, tokens: TokenCounts) -> Self {
        Self {
            input_tokens: prompt - tokens.cached,
            output_tokens: tokens.completion,
            cache_read_input_tokens: tokens.cached,
        }
    }
}

/// What is new in a block.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type")]
pub(super) enum BlockDelta {
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: String },
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: String },
}

/// An event about a block.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type")]
pub(super) enum BlockEvent {
    #[serde(rename = "content_block_start")]
    Start { index: usize, content_block: Block },
    #[serde(rename = "content_block_delta")]
    Delta { index: usize, delta: BlockDelta },
    #[serde(rename = "content_block_stop")]
    Stop { index: usize },
}

impl BlockEvent {
    /// Its type, which is also the event's name.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Start { .. } => "content_block_start",
            Self::Delta { .. } => "content_block_delta",
            Self::Stop { .. } => "content_block_stop",
        }
    }
}

/// An event about the whole message.
#[derive(Debug, Serialize)]
#[serde(tag = "type")]
pub(super) enum MessageEvent<'a> {
    #[serde(rename = "message_start")]
    Start { message: Message<'a> },
    #[serde(rename = "message_delta")]
    Delta { delta: Ending, usage: Usage },
    #[serde(rename = "message_stop")]
    Stop,
}

impl MessageEvent<'_> {
    /// Its type, which is also the event's name.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Start { .. } => "message_start",
            Self::Delta { .. } => "message_delta",
            Self::Stop => "message_stop",
        }
    }
}

/// The body of an error.
#[derive(Debug, Serialize)]
pub(super) struct ErrorBody<'a> {
    pub(super) r#type: &'static str,
    pub(super) error: ErrorDetail<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request_id: Option<&'a str>,
}

#[derive(Debug, Serialize)]
pub(super) struct ErrorDetail<'a> {
    pub(super) r#type: &'static str,
    pub(super) message: &'a str,
}
