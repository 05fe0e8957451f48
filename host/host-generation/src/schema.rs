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
