//! What the tools that work on code take and give. Properties stand in the order in which a model
//! writes them.

use serde_json::{Value, json};

use crate::own::object;

/// Most entries of a list that a model of this host may write: a small one would not find its end.
const ENTRIES_MAX: usize = 16;

fn model() -> Value {
    json!({"type": "string", "description": "Id of the model to use"})
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn filled_text(description: &str) -> Value {
    json!({"type": "string", "minLength": 1, "description": description})
}

fn text_or(description: &str, default: &str) -> Value {
    json!({"type": "string", "default": default, "description": description})
}

fn texts() -> Value {
    json!({"type": "array", "items": {"type": "string"}})
}

pub(super) fn formalize_task() -> [Value; 2] {
    let input = json!({
        "informal_request": filled_text("What is wanted, in plain words"),
        "context": text_or("What is known about it", ""),
        "model": model(),
    });
    let output = json!({
        "formalized_description": text("The task, precisely"),
        "requirements": texts(),
        "steps": texts(),
        "estimated_complexity": {"enum": ["low", "medium", "high"]},
    });
    let all = ["formalized_description", "requirements", "steps", "estimated_complexity"];
    [object(input, &["informal_request"]), object(output, &all)]
}

pub(super) fn generate_code() -> [Value; 2] {
    let input = json!({
        "description": filled_text("What the code is to do"),
        "language": text_or("Programming language", "python"),
        "style": text_or("Style guide to follow", "pep8"),
        "model": model(),
    });
    let output = json!({
        "code": text("The code"),
        "language": text("Its language"),
        "explanation": text("How it works"),
        "dependencies": texts(),
    });
    let all = ["code", "language", "explanation", "dependencies"];
    [object(input, &["description"]), object(output, &all)]
}

pub(super) fn review_code() -> [Value; 2] {
    let input = json!({
        "code": filled_text("The code to review"),
        "style_guide": text_or("Style guide that it should follow", "pep8"),
        "focus_areas": {
            "type": "array",
            "items": {"type": "string"},
            "description": "What to look at most",
        },
        "model": model(),
    });
    let issue = json!({
        "severity": {"enum": ["low", "medium", "high", "critical"]},
        "line": {"type": "integer", "minimum": 1},
        "message": {"type": "string"},
        "suggestion": {"type": "string"},
    });
    let issue = object(issue, &["severity", "message", "suggestion"]);
    let output = json!({
        "overall_score": {"type": "integer", "minimum": 0, "maximum": 100},
        "issues": {"type": "array", "items": issue},
        "suggestions": texts(),
        "compliments": texts(),
        "refactored_code": text("The code as it should be"),
    });
    let all = ["overall_score", "issues", "suggestions", "compliments", "refactored_code"];
    [object(input, &["code"]), object(output, &all)]
}

/// The schema for a model to write by: the same, and its lists come to an end.
pub(super) fn bounded(mut schema: Value) -> Value {
    bound(&mut schema);
    schema
}

fn bound(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.values_mut().for_each(bound);
            if object.get("type").is_some_and(|kind| kind == "array") {
                object.insert("maxItems".to_owned(), ENTRIES_MAX.into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(bound),
        _ => {}
    }
}
