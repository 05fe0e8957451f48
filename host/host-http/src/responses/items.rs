//! Turns the input items of a request into the messages of a conversation.
//!
//! A call is an item of its own here and a part of the assistant's message in a conversation, so that
//! calls are added to what the assistant said before them.

use serde_json::{Value, json};

use crate::error::{ApiError, quote};
use crate::fields::{Fields, kind};
use crate::messages::message_at;

/// The messages that instructions and input make.
pub(super) fn messages(fields: &Fields<'_>) -> Result<Vec<Value>, ApiError> {
    let mut messages = Vec::new();
    if let Some(text) = fields.text("instructions")? {
        messages.push(json!({"role": "system", "content": text}));
    }
    match fields.value("input") {
        None => return Err(ApiError::missing("input")),
        Some(Value::String(text)) => messages.push(json!({"role": "user", "content": text})),
        Some(Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                add(&format!("input[{index}]"), item, &mut messages)?;
            }
        }
        Some(other) => {
            return Err(ApiError::wrong_type(
                "input",
                "a string or an array of items",
                kind(other),
            ));
        }
    }
    Ok(messages)
}

fn add(place: &str, item: &Value, messages: &mut Vec<Value>) -> Result<(), ApiError> {
    let fields = Fields::of_object(item, place)?;
    match fields.text("type")?.unwrap_or("message") {
        "message" => {
            let mut message = json!({"role": fields.value("role")});
            if let Some(content) = fields.value("content") {
                message["content"] = content_of_chat(content);
            }
            messages.push(message_at(place, &message)?);
        }
        "function_call" => add_call(called(&fields)?, messages),
        "function_call_output" => {
            let id = required(&fields, "call_id")?;
            let output = fields.value("output");
            let output = output.ok_or_else(|| ApiError::missing(fields.name("output")))?;
            let content = content_of_chat(output);
            let message = json!({"role": "tool", "tool_call_id": id, "content": content});
            let named = |error: ApiError| error.renamed(|it| it.replace(".content", ".output"));
            messages.push(message_at(place, &message).map_err(named)?);
        }
        // What a model thought is not shown to it again.
        "reasoning" => {}
        other => {
            let message = format!(
                "{place}.type is {}, expected message, function_call or function_call_output",
                quote(other)
            );
            return Err(ApiError::unsupported(fields.name("type"), message));
        }
    }
    Ok(())
}

/// Text parts have a type for each side here and only one in a conversation.
fn content_of_chat(content: &Value) -> Value {
    let mut content = content.clone();
    for part in content.as_array_mut().into_iter().flatten() {
        if let Some(kind) = part.get_mut("type")
            && (*kind == "input_text" || *kind == "output_text")
        {
            *kind = "text".into();
        }
    }
    content
}

fn called(fields: &Fields<'_>) -> Result<Value, ApiError> {
    let id = required(fields, "call_id")?;
    let name = required(fields, "name")?;
    let arguments = required(fields, "arguments")?;
    let function = json!({"name": name, "arguments": arguments});
    Ok(json!({"id": id, "type": "function", "function": function}))
}

fn add_call(call: Value, messages: &mut Vec<Value>) {
    if messages.last().is_none_or(|last| last["role"] != "assistant") {
        messages.push(json!({"role": "assistant", "content": null}));
    }
    let Some(Value::Object(last)) = messages.last_mut() else { return };
    if let Value::Array(calls) = last.entry("tool_calls").or_insert_with(|| json!([])) {
        calls.push(call);
    }
}

fn required<'a>(fields: &Fields<'a>, name: &str) -> Result<&'a str, ApiError> {
    fields.text(name)?.ok_or_else(|| ApiError::missing(fields.name(name)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::messages;
    use crate::fields::Fields;

    #[track_caller]
    fn check(request: Value, expected: &Value) {
        let Value::Object(request) = request else { unreachable!("a request is an object") };
        let found = messages(&Fields::of_request(&request)).expect("a conversation");
        assert_eq!(Value::Array(found), *expected);
    }

    #[test]
    fn a_text_is_what_the_user_says() {
        check(json!({"input": "hi"}), &json!([{"role": "user", "content": "hi"}]));
        let expected =
            json!([{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}]);
        check(json!({"instructions": "be kind", "input": "hi"}), &expected);
    }

    #[test]
    fn items_become_messages() {
        let input = json!([
            {"role": "user", "content": [{"type": "input_text", "text": "both?"}]},
            {"type": "reasoning", "summary": []},
            {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
             "content": [{"type": "output_text", "text": "I look.", "annotations": []}]},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{\"x\":1}"},
            {"type": "function_call", "call_id": "b", "name": "g", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "1"},
            {"type": "function_call_output", "call_id": "b",
             "output": [{"type": "input_text", "text": "2"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        ]);
        let call = |id: &str, name: &str, arguments: &str| {
            let function = json!({"name": name, "arguments": arguments});
            json!({"id": id, "type": "function", "function": function})
        };
        let said = json!([{"type": "text", "text": "I look.", "annotations": []}]);
        let calls = [call("a", "f", "{\"x\":1}"), call("b", "g", "{}")];
        let expected = json!([
            {"role": "user", "content": [{"type": "text", "text": "both?"}]},
            {"role": "assistant", "content": said, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "a", "content": "1"},
            {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "2"}]},
            {"role": "assistant", "content": null, "tool_calls": [call("c", "f", "{}")]},
        ]);
        check(json!({"input": input}), &expected);
    }
}
