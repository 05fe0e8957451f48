//! The schemas of the host's own tools: of the arguments, then of the result.

use serde_json::{Map, Value, json};

/// Properties of every tool that writes, beside what it is to write on.
fn sampling() -> Value {
    json!({
        "model": model(),
        "max_tokens": {"type": "integer", "minimum": 1, "description": "Most tokens of the answer"},
        "temperature": {"type": "number", "minimum": 0, "maximum": 2, "default": 1},
        "top_p": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "seed": {"type": "integer", "minimum": 0, "description": "Same seed, same answer"},
        "stop": {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
            "description": "Text that ends the answer and is not part of it",
        },
        "response_format": {
            "type": "object",
            "description": "What the answer must match, as in OpenAI's API",
            "properties": {
                "type": {"enum": ["text", "json_object", "json_schema"]},
                "json_schema": {
                    "type": "object",
                    "properties": {"schema": {"type": "object"}},
                    "required": ["schema"],
                },
            },
            "required": ["type"],
        },
    })
}

fn model() -> Value {
    json!({"type": "string", "description": "Id of a model. Without it: the first that can"})
}

/// An object with exactly these properties.
#[expect(clippy::needless_pass_by_value, reason = "written in place by callers, read by `json!`")]
pub(crate) fn object(properties: Value, required: &[&str]) -> Value {
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn with_sampling(name: &str, property: Value) -> Value {
    let mut properties = Map::new();
    properties.insert(name.to_owned(), property);
    if let Value::Object(sampling) = sampling() {
        properties.extend(sampling);
    }
    object(Value::Object(properties), &[name])
}

fn written() -> Value {
    let count = json!({"type": "integer", "minimum": 0});
    let usage = object(
        json!({"prompt_tokens": count, "completion_tokens": count, "total_tokens": count}),
        &["prompt_tokens", "completion_tokens", "total_tokens"],
    );
    let properties = json!({
        "model": {"type": "string"},
        "text": {"type": "string"},
        "finish_reason": {"enum": ["stop", "length"]},
        "usage": usage,
    });
    object(properties, &["model", "text", "finish_reason", "usage"])
}

pub(super) fn chat() -> [Value; 2] {
    let content = json!({
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}],
    });
    let message = json!({
        "type": "object",
        "properties": {"role": {"type": "string"}, "content": content},
        "required": ["role", "content"],
    });
    let messages = json!({"type": "array", "items": message, "minItems": 1, "maxItems": 4096});
    [with_sampling("messages", messages), written()]
}

pub(super) fn generate() -> [Value; 2] {
    [with_sampling("prompt", json!({"type": "string", "minLength": 1})), written()]
}

pub(super) fn embed() -> [Value; 2] {
    let input = json!({
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2048},
        ],
        "description": "One text or several",
    });
    let vectors = json!({"type": "array", "items": {"type": "array", "items": {"type": "number"}}});
    let usage = object(json!({"prompt_tokens": {"type": "integer"}}), &["prompt_tokens"]);
    let result = json!({"model": {"type": "string"}, "embeddings": vectors, "usage": usage});
    [
        object(json!({"input": input, "model": model()}), &["input"]),
        object(result, &["model", "embeddings", "usage"]),
    ]
}

pub(super) fn tokenize() -> [Value; 2] {
    let special = json!({
        "type": "boolean",
        "default": true,
        "description": "Put the tokens around it that the model expects around a text",
    });
    let input = json!({"text": {"type": "string"}, "model": model(), "add_special": special});
    let tokens = json!({"type": "array", "items": {"type": "integer"}});
    let result =
        json!({"model": {"type": "string"}, "tokens": tokens, "count": {"type": "integer"}});
    [object(input, &["text"]), object(result, &["model", "tokens", "count"])]
}

/// An object that has more properties than are named.
#[expect(clippy::needless_pass_by_value, reason = "written in place by callers, read by `json!`")]
fn open(properties: Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required})
}

fn model_shown() -> Value {
    let states = ["available", "loading", "ready", "draining", "faulted", "failed"];
    open(json!({"id": {"type": "string"}, "state": {"enum": states}}), &["id", "state"])
}

pub(super) fn models() -> [Value; 2] {
    let models = json!({"type": "array", "items": model_shown()});
    let memory = open(json!({"used_bytes": {"type": "integer"}}), &["used_bytes"]);
    [
        object(json!({}), &[]),
        object(json!({"models": models, "memory": memory}), &["models", "memory"]),
    ]
}

pub(super) fn plugins() -> [Value; 2] {
    let plugin =
        open(json!({"name": {"type": "string"}, "state": {"type": "string"}}), &["name", "state"]);
    let plugins = json!({"type": "array", "items": plugin});
    [object(json!({}), &[]), object(json!({"plugins": plugins}), &["plugins"])]
}

pub(super) fn model_load() -> [Value; 2] {
    let input = json!({
        "id": {
            "type": "string",
            "pattern": "^[A-Za-z0-9._:@/-]{1,200}$",
            "description": "Id of a model of the list, or the id it is to have",
        },
        "path": {"type": "string", "description": "File or folder on the host's machine"},
    });
    [object(input, &[]), object(json!({"model": model_shown()}), &["model"])]
}

pub(super) fn model_unload() -> [Value; 2] {
    let result = json!({"id": {"type": "string"}, "unloaded": {"type": "boolean"}});
    [object(json!({"id": {"type": "string"}}), &["id"]), object(result, &["id", "unloaded"])]
}
