//! From what a server says about its things to what is offered here.
//!
//! Everything a server says is untrusted text that a model will read. Invisible characters are
//! taken out, lengths are bounded, and what does not look like a tool is dropped and reported. A
//! tool whose description changes after it was accepted may have been made to mislead: with a pin
//! it is held back, without one the change is reported.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::lists::Lists;
use super::{Offer, names};
use crate::config::ServerConfig;
use crate::registry::size;
use crate::{
    Annotations, Catalog, Glob, Map, Owner, Prompt, PromptArgument, Resource, ResourceTemplate,
    Tool,
};

/// Most bytes of a description.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// Most bytes of a schema, and how deep it may be.
const SCHEMA_BYTES_MAX: usize = 256 << 10;
const SCHEMA_DEPTH_MAX: usize = 64;

/// Key of `_meta` that says where a tool comes from and what it is called there.
const ORIGIN_META: &str = "host/origin";

/// What was accepted from a server before: each tool's fingerprint.
pub(super) type Accepted = BTreeMap<String, String>;

/// What came of a server's lists.
pub(super) struct Screened {
    pub(super) offer: Offer,
    pub(super) problems: Vec<String>,
    /// SHA-256 of the list of tools.
    pub(super) fingerprint: String,
    /// Tools that are not what they were.
    pub(super) changed: Vec<String>,
}

