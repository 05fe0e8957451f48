//! The little that is to be known of a JSON schema beside what the grammar library does with it.

use serde_json::{Map, Value};

/// The part of `whole` that a reference in `part` names, or `part` itself.
pub(crate) fn resolve<'a>(part: &'a Value, whole: &'a Value) -> &'a Value {
    let named = part.get("$ref").and_then(Value::as_str);
    let found = named.and_then(|path| whole.pointer(path.strip_prefix('#')?));
    found.unwrap_or(part)
}

/// The properties of an object that says which it has.
pub(crate) fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties")?.as_object().filter(|properties| !properties.is_empty())
}

pub(crate) fn is_required(schema: &Value, key: &str) -> bool {
    let required = schema["required"].as_array();
    required.is_some_and(|keys| keys.iter().any(|required| required == key))
}

pub(crate) fn is_text(schema: &Value) -> bool {
    schema["type"] == "string"
}

/// A part of a schema that may refer to the definitions of the whole.
pub(crate) fn with_definitions(part: &Value, whole: &Value) -> Value {
    let mut part = part.clone();
    for key in ["$defs", "definitions"] {
        if let (Some(object), Some(definitions)) = (part.as_object_mut(), whole.get(key)) {
            object.entry(key).or_insert_with(|| definitions.clone());
        }
    }
    part
}

/// Gives objects that name their properties no others, where the schema does not say. Such a document
/// is one that the schema allows, and a small model does not lose itself in making up keys.
///
/// Schemas that put several parts together are left alone: what one part does not name another may.
pub(crate) fn close_objects(schema: &mut Value) {
    if !combines(schema) {
        close(schema);
    }
}

/// Whether a schema has keywords by which several parts speak of the same object.
fn combines(schema: &Value) -> bool {
    const KEYWORDS: [&str; 7] = [
        "allOf",
        "not",
        "if",
        "dependentSchemas",
        "patternProperties",
        "propertyNames",
        "minProperties",
    ];
    match schema {
        Value::Object(object) => {
            let has_siblings = object.contains_key("properties")
                && ["$ref", "anyOf", "oneOf"].iter().any(|key| object.contains_key(*key));
            has_siblings
                || KEYWORDS.iter().any(|key| object.contains_key(*key))
                || object.values().any(combines)
        }
        Value::Array(items) => items.iter().any(combines),
        _ => false,
    }
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.values_mut().for_each(close);
            let names = object.get("properties").and_then(Value::as_object);
            let required = object.get("required").and_then(Value::as_array);
            let is_named = |key: &Value| {
                key.as_str().is_some_and(|key| names.is_some_and(|names| names.contains_key(key)))
            };
            let is_closable = names.is_some_and(|names| names.values().all(Value::is_object))
                && required.is_none_or(|keys| keys.iter().all(is_named));
            if is_closable && object.get("type").is_some_and(|kind| kind == "object") {
                object.entry("additionalProperties").or_insert(Value::Bool(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::close_objects;

    #[track_caller]
    fn check(mut schema: Value, expected: &Value) {
        close_objects(&mut schema);
        assert_eq!(schema, *expected);
    }

    #[test]
    fn objects_that_name_their_properties_are_closed() {
        let inner = json!({"type": "object", "properties": {"x": {"type": "integer"}}});
        let closed = json!({"type": "object", "properties": {"x": {"type": "integer"}},
                            "additionalProperties": false});
        check(inner.clone(), &closed);
        check(json!({"type": "array", "items": inner}), &json!({"type": "array", "items": closed}));
        let either = |it: &Value| json!({"anyOf": [it, {"type": "null"}]});
        check(either(&inner), &either(&closed));
    }

    #[test]
    fn what_the_schema_says_or_may_need_stays() {
        for schema in [
            json!({"type": "object"}),
            json!({"type": "object", "properties": {"x": {}}, "additionalProperties": true}),
            json!({"type": "object", "properties": {"x": {}}, "required": ["y"]}),
            json!({"allOf": [{"type": "object", "properties": {"x": {}}}, {"type": "object"}]}),
            json!({"type": "object", "properties": {"x": {}}, "anyOf": [{"required": ["y"]}]}),
            json!({"type": "object", "properties": {"x": {}}, "minProperties": 2}),
            json!({"enum": [{"properties": {"x": {}}}]}),
        ] {
            check(schema.clone(), &schema);
        }
    }
}
