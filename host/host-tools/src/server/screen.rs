//! From what a server says about its things to what is offered here.
//!
//! The configuration chooses among the tools, and what does not look like a tool is dropped and
//! reported. A tool whose description changes after it was accepted may have been made to mislead:
//! with a pin it is held back, without one the change is reported.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::Offer;
use super::lists::Lists;
use crate::config::ServerConfig;
use crate::{Catalog, Glob, Owner, Tool, listing};

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
        prompts: listing::prompts(&config.names, owner, &lists.prompts),
        resources: listing::resources(&config.names, owner, &lists.resources),
        resource_templates: listing::templates(&config.names, owner, &lists.templates),
    };
    let offer = Offer { catalog: Arc::new(catalog), tools: offered };
    Screened { offer, problems, fingerprint, changed }
}

/// A tool, or none if the configuration does not want it.
fn tool(config: &ServerConfig, owner: &Owner, value: &Value) -> Result<Option<Tool>, String> {
    let original = listing::tool_name(value)?;
    let is_in = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(original));
    if is_in(&config.deny) || !config.allow.is_empty() && !is_in(&config.allow) {
        return Ok(None);
    }
    let mut tool = listing::tool(&config.names, owner, value)?;
    tool.hidden_from = config.hidden_from;
    tool.needs_approval = is_in(&config.require_approval);
    let origin = serde_json::json!({
        "source": "forwarded", "server": owner.name(), "tool": original,
        "display": format!("{}::{original}", owner.name()),
    });
    tool.meta.insert(ORIGIN_META.to_owned(), origin);
    Ok(Some(tool))
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
