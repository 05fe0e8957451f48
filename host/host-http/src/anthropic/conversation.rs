//! Puts a conversation of content blocks into the messages of a chat.
//!
//! What tools said stands in blocks of the user's messages here and in messages of its own there; the
//! system prompt is a field here and the first message there. What is said is not looked at.

use serde_json::{Value, json};

use crate::error::{ApiError, quote};
use crate::fields::{Fields, kind};
use crate::messages;

/// The messages of a request, its system prompt first.
pub(super) fn messages(fields: &Fields<'_>) -> Result<Vec<Value>, ApiError> {
    let mut chat = Vec::new();
    if let Some(system) = fields.value("system") {
        chat.push(said("system", &plain("system", system)?));
    }
    for (index, message) in messages::list(fields)?.iter().enumerate() {
        let place = format!("messages[{index}]");
        let fields = Fields::of_object(message, &place)?;
        let role = required(&fields, "role")?;
        let place = fields.name("content");
        let content = fields.value("content").ok_or_else(|| ApiError::missing(place.as_str()))?;
        if content.as_array().is_some_and(Vec::is_empty) {
            let message = format!("{place} is empty, expected at least one block");
            return Err(ApiError::wrong_value(place, message));
        }
        match role {
            "user" => add_user(&place, content, &mut chat)?,
            "assistant" => chat.push(assistant(&place, content)?),
            other => {
                let param = fields.name("role");
                let message = format!("{param} is {}, expected user or assistant", quote(other));
                return Err(ApiError::wrong_value(param, message));
            }
        }
    }
    Ok(chat)
}

/// A text that must be there.
pub(super) fn required<'a>(fields: &Fields<'a>, field: &str) -> Result<&'a str, ApiError> {
    fields.text(field)?.ok_or_else(|| ApiError::missing(fields.name(field)))
}

/// Adds what the user said and, as messages of their own, what tools said.
fn add_user(place: &str, content: &Value, chat: &mut Vec<Value>) -> Result<(), ApiError> {
    let mut texts = Vec::new();
    each_block(place, content, |kind, block| {
        match kind {
            "text" => texts.push(required(block, "text")?.to_owned()),
            "tool_result" => {
                flush(&mut texts, chat);
                chat.push(tool_result(block)?);
            }
            other => return Err(unfit(block, other, "text or tool_result")),
        }
        Ok(())
    })?;
    flush(&mut texts, chat);
    Ok(())
}

fn flush(texts: &mut Vec<String>, chat: &mut Vec<Value>) {
    if !texts.is_empty() {
        chat.push(said("user", &join(texts)));
        texts.clear();
    }
}

fn tool_result(block: &Fields<'_>) -> Result<Value, ApiError> {
    let id = required(block, "tool_use_id")?;
    let content = match block.value("content") {
        Some(content) => plain(&block.name("content"), content)?,
        None => String::new(),
    };
    Ok(json!({"role": "tool", "tool_call_id": id, "content": content}))
}

fn assistant(place: &str, content: &Value) -> Result<Value, ApiError> {
    let (mut texts, mut calls) = (Vec::new(), Vec::new());
    each_block(place, content, |kind, block| {
        match kind {
            "text" => texts.push(required(block, "text")?.to_owned()),
            "tool_use" => calls.push(tool_use(block)?),
            // What was thought for earlier answers is not shown again.
            "thinking" | "redacted_thinking" => {}
            other => return Err(unfit(block, other, "text or tool_use")),
        }
        Ok(())
    })?;
    let mut message = said("assistant", &join(&texts));
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    Ok(message)
}

fn tool_use(block: &Fields<'_>) -> Result<Value, ApiError> {
    let (id, name) = (required(block, "id")?, required(block, "name")?);
    let input = block.object("input")?.ok_or_else(|| ApiError::missing(block.name("input")))?;
    let function = json!({"name": name, "arguments": input});
    Ok(json!({"id": id, "type": "function", "function": function}))
}

/// Content that can be nothing but text.
fn plain(place: &str, content: &Value) -> Result<String, ApiError> {
    let mut texts = Vec::new();
    each_block(place, content, |kind, block| match kind {
        "text" => {
            texts.push(required(block, "text")?.to_owned());
            Ok(())
        }
        other => Err(unfit(block, other, "text")),
    })?;
    Ok(join(&texts))
}

/// Calls `take` with each block of a content and its type; a string is one block of text.
fn each_block(
    place: &str,
    content: &Value,
    mut take: impl FnMut(&str, &Fields<'_>) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let blocks = match content {
        Value::Array(blocks) => blocks,
        Value::String(text) => &vec![json!({"type": "text", "text": text})],
        other => {
            let expected = "a string or an array of content blocks";
            return Err(ApiError::wrong_type(place, expected, kind(other)));
        }
    };
    for (index, block) in blocks.iter().enumerate() {
        let place = format!("{place}[{index}]");
        let fields = Fields::of_object(block, &place)?;
        take(required(&fields, "type")?, &fields)?;
    }
    Ok(())
}

fn unfit(block: &Fields<'_>, found: &str, expected: &str) -> ApiError {
    let param = block.name("type");
    let message = format!("{param} is {}, expected {expected}", quote(found));
    ApiError::unsupported(param, message)
}

fn said(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

/// As chats join the parts of a content for templates that read plain text.
fn join(texts: &[String]) -> String {
    texts.join("\n")
}
