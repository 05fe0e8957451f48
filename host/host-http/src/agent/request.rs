//! What a request may ask of the agent loop.

use std::sync::Arc;

use host_generation::Tool;
use host_tools::agent::{Agent, AgentLimits, Permission, ROUNDS_DEFAULT, ROUNDS_MAX};
use host_tools::{Caller, Glob, Surface};
use serde_json::{Value, json};

use super::AgentOptions;
use crate::error::{ApiError, quote};
use crate::fields::{Fields, kind};
use crate::limits::{TOOL_NAME_BYTES_MAX, TOOL_PATTERNS_MAX};
use crate::tools;

/// Its tools as the generator wants them.
pub(crate) fn offered(agent: &Agent) -> Vec<Tool> {
    let tool = |tool: &Arc<host_tools::Tool>| {
        let parameters = Some(Value::Object((*tool.input_schema).clone()));
        Tool { name: tool.name.clone(), parameters }
    };
    agent.tools.iter().map(tool).collect()
}

/// Its tools as chat templates want them, after those of the client.
pub(crate) fn shown(agent: &Agent, own: Option<Value>) -> Value {
    let own = own.and_then(|own| own.as_array().cloned()).unwrap_or_default();
    own.into_iter().chain(agent.tools.iter().map(|tool| tool.function())).collect()
}

/// The loop that a request asks for, or that the operator wants for every chat; none for an answer
/// of one turn.
pub(crate) fn wanted(
    options: Option<&AgentOptions>,
    fields: &Fields<'_>,
    caller: Option<&Caller>,
) -> Result<Option<Agent>, ApiError> {
    let asked = patterns(fields)?;
    let rounds = fields.integer("max_tool_rounds", 1..=ROUNDS_MAX as i64)?;
    let permission = permission(fields)?;
    let profile = options.map(|options| &*options.profile).unwrap_or_default();
    let patterns = asked.as_deref().unwrap_or(profile);
    if patterns.is_empty() || fields.value("tool_choice") == Some(&json!("none")) {
        return Ok(None);
    }
    let (Some(options), Some(caller)) = (options, caller) else {
        let message = "mcp_tools needs tools and this host has none";
        return Err(ApiError::unsupported("mcp_tools", message));
    };
    if fields.integer("n", 1..=i64::MAX)?.is_some_and(|n| n > 1) {
        return Err(ApiError::unsupported("n", "n must be 1 with mcp_tools"));
    }
    let caller = Caller { surface: Surface::Agent, ..caller.clone() };
    let mut tools = Agent::offer(&options.registry, &caller, patterns);
    // What a model may do is what its requester may do and the operator lets models do.
    tools.retain(|tool| profile.is_empty() || profile.iter().any(|glob| glob.matches(&tool.name)));
    let others: Vec<String> = tools::own(fields)?.into_iter().map(|tool| tool.name).collect();
    if asked.is_some() {
        check_names(&tools, &others)?;
        check_patterns(&tools, patterns)?;
    } else {
        tools.retain(|tool| !others.contains(&tool.name));
    }
    let limits = AgentLimits {
        rounds_max: rounds.map_or(ROUNDS_DEFAULT, |rounds| rounds as usize),
        time_max: options.time_max,
        ..AgentLimits::default()
    };
    let (registry, permission) = (options.registry.clone(), permission.max(options.permission));
    let agent = Agent { registry, caller, tools, others, permission, limits };
    Ok(Some(agent).filter(|agent| !agent.tools.is_empty()))
}

fn patterns(fields: &Fields<'_>) -> Result<Option<Vec<Glob>>, ApiError> {
    const PARAM: &str = "mcp_tools";
    let Some(list) = fields.list(PARAM)? else { return Ok(None) };
    if list.len() > TOOL_PATTERNS_MAX {
        let found = list.len();
        let message = format!("{PARAM} has {found} entries, expected at most {TOOL_PATTERNS_MAX}");
        return Err(ApiError::wrong_value(PARAM, message));
    }
    let pattern = |(index, given): (usize, &Value)| {
        let place = format!("{PARAM}[{index}]");
        match given.as_str() {
            None => Err(ApiError::wrong_type(place, "a pattern of names", kind(given))),
            Some(text) if (1..=TOOL_NAME_BYTES_MAX).contains(&text.len()) => Ok(Glob::new(text)),
            Some(text) => {
                let found = text.len();
                let message =
                    format!("{place} has {found} bytes, expected 1 to {TOOL_NAME_BYTES_MAX}");
                Err(ApiError::wrong_value(place, message))
            }
        }
    };
    list.iter().enumerate().map(pattern).collect::<Result<_, _>>().map(Some)
}

fn permission(fields: &Fields<'_>) -> Result<Permission, ApiError> {
    const PARAM: &str = "agent_permission";
    let Some(word) = fields.text(PARAM)? else { return Ok(Permission::default()) };
    word.parse().map_err(|_| {
        let expected = Permission::NAMES.join(", ");
        let message = format!("{PARAM} is {}, expected one of {expected}", quote(word));
        ApiError::wrong_value(PARAM, message)
    })
}

/// A name must say whose tool it is.
fn check_names(offer: &[Arc<host_tools::Tool>], others: &[String]) -> Result<(), ApiError> {
    match others.iter().find(|name| offer.iter().any(|tool| tool.name == **name)) {
        None => Ok(()),
        Some(name) => {
            let name = quote(name);
            let message = format!("{name} is in tools and fits mcp_tools, expected one of both");
            Err(ApiError::wrong_value("tools", message))
        }
    }
}

/// An answer without the tools that were asked for would look as if they had been of no use.
fn check_patterns(offer: &[Arc<host_tools::Tool>], patterns: &[Glob]) -> Result<(), ApiError> {
    let fits = |glob: &Glob| offer.iter().any(|tool| glob.matches(&tool.name));
    match patterns.iter().position(|glob| !fits(glob)) {
        None => Ok(()),
        Some(index) => {
            let place = format!("mcp_tools[{index}]");
            let message = format!(
                "{place} fits no tool that a model may call for you; tools/list at /mcp shows what \
                 there is"
            );
            Err(ApiError::wrong_value(place, message))
        }
    }
}
