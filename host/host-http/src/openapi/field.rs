//! One field of a request: its shape, what becomes of it, and a word about it.

use serde_json::{Value, json};

/// A field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) treatment: Treatment,
    pub(super) about: &'static str,
}

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Treatment {
    Required,
    Supported,
    /// Accepted, whatever it is, and without effect.
    Ignored,
    /// Answered with 400.
    Rejected,
}

/// What a field may be; null is the same as no field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shape {
    Any,
    Text,
    Flag,
    Integer(i64, i64),
    Number(f64, f64),
    /// More than the first, at most the second.
    NumberAbove(f64, f64),
    OneOf(&'static [&'static str]),
    List,
    Texts,
    TextOrTexts,
    Tokens,
    Object,
    /// Text, texts, tokens, or several of those.
    Prompt,
    Messages,
    Tools,
}

impl Field {
    pub(super) const fn new(name: &'static str, shape: Shape, about: &'static str) -> Self {
        Self { name, shape, treatment: Treatment::Supported, about }
    }

    pub(super) const fn required(self) -> Self {
        Self { treatment: Treatment::Required, ..self }
    }

    pub(super) const fn ignored(name: &'static str, about: &'static str) -> Self {
        Self { name, shape: Shape::Any, treatment: Treatment::Ignored, about }
    }

    pub(super) const fn rejected(name: &'static str, shape: Shape, about: &'static str) -> Self {
        Self { name, shape, treatment: Treatment::Rejected, about }
    }
}

impl Shape {
    /// The JSON schema, without null.
    pub(super) fn schema(self) -> Value {
        let text = json!({"type": "string"});
        let tokens = json!({"type": "array", "items": {"type": "integer", "minimum": 0}});
        match self {
            Self::Any => json!({}),
            Self::Text => text,
            Self::Flag => json!({"type": "boolean"}),
            Self::Integer(least, most) => {
                json!({"type": "integer", "minimum": least, "maximum": most})
            }
            Self::Number(least, most) => {
                json!({"type": "number", "minimum": least, "maximum": most})
            }
            Self::NumberAbove(least, most) => {
                json!({"type": "number", "exclusiveMinimum": least, "maximum": most})
            }
            Self::OneOf(words) => json!({"type": "string", "enum": words}),
            Self::List => json!({"type": "array"}),
            Self::Texts => json!({"type": "array", "items": text}),
            Self::TextOrTexts => json!({"anyOf": [text, {"type": "array", "items": text}]}),
            Self::Tokens => tokens,
            Self::Object => json!({"type": "object"}),
            Self::Prompt => json!({"anyOf": [
                text, {"type": "array", "items": text}, tokens, {"type": "array", "items": tokens},
            ]}),
            Self::Messages => json!({"type": "array", "items": {
                "type": "object", "required": ["role"], "properties": {"role": {"type": "string"}},
            }}),
            Self::Tools => json!({"type": "array", "items": {"type": "object"}}),
        }
    }
}
