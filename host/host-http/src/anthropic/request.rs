//! Puts a request of Anthropic's Messages API into the form of a chat.
//!
//! Fields that both APIs have go over as they are and are judged where chats are read. What has
//! another name or another shape is judged here, so that errors name what the client wrote.

use serde_json::{Map, Value, json};

use super::conversation::{self, required};
use crate::error::{ApiError, quote};
use crate::fields::Fields;
use crate::{sampling, tools};

/// Fields that mean the same in both APIs; the last two are this host's own.
const SHARED: [&str; 8] =
    ["model", "max_tokens", "stream", "temperature", "top_p", "top_k", "seed", "priority"];

/// The request as a chat.
pub(super) fn chat_form(fields: &Fields<'_>) -> Result<Map<String, Value>, ApiError> {
    let mut form = Map::new();
    for name in SHARED {
        if let Some(value) = fields.value(name) {
            form.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(stop) = fields.value("stop_sequences") {
        sampling::stop(fields, "stop_sequences")?;
        form.insert("stop".to_owned(), stop.clone());
    }
    form.insert("messages".to_owned(), conversation::messages(fields)?.into());
    if let Some(given) = fields.list("tools")? {
        let tools = given.iter().enumerate().map(|(index, given)| tool(index, given));
        form.insert("tools".to_owned(), tools.collect::<Result<Vec<_>, _>>()?.into());
    }
    add_tool_choice(fields, &mut form)?;
    add_thinking(fields, &mut form)?;
    Ok(form)
}

fn tool(index: usize, given: &Value) -> Result<Value, ApiError> {
    let place = format!("tools[{index}]");
    let fields = Fields::of_object(given, &place)?;
    if let Some(kind) = fields.text("type")?.filter(|kind| *kind != "custom") {
        let param = fields.name("type");
        let message = format!("{param} is {}, expected `custom`", quote(kind));
        return Err(ApiError::unsupported(param, message));
    }
    let tool = tools::named(&fields, "input_schema")?;
    let schema = tool.parameters.ok_or_else(|| ApiError::missing(fields.name("input_schema")))?;
    let mut function = Map::new();
    function.insert("name".to_owned(), tool.name.into());
    if let Some(description) = fields.text("description")? {
        function.insert("description".to_owned(), description.into());
    }
    function.insert("parameters".to_owned(), schema);
    Ok(json!({"type": "function", "function": function}))
}

fn add_tool_choice(fields: &Fields<'_>, form: &mut Map<String, Value>) -> Result<(), ApiError> {
    let Some(given) = fields.value("tool_choice") else { return Ok(()) };
    let choice = Fields::of_object(given, "tool_choice")?;
    let in_chat = match required(&choice, "type")? {
        same @ ("auto" | "none") => same.into(),
        "any" => "required".into(),
        "tool" => json!({"type": "function", "function": {"name": required(&choice, "name")?}}),
        other => {
            let param = choice.name("type");
            let message = format!("{param} is {}, expected auto, any, tool or none", quote(other));
            return Err(ApiError::wrong_value(param, message));
        }
    };
    let parallel = !choice.flag("disable_parallel_tool_use")?;
    form.insert("tool_choice".to_owned(), in_chat);
    form.insert("parallel_tool_calls".to_owned(), parallel.into());
    Ok(())
}

/// Whether to think is a variable of those chat templates that know it.
fn add_thinking(fields: &Fields<'_>, form: &mut Map<String, Value>) -> Result<(), ApiError> {
    let Some(thinking) = fields.value("thinking") else { return Ok(()) };
    if let Some(kind @ ("enabled" | "disabled")) =
        Fields::of_object(thinking, "thinking")?.text("type")?
    {
        let kwargs = json!({"enable_thinking": kind == "enabled"});
        form.insert("chat_template_kwargs".to_owned(), kwargs);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::chat_form;
    use crate::fields::Fields;

    /// A request and what it says as a chat.
    fn check(given: &Value, expected: &Value) {
        let object = given.as_object().expect("an object");
        let form = chat_form(&Fields::of_request(object)).expect("the request is good");
        assert_eq!(Value::Object(form), *expected);
    }

    #[test]
    fn a_conversation_with_tools_becomes_a_chat() {
        let text = |text: &str| json!({"type": "text", "text": text, "cache_control": {}});
        let used = json!({"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}});
        let thought = json!({"type": "thinking", "thinking": "hm", "signature": "s"});
        let result = json!({"type": "tool_result", "tool_use_id": "t1", "content": [text("3")]});
        let nothing = json!({"type": "tool_result", "tool_use_id": "t2", "is_error": true});
        let call = json!({"id": "t1", "type": "function",
            "function": {"name": "f", "arguments": {"a": 1}}});
        check(
            &json!({"system": [text("a"), text("b")], "messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": [thought, text("so"), used]},
                {"role": "user", "content": [result, nothing, text("x"), text("y")]},
            ]}),
            &json!({"messages": [
                {"role": "system", "content": "a\nb"},
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": "so", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "t1", "content": "3"},
                {"role": "tool", "tool_call_id": "t2", "content": ""},
                {"role": "user", "content": "x\ny"},
            ]}),
        );
    }

    #[test]
    fn fields_of_other_names_are_translated_and_others_stay_behind() {
        let messages = json!([{"role": "user", "content": "hi"}]);
        let schema = json!({"type": "object"});
        let function = json!({"name": "f", "description": "d", "parameters": schema});
        check(
            &json!({
                "model": "m", "max_tokens": 5, "messages": messages, "stop_sequences": ["x"],
                "temperature": 0.5, "n": 3, "metadata": {"user_id": "u"}, "response_format": 1,
                "tools": [{"type": "custom", "name": "f", "description": "d",
                    "input_schema": schema, "cache_control": {}}],
                "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
                "thinking": {"type": "enabled", "budget_tokens": 1024},
            }),
            &json!({
                "model": "m", "max_tokens": 5, "messages": messages, "stop": ["x"],
                "temperature": 0.5,
                "tools": [{"type": "function", "function": function}],
                "tool_choice": "required", "parallel_tool_calls": false,
                "chat_template_kwargs": {"enable_thinking": true},
            }),
        );
    }
}
