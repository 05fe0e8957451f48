//! Reads a request as the chat request that asks for the same.
//!
//! Only what has another shape here is looked at; the rest is chat's to judge, and what it says of a
//! field is told in the name that the field has here.

use serde_json::{Map, Value, json};

use super::items;
use crate::error::{ApiError, quote};
use crate::fields::Fields;

/// Fields that are the same in a chat request.
const SAME: [&str; 9] = [
    "model",
    "chat_template_kwargs",
    "parallel_tool_calls",
    "priority",
    "seed",
    "temperature",
    "tool_choice",
    "top_k",
    "top_p",
];

/// Fields that need answers to be kept, or work to go on without its client.
const STATEFUL: [&str; 4] = ["previous_response_id", "conversation", "prompt", "background"];

/// The chat request.
pub(super) fn to_chat(fields: &Fields<'_>) -> Result<Map<String, Value>, ApiError> {
    for field in STATEFUL {
        if fields.value(field).is_some_and(|value| *value != false) {
            let message = format!("{field} is not supported: answers are not kept");
            return Err(ApiError::unsupported(field, message));
        }
    }
    check_tool_choice(fields)?;
    // Nothing but its type is looked at: it is the client's.
    fields.object("metadata")?;
    let same = SAME.into_iter().filter_map(|name| Some((name, fields.value(name)?.clone())));
    let mut chat: Map<String, Value> = same.map(|(name, value)| (name.to_owned(), value)).collect();
    let mut set = |name: &str, value| chat.insert(name.to_owned(), value);
    set("messages", items::messages(fields)?.into());
    if let Some(count) = fields.value("max_output_tokens") {
        set("max_completion_tokens", count.clone());
    }
    if let Some(list) = fields.list("tools")? {
        let tools: Vec<Value> = list.iter().enumerate().map(tool).collect::<Result<_, _>>()?;
        set("tools", tools.into());
    }
    if let Some(effort) = reasoning_effort(fields)? {
        set("reasoning_effort", effort.into());
    }
    if let Some(format) = response_format(fields)? {
        set("response_format", format);
    }
    Ok(chat)
}

/// The name that a field of the chat request has here.
pub(super) fn own_name(param: &str) -> String {
    const NAMES: [(&str, &str); 5] = [
        ("reasoning_effort", "reasoning.effort"),
        ("messages", "input"),
        ("max_completion_tokens", "max_output_tokens"),
        ("response_format.json_schema", "text.format"),
        ("response_format", "text.format"),
    ];
    let renamed = |(chat, own)| param.strip_prefix(chat).map(|rest| format!("{own}{rest}"));
    let name = NAMES.into_iter().find_map(renamed);
    name.unwrap_or_else(|| param.replacen("].function", "]", 1))
}

fn reasoning_effort<'a>(fields: &Fields<'a>) -> Result<Option<&'a str>, ApiError> {
    match fields.value("reasoning") {
        None => Ok(None),
        Some(reasoning) => Fields::of_object(reasoning, "reasoning")?.text("effort"),
    }
}

/// Chat has what concerns the function in an object of its own.
fn tool((index, given): (usize, &Value)) -> Result<Value, ApiError> {
    let place = format!("tools[{index}]");
    let fields = Fields::of_object(given, &place)?;
    match fields.text("type")? {
        None => Err(ApiError::missing(fields.name("type"))),
        Some("function") => {
            let mut function = given.clone();
            if let Some(function) = function.as_object_mut() {
                function.shift_remove("type");
            }
            Ok(json!({"type": "function", "function": function}))
        }
        Some(other) => {
            let message = format!("{place}.type is {}, expected function", quote(other));
            Err(ApiError::unsupported(fields.name("type"), message))
        }
    }
}

fn check_tool_choice(fields: &Fields<'_>) -> Result<(), ApiError> {
    let Some(choice @ Value::Object(_)) = fields.value("tool_choice") else { return Ok(()) };
    let fields = Fields::of_object(choice, "tool_choice")?;
    match fields.text("type")? {
        None => Err(ApiError::missing(fields.name("type"))),
        Some("function") => Ok(()),
        Some(other) => {
            let message = format!("tool_choice.type is {}, expected function", quote(other));
            Err(ApiError::unsupported(fields.name("type"), message))
        }
    }
}

fn response_format(fields: &Fields<'_>) -> Result<Option<Value>, ApiError> {
    let Some(text) = fields.value("text") else { return Ok(None) };
    let text = Fields::of_object(text, "text")?;
    let Some(format) = text.value("format") else { return Ok(None) };
    Ok(Some(match format["type"].as_str() {
        Some("json_schema") => json!({"type": "json_schema", "json_schema": format}),
        _ => format.clone(),
    }))
}
