//! The lists of a server, page by page and within bounds.

use std::time::Duration;

use serde_json::{Value, json};

use crate::registry::size;
use crate::session::{Introduction, Patience, Session};
use crate::{Caller, Context, ToolError};

/// Most entries of a list, but for tools, whose number the configuration bounds.
const ENTRIES_MAX: usize = 500;

/// Most bytes of a list.
const BYTES_MAX: usize = 2 << 20;

/// Most bytes of a page: a server that knows no pages sends all at once, and only what is offered of
/// it is kept.
const PAGE_BYTES_MAX: usize = 32 << 20;

/// Most pages of a list.
const PAGES_MAX: usize = 200;

/// How long a page may take.
const PATIENCE: Patience =
    Patience { silence: Duration::from_secs(15), total: Duration::from_secs(15) };

/// What a server lists, as it says it.
#[derive(Debug, Default)]
pub(super) struct Lists {
    pub(super) tools: Vec<Value>,
    pub(super) prompts: Vec<Value>,
    pub(super) resources: Vec<Value>,
    pub(super) templates: Vec<Value>,
    /// What was cut off, a line each.
    pub(super) problems: Vec<String>,
}

/// Reads all that a server offers. Without tools nothing is right; of the others, a list that
/// cannot be had is reported.
pub(super) async fn read(
    session: &Session,
    introduction: &Introduction,
    tools_max: usize,
) -> Result<Lists, ToolError> {
    let offers = |kind: &str| introduction.capabilities[kind].is_object();
    let mut lists = Lists::default();
    let _long_pages = session.read_longer_lines(PAGE_BYTES_MAX);
    if offers("tools") {
        lists.tools = pages(session, "tools/list", "tools", tools_max, &mut lists.problems).await?;
    }
    let others = [
        ("prompts", "prompts/list", "prompts"),
        ("resources", "resources/list", "resources"),
        ("resources", "resources/templates/list", "resourceTemplates"),
    ];
    for (kind, method, key) in others.into_iter().filter(|(kind, ..)| offers(kind)) {
        let read = pages(session, method, key, ENTRIES_MAX, &mut lists.problems).await;
        let list = match (read, key) {
            (Ok(list), _) => list,
            (Err(ToolError::Protocol { .. }), "resourceTemplates") => Vec::new(),
            (Err(error @ ToolError::Protocol { .. }), _) => {
                lists.problems.push(format!("{kind}: {error}"));
                Vec::new()
            }
            (Err(error), _) => return Err(error),
        };
        match key {
            "prompts" => lists.prompts = list,
            "resources" => lists.resources = list,
            _ => lists.templates = list,
        }
    }
    Ok(lists)
}

async fn pages(
    session: &Session,
    method: &str,
    key: &str,
    entries_max: usize,
    problems: &mut Vec<String>,
) -> Result<Vec<Value>, ToolError> {
    let context = Context::new(Caller::everything("host"));
    let (mut list, mut bytes) = (Vec::new(), 0);
    let mut cursor: Option<Value> = None;
    for _ in 0..PAGES_MAX {
        let params = cursor.as_ref().map_or(json!({}), |cursor| json!({ "cursor": cursor }));
        let mut page = session.request(method, params, &context, PATIENCE).await?;
        let Value::Array(entries) = page[key].take() else {
            problems.push(format!("{method}: an answer without `{key}`"));
            return Ok(list);
        };
        for entry in entries {
            bytes += size::of(&entry);
            if list.len() >= entries_max || bytes > BYTES_MAX {
                let count = list.len();
                problems.push(format!("{method}: only the first {count} are offered"));
                return Ok(list);
            }
            list.push(entry);
        }
        let next = page["nextCursor"].take();
        if next.is_null() || Some(&next) == cursor.as_ref() {
            return Ok(list);
        }
        cursor = Some(next);
    }
    problems.push(format!("{method}: more than {PAGES_MAX} pages"));
    Ok(list)
}
