//! The suite of plugins that offer tools: offers that a host takes in whole, and answers that are
//! results of MCP.

use plugin_api::{Error, ToolCall, ToolOffer, ToolRequest, Tools, Wanted};
use serde_json::{Value, json};

/// Longest name that a host offers as it is.
const NAME_CHARS_MAX: usize = 64;

/// Runs the suite.
///
/// - everything that is offered has a name, or an address, of its own;
/// - names of tools and prompts are such that a host keeps them;
/// - tools have a description and schemas of objects;
/// - two offers of one version are the same.
///
/// # Panics
/// The first rule that is broken, in a sentence.
pub fn tools<T: Tools>() {
    assert!(!T::NAME.is_empty(), "the provider has no name");
    let version = T::version();
    let offer = offered::<T>();
    let same = offered::<T>() == offer || T::version() != version;
    assert!(same, "two offers of {} differ, but the version does not", T::NAME);
    for name in keys(&offer.tools, "name").into_iter().chain(keys(&offer.prompts, "name")) {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let kept = name.len() <= NAME_CHARS_MAX && name.chars().all(plain) && !name.contains("__");
        assert!(kept, "`{name}`: up to {NAME_CHARS_MAX} letters, digits, `_`, `-`, and no `__`");
    }
    keys(&offer.resources, "uri");
    keys(&offer.resource_templates, "uriTemplate");
    for tool in &offer.tools {
        let name = &tool["name"];
        let described = tool["description"].as_str().is_some_and(|text| !text.is_empty());
        assert!(described, "tool {name} has no description");
        let object = |schema: &Value| schema["type"] == "object";
        assert!(object(&tool["inputSchema"]), "tool {name}: `inputSchema` is of no object");
        let output = &tool["outputSchema"];
        assert!(output.is_null() || object(output), "tool {name}: `outputSchema` is of no object");
    }
}

/// Calls a tool as a client that cannot be asked and declared nothing.
///
/// # Errors
/// As the tool says.
///
/// # Panics
/// The arguments are no object.
pub fn call_tool<T: Tools>(name: &str, arguments: &Value) -> Result<Value, Error> {
    let arguments = arguments.as_object().expect("arguments are an object");
    let wanted = Wanted::Tool { name: name.to_owned(), arguments: arguments.clone() };
    let request =
        ToolRequest { wanted, input: Value::Null, capabilities: json!({}), can_ask: false };
    let answer = T::call(name, arguments, &ToolCall::unheard(&request))?;
    Ok(serde_json::to_value(answer).expect("a result is JSON"))
}

fn offered<T: Tools>() -> ToolOffer {
    let offer = T::offer();
    offer.unwrap_or_else(|error| crate::fail(&format!("{} offers nothing: {error}", T::NAME)))
}

/// What entries are found by; each must be a text, and there once.
fn keys<'a>(entries: &'a [Value], key: &str) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for entry in entries {
        let Some(name) = entry[key].as_str().filter(|name| !name.is_empty()) else {
            crate::fail(&format!("an entry without `{key}`: {entry}"));
        };
        assert!(!found.contains(&name), "`{name}` is offered twice");
        found.push(name);
    }
    found
}
