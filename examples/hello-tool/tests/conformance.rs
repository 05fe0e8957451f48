//! The testkit's suite, and what the tool counts.

use plugin_hello_tool::Counting;
use plugin_testkit::{call_tool, tools};
use serde_json::json;

#[test]
fn it_conforms() {
    tools::<Counting>();
}

#[test]
fn words_are_counted() {
    let counted = |text: &str| {
        let result = call_tool::<Counting>("word_count", &json!({ "text": text }));
        result.expect("it counts")["structuredContent"].clone()
    };
    assert_eq!(counted(""), json!({"words": 0, "lines": 0, "characters": 0}));
    let verse = "Grüße aus\n  dem All ";
    assert_eq!(counted(verse), json!({"words": 4, "lines": 2, "characters": 20}));
}

#[test]
fn arguments_that_are_missing_are_named() {
    let error = call_tool::<Counting>("word_count", &json!({})).expect_err("there is no text");
    assert_eq!(error.message(), "word_count: `text` is missing, a string expected");
}
