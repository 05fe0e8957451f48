//! Results as MCP writes them, on their way from whoever gave them to whoever asked.

use serde_json::Value;

use crate::{Map, ToolOutcome};

/// Keys of `_meta` that are the protocol's, between two neighbours only.
const RESERVED_META: &str = "io.modelcontextprotocol/";

/// A result of `tools/call` as it is passed on.
pub(crate) fn outcome(result: Value) -> ToolOutcome {
    if is_unfinished(&result) {
        return ToolOutcome { input_required: Some(neighbourly(result)), ..ToolOutcome::default() };
    }
    let Value::Object(mut result) = neighbourly(result) else {
        return ToolOutcome::failure("the answer is no result of a tool");
    };
    let content = match result.remove("content") {
        Some(Value::Array(content)) => content,
        _ => Vec::new(),
    };
    let meta = match result.remove("_meta") {
        Some(Value::Object(meta)) => meta,
        _ => Map::new(),
    };
    ToolOutcome {
        content,
        structured: result.remove("structuredContent"),
        is_error: result.get("isError").and_then(Value::as_bool).unwrap_or(false),
        meta,
        input_required: None,
    }
}

/// Whether it is no result yet, but wants more from the client first.
fn is_unfinished(result: &Value) -> bool {
    result["resultType"] == "input_required"
}

/// A result without what was meant for the host alone: how long it may be kept, and the
/// protocol's own keys.
pub(crate) fn neighbourly(mut result: Value) -> Value {
    let unfinished = is_unfinished(&result);
    if let Value::Object(fields) = &mut result {
        fields.retain(|key, _| match key.as_str() {
            "ttlMs" | "cacheScope" => false,
            "resultType" => unfinished,
            _ => true,
        });
        if let Some(Value::Object(meta)) = fields.get_mut("_meta") {
            meta.retain(|key, _| !key.starts_with(RESERVED_META));
            if meta.is_empty() {
                fields.remove("_meta");
            }
        }
    }
    result
}
