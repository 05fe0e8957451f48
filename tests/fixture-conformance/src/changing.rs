//! Fixtures that change what is offered: with every other call there is one thing more.

use crate::Fixture;
use plugin_api::ToolAnswer;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};

static TOOL_CHANGES: AtomicU32 = AtomicU32::new(0);
static PROMPT_CHANGES: AtomicU32 = AtomicU32::new(0);

pub(crate) const TOOLS: &[Fixture] = &[
    Fixture::new("test_trigger_tool_change", |_, _| {
        TOOL_CHANGES.fetch_add(1, Ordering::Relaxed);
        Ok(ToolAnswer::text("The list of tools is another one."))
    }),
    Fixture::new("test_trigger_prompt_change", |_, _| {
        PROMPT_CHANGES.fetch_add(1, Ordering::Relaxed);
        Ok(ToolAnswer::text("The list of prompts is another one."))
    }),
];

pub(crate) fn version() -> u64 {
    let changes = |of: &AtomicU32| u64::from(of.load(Ordering::Relaxed));
    changes(&TOOL_CHANGES) << 32 | changes(&PROMPT_CHANGES)
}

pub(crate) fn tool() -> Option<Value> {
    let about = "Fixture of the conformance suite: comes and goes.";
    is_there(&TOOL_CHANGES).then(|| {
        let schema = json!({"type": "object"});
        json!({"name": "test_changing_tool", "description": about, "inputSchema": schema})
    })
}

pub(crate) fn prompt() -> Option<Value> {
    let about = "Fixture of the conformance suite: comes and goes.";
    is_there(&PROMPT_CHANGES).then(|| json!({"name": "test_changing_prompt", "description": about}))
}

fn is_there(changes: &AtomicU32) -> bool {
    changes.load(Ordering::Relaxed) % 2 == 1
}