/// Makes an offer of a server's lists.
pub(super) fn screen(
    config: &ServerConfig,
    owner: &Owner,
    lists: Lists,
    accepted: &mut Accepted,
) -> Screened {
    let mut problems = lists.problems;
    let prints: Accepted = lists.tools.iter().filter_map(named_fingerprint).collect();
    let fingerprint = hash(prints.iter().flat_map(|(name, print)| [name, print]));
    let pinned = config.pin.is_some();
    let fits = config.pin.as_ref().is_none_or(|pin| pin.eq_ignore_ascii_case(&fingerprint));
    let is_changed = |(name, print): &(&String, &String)| {
        accepted.get(*name).is_some_and(|before| before != *print)
    };
    let changed: Vec<_> = prints.iter().filter(is_changed).map(|(name, _)| name.clone()).collect();
    if !fits {
        problems.push(format!("the list of tools is not the pinned one; its pin is {fingerprint}"));
    }
    let held_back = |name: &str| pinned && !fits && accepted.get(name) != prints.get(name);
    let mut tools: BTreeMap<String, Vec<Arc<Tool>>> = BTreeMap::new();
    for value in &lists.tools {
        match tool(config, owner, value) {
            Ok(Some(tool)) if held_back(&tool.original_name) || !fits && accepted.is_empty() => {
                problems.push(format!("tool `{}` is held back by the pin", tool.original_name));
            }
            Ok(Some(tool)) => tools.entry(tool.name.clone()).or_default().push(Arc::new(tool)),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    if fits {
        accepted.clone_from(&prints);
    }
    let mut offered = BTreeMap::new();
    for (name, same) in tools {
        match <[_; 1]>::try_from(same) {
            Ok([tool]) => drop(offered.insert(name, tool)),
            Err(same) => {
                let count = same.len();
                problems.push(format!("{count} tools are called `{name}`: none is offered"));
            }
        }
    }
    let catalog = Catalog {
        tools: offered.values().map(Arc::clone).collect(),
        prompts: every(&lists.prompts, |value| prompt(config, owner, value)),
        resources: every(&lists.resources, |value| resource(config, owner, value)),
        resource_templates: every(&lists.templates, |value| template(config, owner, value)),
    };
    let offer = Offer { catalog: Arc::new(catalog), tools: offered };
    Screened { offer, problems, fingerprint, changed }
}

/// A tool, or none if the configuration does not want it.
fn tool(config: &ServerConfig, owner: &Owner, value: &Value) -> Result<Option<Tool>, String> {
    let original = value["name"].as_str().ok_or("a tool without a name is dropped")?;
    let is_in = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(original));
    if is_in(&config.deny) || !config.allow.is_empty() && !is_in(&config.allow) {
        return Ok(None);
    }
    let shown = text(original, 80);
    let name = names::name(&config.names, original)
        .ok_or_else(|| format!("tool `{shown}`: a flat name may not hold `__`; it is dropped"))?;
    let schema = |key: &str| match &value[key] {
        Value::Null => Ok(None),
        Value::Object(schema) => {
            let (bytes, depth) = (size::of(&value[key]), size::depth(&value[key]));
            if bytes > SCHEMA_BYTES_MAX || depth > SCHEMA_DEPTH_MAX {
                return Err(format!("tool `{shown}`: `{key}` is too large; it is dropped"));
            }
            Ok(Some(Arc::new(schema.clone())))
        }
        _ => Err(format!("tool `{shown}`: `{key}` is no object; it is dropped")),
    };
    let input_schema = schema("inputSchema")?
        .ok_or_else(|| format!("tool `{shown}`: no `inputSchema`; it is dropped"))?;
    let hints = &value["annotations"];
    let mut meta = value["_meta"].as_object().cloned().unwrap_or_default();
    let origin = serde_json::json!({
        "source": "forwarded", "server": owner.name(), "tool": original,
        "display": format!("{}::{original}", owner.name()),
    });
    meta.insert(ORIGIN_META.to_owned(), origin);
    Ok(Some(Tool {
        name,
        title: value["title"].as_str().or(hints["title"].as_str()).map(|title| text(title, 200)),
        description: text(value["description"].as_str().unwrap_or_default(), TEXT_BYTES_MAX),
        input_schema,
        output_schema: schema("outputSchema")?,
        annotations: Annotations {
            read_only: hints["readOnlyHint"].as_bool(),
            destructive: hints["destructiveHint"].as_bool(),
            idempotent: hints["idempotentHint"].as_bool(),
            open_world: hints["openWorldHint"].as_bool(),
        },
        owner: owner.clone(),
        original_name: original.to_owned(),
        need: crate::Need::Call,
        hidden_from: config.hidden_from,
        needs_approval: is_in(&config.require_approval),
        meta,
    }))
}

fn prompt(config: &ServerConfig, owner: &Owner, value: &Value) -> Option<Prompt> {
    let original = value["name"].as_str()?;
    let argument = |value: &Value| {
        Some(PromptArgument {
            name: value["name"].as_str()?.to_owned(),
            description: optional_text(&value["description"]),
            required: value["required"].as_bool().unwrap_or(false),
        })
    };
    let arguments = value["arguments"].as_array().into_iter().flatten();
    Some(Prompt {
        name: names::name(&config.names, original)?,
        title: optional_text(&value["title"]),
        description: text(value["description"].as_str().unwrap_or_default(), TEXT_BYTES_MAX),
        arguments: arguments.filter_map(argument).collect(),
        owner: owner.clone(),
        original_name: original.to_owned(),
        meta: meta(value),
    })
}

fn resource(config: &ServerConfig, owner: &Owner, value: &Value) -> Option<Resource> {
    let original = value["uri"].as_str()?;
    Some(Resource {
        uri: names::uri(&config.names, original),
        name: text(value["name"].as_str().unwrap_or(original), 200),
        title: optional_text(&value["title"]),
        description: optional_text(&value["description"]),
        mime_type: optional_text(&value["mimeType"]),
        size: value["size"].as_u64(),
        owner: owner.clone(),
        original_uri: original.to_owned(),
        meta: meta(value),
    })
}

fn template(config: &ServerConfig, owner: &Owner, value: &Value) -> Option<ResourceTemplate> {
    let original = value["uriTemplate"].as_str()?;
    Some(ResourceTemplate {
        uri_template: names::uri(&config.names, original),
        name: text(value["name"].as_str().unwrap_or(original), 200),
        title: optional_text(&value["title"]),
        description: optional_text(&value["description"]),
        mime_type: optional_text(&value["mimeType"]),
        owner: owner.clone(),
        meta: meta(value),
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

fn named_fingerprint(tool: &Value) -> Option<(String, String)> {
    let name = tool["name"].as_str()?;
    let parts = ["name", "title", "description", "inputSchema", "outputSchema"];
    let parts: Vec<_> = parts.iter().map(|part| tool[part].to_string()).collect();
    Some((name.to_owned(), hash(parts.iter())))
}

/// SHA-256 of some texts, in hexadecimal digits.
fn hash<'a>(parts: impl Iterator<Item = &'a String>) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part.as_bytes());
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
