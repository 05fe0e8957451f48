//! An answer as lines of JSON, or as one object.
//!
//! The last line of a stream is the whole answer without what other lines have said. A call is sent
//! when it is whole, because its arguments are an object here.

use std::time::{Duration, Instant};

use host_generation::{FinishReason, GenerationEvent, ToolCallDelta};
use serde_json::{Map, Value, json};

use super::{Endpoint, error_body, models};
use crate::answer::{Gathered, Head};
use crate::event_stream::EventWriter;
use crate::ids::random_id;
use crate::wire;

/// An answer while it is made.
pub(super) struct Answer {
    endpoint: Endpoint,
    head: Head,
    prompt_tokens: usize,
    started: Instant,
    /// From the start to the first token.
    prompt_time: Duration,
    /// What has not been sent.
    gathered: Gathered,
    /// Tokens of the answer, once it has ended; it never does where nothing was asked.
    tokens: Option<usize>,
}

impl Answer {
    pub(super) fn new(
        endpoint: Endpoint,
        head: Head,
        prompt_tokens: usize,
        started: Instant,
    ) -> Self {
        let (prompt_time, gathered) = (Duration::ZERO, Gathered::EMPTY);
        Self { endpoint, head, prompt_tokens, started, prompt_time, gathered, tokens: None }
    }

    /// The first event has come.
    pub(super) fn begin(&mut self) {
        self.prompt_time = self.started.elapsed();
    }

    /// Takes what happened; a failure is its caller's.
    pub(super) fn take(&mut self, event: GenerationEvent) {
        match event {
            GenerationEvent::Delta { delta, .. } => self.gathered.add(delta),
            GenerationEvent::Finished { reason, tokens, .. } => {
                self.gathered.reason = reason;
                self.tokens = Some(tokens.completion);
            }
            GenerationEvent::Failed { .. } => {}
        }
    }

    /// All that has not been sent, and the figures.
    pub(super) fn whole(&mut self) -> Value {
        let calls = std::mem::take(&mut self.gathered.tool_calls);
        let mut body = self.part(&calls);
        let time = self.started.elapsed();
        body["done"] = true.into();
        body["done_reason"] = match (self.tokens, self.gathered.reason) {
            (None, _) => "load",
            (_, FinishReason::Length) => "length",
            (_, FinishReason::Stop | FinishReason::ToolCalls) => "stop",
        }
        .into();
        if let Some(tokens) = self.tokens {
            body["total_duration"] = nanoseconds(time);
            body["load_duration"] = 0.into();
            body["prompt_eval_count"] = self.prompt_tokens.into();
            body["prompt_eval_duration"] = nanoseconds(self.prompt_time);
            body["eval_count"] = tokens.into();
            body["eval_duration"] = nanoseconds(time.saturating_sub(self.prompt_time));
        }
        body
    }

    /// The text that has not been sent, and these calls.
    fn part(&mut self, calls: &[ToolCallDelta]) -> Value {
        let text = std::mem::take(&mut self.gathered.text);
        let thinking = std::mem::take(&mut self.gathered.reasoning);
        let mut body = json!({
            "model": self.head.model,
            "created_at": models::timestamp(self.head.created),
        });
        match self.endpoint {
            Endpoint::Generate => {
                body["response"] = text.into();
                if !thinking.is_empty() {
                    body["thinking"] = thinking.into();
                }
            }
            Endpoint::Chat => {
                body["message"] = json!({"role": "assistant", "content": text});
                if !thinking.is_empty() {
                    body["message"]["thinking"] = thinking.into();
                }
                if !calls.is_empty() {
                    body["message"]["tool_calls"] = calls.iter().map(call).collect();
                }
            }
        }
        body["done"] = false.into();
        body
    }
}

impl EventWriter for Answer {
    const CONTENT_TYPE: &'static str = "application/x-ndjson";

    fn write(&mut self, event: GenerationEvent, out: &mut Vec<u8>) {
        if let GenerationEvent::Failed { error, .. } = event {
            return write_line(&error_body(&error.into()), out);
        }
        self.take(event);
        let calls = match self.tokens {
            // They may still grow.
            None => Vec::new(),
            Some(_) => std::mem::take(&mut self.gathered.tool_calls),
        };
        let has_words = !self.gathered.text.is_empty() || !self.gathered.reasoning.is_empty();
        if has_words || !calls.is_empty() {
            write_line(&self.part(&calls), out);
        }
    }

    fn write_end(&mut self, out: &mut Vec<u8>) {
        write_line(&self.whole(), out);
    }
}

fn call(call: &ToolCallDelta) -> Value {
    // Arguments that were cut off by the token limit are no object, and cannot be sent.
    let arguments: Map<String, Value> = serde_json::from_str(&call.arguments).unwrap_or_default();
    json!({
        "id": random_id("call_"),
        "function": {"index": call.index, "name": call.name, "arguments": arguments},
    })
}

fn nanoseconds(time: Duration) -> Value {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).into()
}

fn write_line(body: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(&wire::to_json(body));
    out.push(b'\n');
}
