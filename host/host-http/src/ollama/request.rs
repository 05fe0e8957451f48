//! Reads a request as the chat request that asks for the same.
//!
//! Only what has another shape here is looked at; the rest is chat's to judge, and what it says of a
//! field is told in the name that the field has here.

use serde_json::{Map, Value, json};

use super::Endpoint;
use crate::error::ApiError;
use crate::fields::{Fields, kind};
use crate::limits::TOKENS_MAX;
use crate::tools;

/// Options and the fields of chat that mean the same; other options are not looked at.
const OPTIONS: [(&str, &str); 17] = [
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("top_k", "top_k"),
    ("min_p", "min_p"),
    ("typical_p", "typical_p"),
    ("xtc_probability", "xtc_probability"),
    ("xtc_threshold", "xtc_threshold"),
    ("dry_multiplier", "dry_multiplier"),
    ("dry_base", "dry_base"),
    ("dry_allowed_length", "dry_allowed_length"),
    ("dry_penalty_last_n", "dry_penalty_last_n"),
    ("dry_sequence_breakers", "dry_sequence_breakers"),
    ("seed", "seed"),
    ("stop", "stop"),
    ("repeat_penalty", "repetition_penalty"),
    ("presence_penalty", "presence_penalty"),
    ("frequency_penalty", "frequency_penalty"),
];

/// What is to be answered.
pub(super) enum Asked {
    /// The client wants the model to be loaded, which it is.
    Nothing,
    /// To be continued as it stands.
    Text(String),
    Messages(Vec<Value>),
}

/// The chat request without its conversation.
pub(super) fn settings(
    fields: &Fields<'_>,
    endpoint: Endpoint,
) -> Result<Map<String, Value>, ApiError> {
    let mut form = Map::new();
    if endpoint == Endpoint::Chat
        && let Some(tools) = fields.value("tools")
    {
        tools::own(fields)?;
        form.insert("tools".to_owned(), tools.clone());
    }
    if let Some(format) = response_format(fields)? {
        form.insert("response_format".to_owned(), format);
    }
    if let Some(think) = fields.value("think") {
        // Some models are told how much to think, by a word.
        let kwargs = json!({"enable_thinking": think.is_string() || fields.flag("think")?});
        form.insert("chat_template_kwargs".to_owned(), kwargs);
    }
    let Some(options) = fields.value("options") else { return Ok(form) };
    let options = Fields::of_object(options, "options")?;
    for (name, in_chat) in OPTIONS {
        if let Some(value) = options.value(name) {
            form.insert(in_chat.to_owned(), value.clone());
        }
    }
    // No number above 0 is no limit.
    let count = options.integer("num_predict", -TOKENS_MAX..=TOKENS_MAX)?;
    if let Some(count) = count.filter(|count| *count > 0) {
        form.insert("max_tokens".to_owned(), count.into());
    }
    Ok(form)
}

/// What the request asks.
pub(super) fn asked(fields: &Fields<'_>, endpoint: Endpoint) -> Result<Asked, ApiError> {
    match endpoint {
        Endpoint::Chat => conversation(fields),
        Endpoint::Generate => prompt(fields),
    }
}

/// The name that a field of the chat request has here.
pub(super) fn own_name(param: &str) -> String {
    if param.starts_with("response_format") {
        return "format".to_owned();
    }
    let same = |(_, in_chat): &&(&str, &str)| *in_chat == param;
    let option = OPTIONS.iter().find(same).map(|(name, _)| format!("options.{name}"));
    option.unwrap_or_else(|| param.to_owned())
}

fn conversation(fields: &Fields<'_>) -> Result<Asked, ApiError> {
    let messages = fields.list("messages")?.unwrap_or_default();
    if messages.is_empty() {
        return Ok(Asked::Nothing);
    }
    for (index, message) in messages.iter().enumerate() {
        let place = format!("messages[{index}]");
        refuse(&Fields::of_object(message, &place)?, "images", "the model takes text only")?;
    }
    Ok(Asked::Messages(messages.to_vec()))
}

fn prompt(fields: &Fields<'_>) -> Result<Asked, ApiError> {
    refuse(fields, "images", "the model takes text only")?;
    refuse(fields, "suffix", "put it into a raw prompt as the model knows it")?;
    refuse(fields, "template", "the model's own is used")?;
    let prompt = fields.text("prompt")?.unwrap_or_default();
    let (is_raw, system) = (fields.flag("raw")?, fields.text("system")?);
    if prompt.is_empty() {
        return Ok(Asked::Nothing);
    }
    if is_raw {
        return Ok(Asked::Text(prompt.to_owned()));
    }
    let system = system.filter(|system| !system.is_empty());
    let system = system.map(|system| json!({"role": "system", "content": system}));
    let user = json!({"role": "user", "content": prompt});
    Ok(Asked::Messages(system.into_iter().chain([user]).collect()))
}

/// Clients send empty fields for what they do not want.
fn refuse(fields: &Fields<'_>, field: &str, why: &str) -> Result<(), ApiError> {
    match fields.value(field) {
        None => Ok(()),
        Some(Value::Array(list)) if list.is_empty() => Ok(()),
        Some(Value::String(text)) if text.is_empty() => Ok(()),
        Some(_) => {
            let name = fields.name(field);
            let message = format!("{name} is not supported: {why}");
            Err(ApiError::unsupported(name, message))
        }
    }
}

fn response_format(fields: &Fields<'_>) -> Result<Option<Value>, ApiError> {
    match fields.value("format") {
        None => Ok(None),
        Some(Value::String(name)) if name.is_empty() => Ok(None),
        Some(Value::String(name)) if name == "json" => Ok(Some(json!({"type": "json_object"}))),
        Some(schema @ Value::Object(_)) => {
            Ok(Some(json!({"type": "json_schema", "json_schema": {"schema": schema}})))
        }
        Some(other) => {
            Err(ApiError::wrong_type("format", "`json` or a JSON schema as an object", kind(other)))
        }
    }
}
