//! Checks the messages of a conversation and puts them into the form that chat templates expect.
//!
//! Templates are code and take what they get without a word, so roles and contents are judged here.
//! What a message says is not looked at.

use serde_json::{Map, Value};

use crate::error::{ApiError, quote};
use crate::fields::{Fields, kind};
use crate::limits::MESSAGES_MAX;

const ROLES: [&str; 6] = ["system", "developer", "user", "assistant", "tool", "function"];

/// The messages of a request.
pub(crate) fn messages(fields: &Fields<'_>) -> Result<Vec<Value>, ApiError> {
    let one = |(index, message)| message_at(&format!("messages[{index}]"), message);
    list(fields)?.iter().enumerate().map(one).collect()
}

/// The messages as they were sent, at least one.
pub(crate) fn list<'a>(fields: &Fields<'a>) -> Result<&'a [Value], ApiError> {
    let messages = fields.list("messages")?.ok_or_else(|| ApiError::missing("messages"))?;
    let count = messages.len();
    if count == 0 || count > MESSAGES_MAX {
        let message = format!("messages has {count} entries, expected 1 to {MESSAGES_MAX}");
        return Err(ApiError::wrong_value("messages", message));
    }
    Ok(messages)
}

/// The message at this place of a request.
pub(crate) fn message_at(place: &str, message: &Value) -> Result<Value, ApiError> {
    let fields = Fields::of_object(message, place)?;
    let role = fields.text("role")?.ok_or_else(|| ApiError::missing(fields.name("role")))?;
    if !ROLES.contains(&role) {
        let expected = ROLES.join(", ");
        let message = format!("{place}.role is {}, expected one of {expected}", quote(role));
        return Err(ApiError::wrong_value(fields.name("role"), message));
    }
    let mut adapted = message.as_object().cloned().unwrap_or_default();
    check_content(&fields, role)?;
    // An absent content would be printed as an undefined value, or not at all.
    adapted.entry("content").or_insert(Value::Null);
    if let Some(calls) = adapted.get_mut("tool_calls") {
        check_tool_calls(&fields)?;
        parse_arguments(calls);
    }
    Ok(Value::Object(adapted))
}

fn check_content(fields: &Fields<'_>, role: &str) -> Result<(), ApiError> {
    let name = fields.name("content");
    match fields.value("content") {
        None if role == "assistant" || fields.has("content") => Ok(()),
        None => Err(ApiError::missing(name)),
        Some(Value::String(_)) => Ok(()),
        Some(Value::Array(parts)) => {
            parts.iter().enumerate().try_for_each(|(index, part)| check_part(&name, index, part))
        }
        Some(other) => {
            Err(ApiError::wrong_type(name, "a string, null or an array of parts", kind(other)))
        }
    }
}

fn check_part(content: &str, index: usize, part: &Value) -> Result<(), ApiError> {
    let place = format!("{content}[{index}]");
    let fields = Fields::of_object(part, &place)?;
    let kind = fields.text("type")?.ok_or_else(|| ApiError::missing(fields.name("type")))?;
    match kind {
        "text" => match fields.text("text")? {
            Some(_) => Ok(()),
            None => Err(ApiError::missing(fields.name("text"))),
        },
        "image_url" | "input_image" | "image" | "input_audio" | "file" | "video_url" => {
            let message = format!("the model takes text only and {place} is a part of type {kind}");
            Err(ApiError::unsupported(fields.name("type"), message))
        }
        other => {
            let message = format!("{place}.type is {}, expected `text`", quote(other));
            Err(ApiError::wrong_value(fields.name("type"), message))
        }
    }
}

fn check_tool_calls(fields: &Fields<'_>) -> Result<(), ApiError> {
    let calls = fields.list("tool_calls")?.unwrap_or_default();
    for (index, call) in calls.iter().enumerate() {
        let place = format!("{}[{index}]", fields.name("tool_calls"));
        let call = Fields::of_object(call, &place)?;
        let place = call.name("function");
        let function = call.value("function").ok_or_else(|| ApiError::missing(place.as_str()))?;
        let function = Fields::of_object(function, &place)?;
        if function.text("name")?.is_none() {
            return Err(ApiError::missing(function.name("name")));
        }
    }
    Ok(())
}

/// On the wire the arguments of a call are a string that holds JSON; templates print the JSON.
fn parse_arguments(calls: &mut Value) {
    for call in calls.as_array_mut().into_iter().flatten() {
        let Some(arguments) = call.pointer_mut("/function/arguments") else { continue };
        let parsed = arguments.as_str().map(serde_json::from_str::<Map<String, Value>>);
        if let Some(Ok(parsed)) = parsed {
            *arguments = Value::Object(parsed);
        }
    }
}
