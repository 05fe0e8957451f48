//! From the lists of MCP, as a server or a plugin writes them, to what is offered here.
//!
//! All of it is text from elsewhere that a model will read. Invisible characters are taken out,
//! lengths are bounded, and what does not look like what it should be is dropped.

use std::sync::Arc;

use serde_json::Value;

use crate::config::Names;
use crate::registry::size;
use crate::{
    Annotations, Map, Owner, Prompt, PromptArgument, Resource, ResourceTemplate, Tool, names,
};

/// Most bytes of a description.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// Most bytes of a short text: a title, or the name of a resource.
const SHORT_BYTES_MAX: usize = 200;

/// Most bytes of a schema, and how deep it may be.
const SCHEMA_BYTES_MAX: usize = 256 << 10;
const SCHEMA_DEPTH_MAX: usize = 64;

/// The name of a tool where it comes from.
pub(crate) fn tool_name(value: &Value) -> Result<&str, String> {
    Ok(value["name"].as_str().ok_or("a tool without a name is dropped")?)
}

/// A tool that needs what [`Tool::new`] says, or why it is none.
pub(crate) fn tool(names: &Names, owner: &Owner, value: &Value) -> Result<Tool, String> {
    let original = tool_name(value)?;
    let shown = text(original, 80);
    let name = names::name(names, original)
        .ok_or_else(|| format!("tool `{shown}`: a flat name may not hold `__`; it is dropped"))?;
    let schema = |key: &str| match &value[key] {
        Value::Null => Ok(None),
        Value::Object(schema) => {
            let (bytes, depth) = (size::of(&value[key]), size::depth(&value[key]));
            if bytes > SCHEMA_BYTES_MAX || depth > SCHEMA_DEPTH_MAX {
                return Err(format!("tool `{shown}`: `{key}` is too large; it is dropped"));
            }
            Ok(Some(schema.clone()))
        }
        _ => Err(format!("tool `{shown}`: `{key}` is no object; it is dropped")),
    };
    let input_schema = schema("inputSchema")?
        .ok_or_else(|| format!("tool `{shown}`: no `inputSchema`; it is dropped"))?;
    let hints = &value["annotations"];
    let title = value["title"].as_str().or(hints["title"].as_str());
    let description = text(value["description"].as_str().unwrap_or_default(), TEXT_BYTES_MAX);
    Ok(Tool {
        title: title.map(|title| text(title, SHORT_BYTES_MAX)),
        output_schema: schema("outputSchema")?.map(Arc::new),
        annotations: Annotations {
            read_only: hints["readOnlyHint"].as_bool(),
            destructive: hints["destructiveHint"].as_bool(),
            idempotent: hints["idempotentHint"].as_bool(),
            open_world: hints["openWorldHint"].as_bool(),
        },
        original_name: original.to_owned(),
        meta: meta(value),
        ..Tool::new(&name, &description, input_schema, owner.clone())
    })
}

/// The prompts of a list.
pub(crate) fn prompts(names: &Names, owner: &Owner, values: &[Value]) -> Vec<Arc<Prompt>> {
    every(values, |value| {
        let original = value["name"].as_str()?;
        let arguments = value["arguments"].as_array().into_iter().flatten();
        Some(Prompt {
            name: names::name(names, original)?,
            title: optional_text(&value["title"]),
            description: text(value["description"].as_str().unwrap_or_default(), TEXT_BYTES_MAX),
            arguments: arguments.filter_map(argument).collect(),
            owner: owner.clone(),
            original_name: original.to_owned(),
            meta: meta(value),
        })
    })
}

fn argument(value: &Value) -> Option<PromptArgument> {
    Some(PromptArgument {
        name: value["name"].as_str()?.to_owned(),
        description: optional_text(&value["description"]),
        required: value["required"].as_bool().unwrap_or(false),
    })
}

/// The resources of a list.
pub(crate) fn resources(names: &Names, owner: &Owner, values: &[Value]) -> Vec<Arc<Resource>> {
    every(values, |value| {
        let original = value["uri"].as_str()?;
        Some(Resource {
            uri: names::uri(names, original),
            name: text(value["name"].as_str().unwrap_or(original), SHORT_BYTES_MAX),
            title: optional_text(&value["title"]),
            description: optional_text(&value["description"]),
            mime_type: optional_text(&value["mimeType"]),
            size: value["size"].as_u64(),
            owner: owner.clone(),
            original_uri: original.to_owned(),
            meta: meta(value),
        })
    })
}

/// The families of resources of a list.
pub(crate) fn templates(
    names: &Names,
    owner: &Owner,
    values: &[Value],
) -> Vec<Arc<ResourceTemplate>> {
    every(values, |value| {
        let original = value["uriTemplate"].as_str()?;
        Some(ResourceTemplate {
            uri_template: names::uri(names, original),
            name: text(value["name"].as_str().unwrap_or(original), SHORT_BYTES_MAX),
            title: optional_text(&value["title"]),
            description: optional_text(&value["description"]),
            mime_type: optional_text(&value["mimeType"]),
            owner: owner.clone(),
            meta: meta(value),
        })
    })
}

fn every<T>(values: &[Value], read: impl Fn(&Value) -> Option<T>) -> Vec<Arc<T>> {
    values.iter().filter_map(|value| read(value).map(Arc::new)).collect()
}

fn meta(value: &Value) -> Map {
    value["_meta"].as_object().cloned().unwrap_or_default()
}

fn optional_text(value: &Value) -> Option<String> {
    value.as_str().map(|value| text(value, TEXT_BYTES_MAX))
}

/// A text without what a reader cannot see, and no longer than allowed.
fn text(text: &str, bytes_max: usize) -> String {
    let mut shown = String::new();
    for c in text.chars().filter(|c| is_visible(*c)) {
        if shown.len() + c.len_utf8() > bytes_max {
            break;
        }
        shown.push(c);
    }
    shown
}

/// Not a control character, not one that turns the direction of the text, and not one of those
/// that show nothing and can carry a hidden message.
fn is_visible(c: char) -> bool {
    let hidden = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}');
    !hidden && (!c.is_control() || c == '\n' || c == '\t')
}

#[cfg(test)]
mod tests {
    use super::{TEXT_BYTES_MAX, is_visible, text};

    #[test]
    fn descriptions_are_short_and_visible() {
        let hidden = "a\u{7}b\u{202e}c\u{e0041}d\u{200b}\n\te";
        assert_eq!(text(hidden, 100), "abcd\n\te");
        assert_eq!(text(&"ü".repeat(9000), TEXT_BYTES_MAX).len(), TEXT_BYTES_MAX);
        assert!(is_visible('é') && is_visible('日') && !is_visible('\u{feff}'));
    }
}
