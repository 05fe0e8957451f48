//! Schemas of tools, compiled once.
//!
//! A reference to elsewhere is refused when the schema is compiled: what a server writes must not
//! make the host fetch anything.

use std::fmt;

use jsonschema::{Draft, Retrieve, Uri, ValidationError, Validator};
use serde_json::Value;

use super::size;
use crate::Map;

/// Faults that are told at once.
const FAULTS_MAX: usize = 3;

/// Longest text about one fault; a fault may quote what was sent.
const FAULT_CHARS_MAX: usize = 300;

/// How deep a checked value may be.
const DEPTH_MAX: usize = 64;

/// A compiled schema.
pub(super) struct Schema(Validator);

impl Schema {
    /// Compiles a schema.
    pub(super) fn compile(schema: &Map) -> Result<Self, String> {
        jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_retriever(Nowhere)
            .build(&Value::Object(schema.clone()))
            .map(Self)
            .map_err(|error| short(&error))
    }

    /// Says what does not fit, and where.
    pub(super) fn check(&self, value: &Value) -> Result<(), String> {
        if size::depth(value) > DEPTH_MAX {
            return Err(format!("more than {DEPTH_MAX} values stand in each other"));
        }
        let faults: Vec<_> = self
            .0
            .iter_errors(value)
            .take(FAULTS_MAX)
            .map(|fault| match fault.instance_path.as_str() {
                "" => short(&fault),
                path => format!("{path}: {}", short(&fault)),
            })
            .collect();
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Schema")
    }
}

fn short(error: &ValidationError<'_>) -> String {
    error.to_string().chars().take(FAULT_CHARS_MAX).collect()
}

struct Nowhere;

impl Retrieve for Nowhere {
    fn retrieve(
        &self,
        uri: &Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err(format!("a reference to {uri} is not followed").into())
    }
}

#[cfg(test)]
mod tests {
    use super::Schema;
    use serde_json::{Value, json};

    fn compile(schema: &Value) -> Result<Schema, String> {
        Schema::compile(schema.as_object().unwrap())
    }

    #[test]
    fn faults_are_told_with_their_place() {
        let schema = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/n"}},
            "required": ["b"], "additionalProperties": false, "$defs": {"n": {"type": "integer"}}});
        let schema = compile(&schema).unwrap();
        assert!(schema.check(&json!({"a": 1, "b": 2})).is_err());
        let fault = schema.check(&json!({"a": "x"})).unwrap_err();
        assert!(fault.contains("/a: ") && fault.contains("\"b\""), "{fault}");
    }

    #[test]
    fn a_schema_may_refer_to_itself_only() {
        let fault = compile(&json!({"$ref": "http://127.0.0.1:9/schema.json"})).unwrap_err();
        assert!(fault.contains("not followed"), "{fault}");
        assert!(compile(&json!({"$ref": "file:///etc/passwd"})).is_err());
        assert!(compile(&json!({"type": 7})).is_err());
    }

    #[test]
    fn a_deep_value_is_refused() {
        let deep = (0..200).fold(json!(1), |value, _| json!([value]));
        assert!(compile(&json!({})).unwrap().check(&deep).is_err());
    }
}
