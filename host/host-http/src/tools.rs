//! Checks tools and tool choice.
//!
//! Tools are shown to the model through its chat template; whether it calls one is its own affair,
//! and its call comes back as text. What would need the model's output to be constrained is refused
//! instead of ignored, because a client that asks for it relies on it.

use serde_json::Value;

use crate::error::{ApiError, quote};
use crate::fields::{Fields, kind};
use crate::limits::TOOLS_MAX;

/// The tools to show to the model.
pub(crate) fn tools(fields: &Fields<'_>) -> Result<Option<Value>, ApiError> {
    let tools = fields.list("tools")?.unwrap_or_default();
    if tools.len() > TOOLS_MAX {
        let message = format!("tools has {} entries, expected at most {TOOLS_MAX}", tools.len());
        return Err(ApiError::wrong_value("tools", message));
    }
    let names = tools
        .iter()
        .enumerate()
        .map(|(index, tool)| tool_name(index, tool))
        .collect::<Result<Vec<_>, _>>()?;
    let shown = choice_allows_tools(fields, &names)? && !tools.is_empty();
    Ok(shown.then(|| Value::Array(tools.to_vec())))
}

fn tool_name(index: usize, tool: &Value) -> Result<String, ApiError> {
    let place = format!("tools[{index}]");
    let fields = Fields::of_object(tool, &place)?;
    let kind = fields.text("type")?.ok_or_else(|| ApiError::missing(fields.name("type")))?;
    if kind != "function" {
        let message = format!("{place}.type is {}, expected `function`", quote(kind));
        return Err(ApiError::wrong_value(fields.name("type"), message));
    }
    let place = fields.name("function");
    let function = fields.value("function").ok_or_else(|| ApiError::missing(place.as_str()))?;
    let fields = Fields::of_object(function, &place)?;
    fields.object("parameters")?;
    match fields.text("name")? {
        None | Some("") => Err(ApiError::missing(fields.name("name"))),
        Some(name) => Ok(name.to_owned()),
    }
}

fn choice_allows_tools(fields: &Fields<'_>, names: &[String]) -> Result<bool, ApiError> {
    const PARAM: &str = "tool_choice";
    match fields.value(PARAM) {
        None => Ok(true),
        Some(Value::String(choice)) => match choice.as_str() {
            "auto" => Ok(true),
            "none" => Ok(false),
            "required" => Err(unsupported_choice("required")),
            other => {
                let message = format!(
                    "tool_choice is {}, expected none, auto, required or a function",
                    quote(other)
                );
                Err(ApiError::wrong_value(PARAM, message))
            }
        },
        Some(choice @ Value::Object(_)) => {
            let name = choice.pointer("/function/name").and_then(Value::as_str).unwrap_or_default();
            if !names.iter().any(|known| known == name) {
                let message = format!("tool_choice names {}, which is not in tools", quote(name));
                return Err(ApiError::wrong_value(PARAM, message));
            }
            Err(unsupported_choice("a named function"))
        }
        Some(other) => Err(ApiError::wrong_type(PARAM, "a string or an object", kind(other))),
    }
}

fn unsupported_choice(choice: &str) -> ApiError {
    let message = format!("tool_choice {choice} is not supported; use auto or none");
    ApiError::unsupported("tool_choice", message)
}
