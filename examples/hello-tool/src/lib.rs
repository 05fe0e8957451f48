//! Hello, tool: one tool, `word_count`, for every client and model of a host.
//!
//! This file says what the tool is called, what it takes and gives, and how it counts. Protocols,
//! schemas that must hold and who may call are the host's part.
#![forbid(unsafe_code)]

use plugin_api::{Error, ToolAnswer, ToolCall, ToolOffer, Tools};
use serde_json::{Map, Value, json};

/// What there is to count with.
#[derive(Debug)]
pub struct Counting;

impl Tools for Counting {
    const NAME: &'static str = "counting";

    fn offer() -> Result<ToolOffer, Error> {
        let count = json!({"type": "integer", "minimum": 0});
        let word_count = json!({
            "name": "word_count",
            "title": "Word count",
            "description": "Counts the words, lines and characters of a text.",
            "inputSchema": {
                "type": "object",
                "properties": {"text": {"type": "string", "description": "The text."}},
                "required": ["text"],
                "additionalProperties": false,
            },
            "outputSchema": {
                "type": "object",
                "properties": {"words": count, "lines": count, "characters": count},
                "required": ["words", "lines", "characters"],
            },
            "annotations": {"readOnlyHint": true, "openWorldHint": false},
        });
        Ok(ToolOffer { tools: vec![word_count], ..ToolOffer::default() })
    }

    fn call(
        name: &str,
        arguments: &Map<String, Value>,
        call: &ToolCall<'_>,
    ) -> Result<ToolAnswer, Error> {
        let Some(text) = arguments.get("text").and_then(Value::as_str) else {
            return Err(Error::invalid(format!("{name}: `text` is missing, a string expected")));
        };
        let (lines, mut words) = (text.lines().count(), 0);
        for (number, line) in text.lines().enumerate() {
            if call.is_cancelled() {
                return Err(Error::failed("nobody waits for the count any more"));
            }
            words += line.split_whitespace().count();
            call.progress((number + 1) as f64, Some(lines as f64), "");
        }
        let characters = text.chars().count();
        Ok(ToolAnswer::structured(
            json!({"words": words, "lines": lines, "characters": characters}),
        ))
    }
}

plugin_api::register!(tools: Counting);
plugin_api::export_plugin!();
