//! Fixtures that are read or filled: resources and prompts.

use crate::content::{PIXEL, embedded, image};
use crate::input::{answered, elicit};
use crate::{Arguments, text};
use plugin_api::{Error, ErrorKind, ToolAnswer, ToolCall};
use serde_json::{Value, json};

const TEMPLATE: [&str; 2] = ["test://template/", "/data"];

pub(crate) fn resources() -> Vec<Value> {
    let resource = |(name, kind): (&str, &str)| {
        let about = format!("Fixture of the conformance suite: {name}.");
        let uri = format!("test://{name}");
        json!({"uri": uri, "name": name, "description": about, "mimeType": kind})
    };
    let all = [
        ("static-text", "text/plain"),
        ("static-binary", "image/png"),
        ("watched-resource", "text/plain"),
    ];
    all.map(resource).to_vec()
}

pub(crate) fn templates() -> Vec<Value> {
    let [before, after] = TEMPLATE;
    vec![json!({
        "uriTemplate": format!("{before}{{id}}{after}"),
        "name": "template",
        "description": "Fixture of the conformance suite: a family of resources.",
        "mimeType": "application/json",
    })]
}

pub(crate) fn read(uri: &str) -> Option<ToolAnswer> {
    let [before, after] = TEMPLATE;
    let content = match uri {
        "test://static-text" => {
            let text = "This is the content of the static text resource.";
            json!({"mimeType": "text/plain", "text": text})
        }
        "test://static-binary" => json!({"mimeType": "image/png", "blob": PIXEL}),
        "test://watched-resource" => json!({"mimeType": "text/plain", "text": "Nothing new."}),
        _ => {
            let id = uri.strip_prefix(before)?.strip_suffix(after)?;
            let data = format!("Data for ID: {id}");
            let text = json!({"id": id, "templateTest": true, "data": data}).to_string();
            json!({"mimeType": "application/json", "text": text})
        }
    };
    let mut content = content;
    content["uri"] = Value::from(uri);
    Some(json!({"contents": [content]}).into())
}

pub(crate) fn prompts() -> Vec<Value> {
    let prompt = |name: &str, arguments: &[&str]| {
        let argument = |name: &&str| json!({"name": name, "required": true});
        json!({
            "name": name,
            "description": format!("Fixture of the conformance suite: {name}."),
            "arguments": arguments.iter().map(argument).collect::<Vec<_>>(),
        })
    };
    vec![
        prompt("test_simple_prompt", &[]),
        prompt("test_prompt_with_arguments", &["arg1", "arg2"]),
        prompt("test_prompt_with_embedded_resource", &["resourceUri"]),
        prompt("test_prompt_with_image", &[]),
        prompt("test_input_required_result_prompt", &[]),
    ]
}

pub(crate) fn fill(
    name: &str,
    arguments: &Arguments,
    call: &ToolCall<'_>,
) -> Result<ToolAnswer, Error> {
    let said = |text: &str| json!({"type": "text", "text": text});
    let given = |name: &str| text(arguments, name);
    let contents = match name {
        "test_simple_prompt" => vec![said("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => {
            let (one, other) = (given("arg1"), given("arg2"));
            vec![said(&format!("Prompt with arguments: arg1='{one}', arg2='{other}'"))]
        }
        "test_prompt_with_embedded_resource" => {
            let text = "Embedded resource content for testing.";
            let resource = embedded(given("resourceUri"), "text/plain", text);
            vec![resource, said("Please process the embedded resource above.")]
        }
        "test_prompt_with_image" => vec![image(), said("Please analyze the image above.")],
        "test_input_required_result_prompt" => match answered(call, "user_context", "context") {
            Some(context) => vec![said(&format!("Use this context: {context}"))],
            None => {
                let wanted = elicit("What context should the prompt use?", "context", "string");
                return Ok(ToolAnswer::input_required(json!({"user_context": wanted}), None));
            }
        },
        _ => return Err(Error::new(ErrorKind::NotFound, format!("no prompt `{name}`"))),
    };
    let message = |content| json!({"role": "user", "content": content});
    let messages: Vec<Value> = contents.into_iter().map(message).collect();
    Ok(json!({"messages": messages}).into())
}
