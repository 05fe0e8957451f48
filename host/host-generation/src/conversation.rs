//! Adapts a conversation to what a chat template can read.
//!
//! Clients send what newer models know: the role `developer`, content as a list of parts, content
//! that is null beside tool calls. Many templates know plain text and `system` only, and would print
//! a list or `None` into the prompt without a word. What a template does know is left as it is.

use serde_json::{Value, json};

/// What a template can read beside plain text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Abilities {
    /// It tells `developer` from `system`.
    pub(crate) developer: bool,
    /// It reads content that is a list of parts.
    pub(crate) parts: bool,
}

const PROBE: &str = "@part@";

/// A conversation that shows whether a template reads parts.
pub(crate) fn probe() -> Vec<Value> {
    vec![json!({"role": "user", "content": [{"type": "text", "text": PROBE}]})]
}

/// Whether the rendered probe holds the text of the part, and not the list itself in print.
pub(crate) fn reads_parts(rendered: &str) -> bool {
    rendered.contains(PROBE) && !rendered.contains("'type'") && !rendered.contains("\"type\"")
}

/// The messages in a form that the template can read.
pub(crate) fn adapt(messages: &[Value], abilities: Abilities) -> Vec<Value> {
    let mut messages = messages.to_vec();
    for message in messages.iter_mut().filter_map(Value::as_object_mut) {
        if !abilities.developer && message.get("role").is_some_and(|role| role == "developer") {
            message.insert("role".to_owned(), "system".into());
        }
        if let Some(content) = message.get_mut("content") {
            adapt_content(content, abilities);
        }
    }
    messages
}

fn adapt_content(content: &mut Value, abilities: Abilities) {
    match content {
        Value::Null => *content = "".into(),
        Value::Array(parts) if !abilities.parts && parts.iter().all(is_text) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            *content = texts.join("\n").into();
        }
        _ => {}
    }
}

fn is_text(part: &Value) -> bool {
    part["text"].is_string()
}

#[cfg(test)]
mod tests {
    use super::{Abilities, adapt, reads_parts};
    use serde_json::{Value, json};

    fn check(abilities: Abilities, message: Value, expected: Value) {
        assert_eq!(adapt(&[message], abilities), [expected]);
    }

    #[test]
    fn what_a_template_cannot_read_is_put_in_plain_words() {
        let parts = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        let message = json!({"role": "developer", "content": parts});
        let plain = Abilities::default();
        check(plain, message.clone(), json!({"role": "system", "content": "a\nb"}));
        let able = Abilities { developer: true, parts: true };
        check(able, message.clone(), message);
        let null = json!({"role": "assistant", "content": null, "tool_calls": []});
        check(able, null, json!({"role": "assistant", "content": "", "tool_calls": []}));
        let image = json!({"role": "user", "content": [{"type": "image"}]});
        check(plain, image.clone(), image);
    }

    #[test]
    fn a_printed_list_is_not_read() {
        assert!(reads_parts("<user>@part@"));
        assert!(!reads_parts("[{'type': 'text', 'text': '@part@'}]"));
        assert!(!reads_parts("[{\"type\": \"text\", \"text\": \"@part@\"}]"));
        assert!(!reads_parts("<user>"));
    }
}
