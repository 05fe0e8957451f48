//! Reads tools and tool choice.
//!
//! Tools are shown to the model through its chat template and offered to the generator, which finds
//! calls in the answer, or sees to it that there is one. Whether a schema can be followed is judged
//! where it is compiled.

use host_generation::{Tool, ToolChoice, Tools};
use serde_json::Value;

use crate::error::{ApiError, quote};
use crate::fields::{Fields, kind};
use crate::limits::{TOOL_NAME_BYTES_MAX, TOOLS_MAX};

/// The client's tools to show to the model; `more` are those that the host adds to them.
pub(crate) fn shown(fields: &Fields<'_>, more: Vec<Tool>) -> Result<Option<Value>, ApiError> {
    let list = fields.list("tools")?.unwrap_or_default();
    Ok(tools(fields, more)?.map(|_| Value::Array(list.to_vec())))
}

/// The client's tools.
pub(crate) fn own(fields: &Fields<'_>) -> Result<Vec<Tool>, ApiError> {
    let list = fields.list("tools")?.unwrap_or_default();
    check_count("tools", list.len())?;
    list.iter().enumerate().map(|(index, given)| tool(index, given)).collect()
}

/// The tools that may be called, those of the client before `more`; none if there are none, or if
/// the choice is none of them.
pub(crate) fn tools(fields: &Fields<'_>, more: Vec<Tool>) -> Result<Option<Tools>, ApiError> {
    let mut offered = own(fields)?;
    offered.extend(more);
    check_count("mcp_tools", offered.len())?;
    let parallel =
        fields.value("parallel_tool_calls").is_none() || fields.flag("parallel_tool_calls")?;
    let choice = choice(fields, &offered)?.filter(|_| !offered.is_empty());
    Ok(choice.map(|choice| Tools { offered: offered.into(), choice, parallel }))
}

fn check_count(param: &str, found: usize) -> Result<(), ApiError> {
    if found <= TOOLS_MAX {
        return Ok(());
    }
    let message = format!("{param}: {found} tools, expected at most {TOOLS_MAX}");
    Err(ApiError::wrong_value(param, message))
}

fn tool(index: usize, given: &Value) -> Result<Tool, ApiError> {
    let place = format!("tools[{index}]");
    let fields = Fields::of_object(given, &place)?;
    let kind = fields.text("type")?.ok_or_else(|| ApiError::missing(fields.name("type")))?;
    if kind != "function" {
        let message = format!("{place}.type is {}, expected `function`", quote(kind));
        return Err(ApiError::wrong_value(fields.name("type"), message));
    }
    let place = fields.name("function");
    let function = fields.value("function").ok_or_else(|| ApiError::missing(place.as_str()))?;
    named(&Fields::of_object(function, &place)?, "parameters")
}

/// The tool of this name, whose arguments have the schema in the field `schema`.
pub(crate) fn named(fields: &Fields<'_>, schema: &str) -> Result<Tool, ApiError> {
    let parameters = fields.object(schema)?.cloned().map(Value::Object);
    match fields.text("name")? {
        None | Some("") => Err(ApiError::missing(fields.name("name"))),
        Some(name) if name.len() > TOOL_NAME_BYTES_MAX => {
            let param = fields.name("name");
            let found = name.len();
            let message =
                format!("{param} has {found} bytes, expected at most {TOOL_NAME_BYTES_MAX}");
            Err(ApiError::wrong_value(param, message))
        }
        Some(name) => Ok(Tool { name: name.to_owned(), parameters }),
    }
}

fn choice(fields: &Fields<'_>, offered: &[Tool]) -> Result<Option<ToolChoice>, ApiError> {
    const PARAM: &str = "tool_choice";
    match fields.value(PARAM) {
        None => Ok(Some(ToolChoice::Auto)),
        Some(Value::String(choice)) => match choice.as_str() {
            "auto" => Ok(Some(ToolChoice::Auto)),
            "none" => Ok(None),
            "required" if offered.is_empty() => {
                let message =
                    "tool_choice is required and there are no tools, expected at least one";
                Err(ApiError::wrong_value(PARAM, message))
            }
            "required" => Ok(Some(ToolChoice::Required)),
            other => {
                let message = format!(
                    "tool_choice is {}, expected none, auto, required or a function",
                    quote(other)
                );
                Err(ApiError::wrong_value(PARAM, message))
            }
        },
        Some(choice @ Value::Object(_)) => {
            let name = choice.pointer("/function/name").or_else(|| choice.get("name"));
            let name = name.and_then(Value::as_str).unwrap_or_default();
            let index = offered.iter().position(|tool| tool.name == name).ok_or_else(|| {
                let message = format!("tool_choice names {}, which is not in tools", quote(name));
                ApiError::wrong_value(PARAM, message)
            })?;
            Ok(Some(ToolChoice::Named(index)))
        }
        Some(other) => Err(ApiError::wrong_type(PARAM, "a string or an object", kind(other))),
    }
}
