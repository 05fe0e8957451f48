//! How large and how deep a JSON value is, without writing it.

use serde_json::Value;

use crate::{ToolError, ToolOutcome};

/// Bytes of a value as JSON, a little less where characters are escaped.
pub(crate) fn of(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 4,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| of(item) + 1).sum::<usize>() + 2,
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| name.len() + of(value) + 4).sum::<usize>() + 2
        }
    }
}

/// Bytes of what a tool gave.
pub(crate) fn of_outcome(outcome: &ToolOutcome) -> usize {
    let content: usize = outcome.content.iter().map(of).sum();
    content + outcome.structured.as_ref().map_or(0, of)
}

/// Refuses what has too many bytes.
pub(crate) fn check(what: &'static str, bytes: usize, bytes_max: usize) -> Result<(), ToolError> {
    if bytes > bytes_max {
        return Err(ToolError::TooLarge { what, bytes, bytes_max });
    }
    Ok(())
}

/// How many values stand in each other; a value alone is 1.
pub(crate) fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(fields) => fields.values().map(depth).max(),
        _ => None,
    };
    1 + inner.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{depth, of};
    use serde_json::json;

    #[test]
    fn the_size_is_about_that_of_the_text() {
        for value in [json!(null), json!("abc"), json!([1, [true]]), json!({"a": {"b": "cd"}})] {
            let (found, written) = (of(&value), value.to_string().len());
            assert!(found.abs_diff(written) <= 16, "{found} for {value}");
        }
        assert_eq!(depth(&json!({"a": [1, {"b": 2}]})), 4);
    }
}
