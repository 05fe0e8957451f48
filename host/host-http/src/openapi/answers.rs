//! The schemas of answers, as components of the document.

use serde_json::{Value, json};

pub(super) const CHAT: &str = "ChatCompletion";
pub(super) const COMPLETION: &str = "Completion";
pub(super) const EMBEDDINGS: &str = "Embeddings";
pub(super) const MODELS: &str = "Models";
pub(super) const MODEL: &str = "Model";
pub(super) const OBJECT: &str = "Object";
pub(super) const ERROR: &str = "Error";

/// All of them by name.
pub(super) fn schemas() -> Value {
    json!({
        CHAT: envelope("chat.completion", &json!({
            "index": {"type": "integer"},
            "message": {
                "type": "object",
                "required": ["role", "content"],
                "properties": {
                    "role": {"const": "assistant"},
                    "content": {"type": ["string", "null"]},
                    "reasoning_content": {"type": "string"},
                    "refusal": {"type": ["string", "null"]},
                    "tool_calls": {"type": "array", "items": tool_call()},
                },
            },
            "logprobs": {"type": ["object", "null"]},
            "finish_reason": {"enum": ["stop", "length", "tool_calls"]},
        })),
        COMPLETION: envelope("text_completion", &json!({
            "index": {"type": "integer"},
            "text": {"type": "string"},
            "logprobs": {"type": ["object", "null"]},
            "finish_reason": {"enum": ["stop", "length"]},
        })),
        EMBEDDINGS: list(&json!({
            "object": {"const": "embedding"},
            "index": {"type": "integer"},
            "embedding": {"type": ["array", "string"]},
        })),
        MODELS: list(&model_properties()),
        MODEL: object(&model_properties()),
        OBJECT: {"type": "object"},
        ERROR: {"type": "object", "required": ["error"], "properties": {"error": {}}},
    })
}

fn object(properties: &Value) -> Value {
    let required: Vec<&String> =
        properties.as_object().into_iter().flat_map(|it| it.keys()).collect();
    json!({"type": "object", "required": required, "properties": properties})
}

fn list(properties: &Value) -> Value {
    object(&json!({
        "object": {"const": "list"},
        "data": {"type": "array", "items": object(properties)},
    }))
}

fn model_properties() -> Value {
    json!({
        "id": {"type": "string"},
        "object": {"const": "model"},
        "created": {"type": "integer"},
        "owned_by": {"type": "string"},
        "host": {"type": "object"},
    })
}

fn envelope(kind: &str, choice: &Value) -> Value {
    object(&json!({
        "id": {"type": "string"},
        "object": {"const": kind},
        "created": {"type": "integer"},
        "model": {"type": "string"},
        "choices": {"type": "array", "items": object(choice)},
        "usage": object(&json!({
            "prompt_tokens": {"type": "integer"},
            "completion_tokens": {"type": "integer"},
            "total_tokens": {"type": "integer"},
        })),
    }))
}

fn tool_call() -> Value {
    object(&json!({
        "id": {"type": "string"},
        "type": {"const": "function"},
        "function": object(&json!({
            "name": {"type": "string"},
            "arguments": {"type": "string"},
        })),
    }))
}
