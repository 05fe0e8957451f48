//! Fixtures that tell the client how far they are, log, or ask it while they run.

use crate::{Arguments, Fixture, text};
use plugin_api::{Error, LogLevel, ToolAnswer, ToolCall};
use serde_json::{Value, json};
use std::sync::mpsc;
use std::time::Duration;

/// Between two things that are told.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) const TOOLS: &[Fixture] = &[
    Fixture::new("test_tool_with_logging", |_, call| {
        for said in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
            call.log(LogLevel::Info, &Value::from(said));
            pause();
        }
        Ok(ToolAnswer::text("Three messages were logged."))
    }),
    Fixture::new("test_logging_tool", |_, call| {
        call.log(LogLevel::Info, &Value::from("Only who asked for it hears this."));
        Ok(ToolAnswer::text("One message was logged."))
    }),
    Fixture::new("test_tool_with_progress", |_, call| {
        for done in [0.0, 50.0, 100.0] {
            call.progress(done, Some(100.0), "");
            pause();
        }
        Ok(ToolAnswer::text("All of it is done."))
    }),
    Fixture { takes: &["prompt"], needs: &["sampling"], ..Fixture::new("test_sampling", sampling) },
    Fixture {
        takes: &["message"],
        needs: &["elicitation"],
        ..Fixture::new("test_elicitation", |arguments, call| {
            let person = |about: &str| json!({"type": "string", "description": about});
            let fields = json!({
                "username": person("User's response"),
                "email": person("User's email address"),
            });
            elicit(call, text(arguments, "message"), &fields, &["username", "email"])
        })
    },
    Fixture {
        needs: &["elicitation"],
        ..Fixture::new("test_elicitation_sep1034_defaults", |_, call| {
            elicit(call, "Look through the defaults", &defaults(), &[])
        })
    },
    Fixture {
        needs: &["elicitation"],
        ..Fixture::new("test_elicitation_sep1330_enums", |_, call| {
            elicit(call, "Choose some of each", &choices(), &[])
        })
    },
    // For clients without a session: what it wants must not come as a request of its own.
    Fixture {
        needs: &["elicitation"],
        ..Fixture::new("test_streaming_elicitation", |_, call| {
            call.progress(1.0, None, "");
            Ok(crate::input::name_wanted())
        })
    },
    Fixture { needs: &["sampling"], ..Fixture::new("test_missing_capability", sampling) },
];

/// Waits without a clock of its own.
fn pause() {
    let (_open, never) = mpsc::sync_channel::<()>(0);
    let _timeout = never.recv_timeout(PAUSE);
}

fn sampling(arguments: &Arguments, call: &ToolCall<'_>) -> Result<ToolAnswer, Error> {
    let content = json!({"type": "text", "text": text(arguments, "prompt")});
    let params = json!({"messages": [{"role": "user", "content": content}], "maxTokens": 100});
    let said = call.ask("sampling/createMessage", &params)?;
    let said = said["content"]["text"].as_str().unwrap_or_default();
    Ok(ToolAnswer::text(format!("LLM response: {said}")))
}

fn elicit(
    call: &ToolCall<'_>,
    message: &str,
    properties: &Value,
    required: &[&str],
) -> Result<ToolAnswer, Error> {
    let schema = json!({"type": "object", "properties": properties, "required": required});
    let params = json!({"message": message, "requestedSchema": schema});
    let said = call.ask("elicitation/create", &params)?;
    let action = said["action"].as_str().unwrap_or_default();
    Ok(ToolAnswer::text(format!("User response: {action}, {}", said["content"])))
}

fn defaults() -> Value {
    json!({
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {
            "type": "string", "enum": ["active", "inactive", "pending"], "default": "active",
        },
        "verified": {"type": "boolean", "default": true},
    })
}

fn choices() -> Value {
    let plain = ["option1", "option2", "option3"];
    let titled = |word: &str| {
        let entry =
            |(value, nth): (&str, &str)| json!({"const": value, "title": format!("{nth} {word}")});
        [("value1", "First"), ("value2", "Second"), ("value3", "Third")].map(entry)
    };
    json!({
        "untitledSingle": {"type": "string", "enum": plain},
        "titledSingle": {"type": "string", "oneOf": titled("Option")},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled("Choice")}},
    })
}
