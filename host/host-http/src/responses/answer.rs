//! The response object: what the request said, and what became of it.

use host_generation::{FinishReason, GenerationEvent};
use serde_json::{Value, json};

use super::output::Output;
use crate::answer::Head;
use crate::error::ApiError;
use crate::fields::Fields;

/// An answer while it is made.
#[derive(Debug)]
pub(super) struct Answer {
    response: Value,
    pub(super) output: Output,
    prompt_tokens: usize,
}

impl Answer {
    pub(super) fn new(fields: &Fields<'_>, head: &Head, prompt_tokens: usize) -> Self {
        let or = |name, default: Value| fields.value(name).cloned().unwrap_or(default);
        let response = json!({
            "id": head.id,
            "object": "response",
            "created_at": head.created,
            "status": "in_progress",
            "error": null,
            "incomplete_details": null,
            "instructions": fields.value("instructions"),
            "max_output_tokens": fields.value("max_output_tokens"),
            "metadata": or("metadata", json!({})),
            "model": head.model,
            "output": [],
            "parallel_tool_calls": or("parallel_tool_calls", true.into()),
            "previous_response_id": null,
            "store": false,
            "temperature": or("temperature", 1.0.into()),
            "text": or("text", json!({"format": {"type": "text"}})),
            "tool_choice": or("tool_choice", "auto".into()),
            "tools": or("tools", json!([])),
            "top_p": or("top_p", 1.0.into()),
            "truncation": "disabled",
            "usage": null,
        });
        Self { response, output: Output::default(), prompt_tokens }
    }

    /// Takes what happened.
    pub(super) fn take(&mut self, event: GenerationEvent) {
        match event {
            GenerationEvent::Delta { delta, .. } => self.output.add(delta),
            GenerationEvent::Finished { reason, tokens, .. } => {
                self.output.finish(reason);
                if reason == FinishReason::Length {
                    self.response["incomplete_details"] = json!({"reason": "max_output_tokens"});
                    self.end("incomplete");
                } else {
                    self.end("completed");
                }
                self.response["usage"] = json!({
                    "input_tokens": self.prompt_tokens,
                    // Clients that check types want a count of writes, which have no price here.
                    "input_tokens_details": {
                        "cached_tokens": tokens.cached,
                        "cache_write_tokens": 0,
                    },
                    "output_tokens": tokens.completion,
                    "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
                    "total_tokens": self.prompt_tokens + tokens.completion,
                });
            }
            GenerationEvent::Failed { error, .. } => {
                self.output.close("incomplete");
                self.response["error"] = json!(ApiError::from(error));
                self.end("failed");
            }
        }
    }

    /// The response as it stands; its output comes with its end.
    pub(super) fn response(&self) -> &Value {
        &self.response
    }

    /// How it ended, if it has.
    pub(super) fn ended(&self) -> Option<&str> {
        self.response["status"].as_str().filter(|status| *status != "in_progress")
    }

    fn end(&mut self, status: &str) {
        self.response["status"] = status.into();
        self.response["output"] = self.output.to_json();
    }
}
