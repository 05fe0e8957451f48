//! Fixtures that want more from the client before there is a result.

use crate::Fixture;
use plugin_api::{Error, ToolAnswer, ToolCall};
use serde_json::{Map, Value, json};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::OnceLock;

pub(crate) const TOOLS: &[Fixture] = &[
    Fixture::new("test_input_required_result_elicitation", |_, call| {
        Ok(match answered(call, "user_name", "name") {
            Some(name) => ToolAnswer::text(format!("Hello, {name}!")),
            None => name_wanted(),
        })
    }),
    Fixture::new("test_input_required_result_sampling", |_, call| {
        let said = call.response("capital_question").map(|said| &said["content"]["text"]);
        Ok(match said.and_then(Value::as_str) {
            Some(said) => ToolAnswer::text(said),
            None => {
                let wanted = sample("What is the capital of France?", 100);
                ToolAnswer::input_required(json!({"capital_question": wanted}), None)
            }
        })
    }),
    Fixture::new("test_input_required_result_list_roots", |_, call| {
        Ok(match call.response("client_roots") {
            Some(said) => ToolAnswer::text(format!("Roots: {}", said["roots"])),
            None => ToolAnswer::input_required(json!({"client_roots": roots()}), None),
        })
    }),
    Fixture::new("test_input_required_result_request_state", confirm),
    Fixture::new("test_input_required_result_tampered_state", confirm),
    Fixture::new("test_input_required_result_multiple_inputs", |_, call| {
        let keys = ["user_name", "greeting", "client_roots"];
        if keys.iter().all(|key| call.response(key).is_some()) {
            check(call, "all")?;
            return Ok(ToolAnswer::text("All three were answered."));
        }
        let wanted = json!({
            "user_name": elicit("What is your name?", "name", "string"),
            "greeting": sample("Generate a greeting", 50),
            "client_roots": roots(),
        });
        Ok(ToolAnswer::input_required(wanted, Some(&state("all"))))
    }),
    Fixture::new("test_input_required_result_multi_round", |_, call| {
        if let Some(color) = answered(call, "step2", "color") {
            check(call, "round-2")?;
            return Ok(ToolAnswer::text(format!("You like {color}.")));
        }
        if answered(call, "step1", "name").is_some() {
            check(call, "round-1")?;
            let wanted = elicit("Step 2: What is your favorite color?", "color", "string");
            let state = state("round-2");
            return Ok(ToolAnswer::input_required(json!({"step2": wanted}), Some(&state)));
        }
        let wanted = elicit("Step 1: What is your name?", "name", "string");
        Ok(ToolAnswer::input_required(json!({"step1": wanted}), Some(&state("round-1"))))
    }),
    Fixture::new("test_input_required_result_capabilities", |_, call| {
        let mut wanted = Map::new();
        if call.has_capability("sampling") {
            wanted.insert("greeting".to_owned(), sample("Generate a greeting", 50));
        }
        if call.has_capability("elicitation") {
            let asked = elicit("What is your name?", "name", "string");
            wanted.insert("user_name".to_owned(), asked);
        }
        Ok(ToolAnswer::input_required(Value::Object(wanted), None))
    }),
];

pub(crate) fn name_wanted() -> ToolAnswer {
    let wanted = elicit("What is your name?", "name", "string");
    ToolAnswer::input_required(json!({"user_name": wanted}), None)
}

/// A field of what a person answered to a question.
pub(crate) fn answered<'a>(call: &'a ToolCall<'_>, key: &str, field: &str) -> Option<&'a str> {
    call.response(key)?["content"][field].as_str()
}

/// Asks a person for one field.
pub(crate) fn elicit(message: &str, field: &str, kind: &str) -> Value {
    let schema = json!({
        "type": "object", "properties": {field: {"type": kind}}, "required": [field],
    });
    let params = json!({"message": message, "requestedSchema": schema});
    json!({"method": "elicitation/create", "params": params})
}

fn sample(text: &str, tokens_max: u32) -> Value {
    let content = json!({"type": "text", "text": text});
    let messages = json!([{"role": "user", "content": content}]);
    let params = json!({"messages": messages, "maxTokens": tokens_max});
    json!({"method": "sampling/createMessage", "params": params})
}

fn roots() -> Value {
    json!({"method": "roots/list", "params": {}})
}

fn confirm(_: &crate::Arguments, call: &ToolCall<'_>) -> Result<ToolAnswer, Error> {
    if call.response("confirm").is_some() {
        check(call, "confirm")?;
        return Ok(ToolAnswer::text("state-ok"));
    }
    let wanted = json!({"confirm": elicit("Please confirm", "ok", "boolean")});
    Ok(ToolAnswer::input_required(wanted, Some(&state("confirm"))))
}

/// A state that nobody else can write: the step, and its hash under a key of this process.
fn state(step: &str) -> String {
    static KEY: OnceLock<RandomState> = OnceLock::new();
    format!("{step}.{:016x}", KEY.get_or_init(RandomState::new).hash_one(step))
}

fn check(call: &ToolCall<'_>, step: &str) -> Result<(), Error> {
    if call.state() == Some(&*state(step)) {
        return Ok(());
    }
    Err(Error::invalid("requestState is not what this tool gave"))
}
