//! The suite of tools: it accepts a good offer and says what is wrong with bad ones.

use plugin_api::{Error, ToolAnswer, ToolCall, ToolOffer, Tools};
use plugin_testkit::{call_tool, tools};
use serde_json::{Map, Value, json};
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU32, Ordering};

/// Declares a provider of the tools that the block gives.
macro_rules! declare {
    ($name:ident, $tools:expr) => {
        struct $name;
        impl Tools for $name {
            const NAME: &'static str = "tiny";
            fn offer() -> Result<ToolOffer, Error> {
                Ok(ToolOffer { tools: $tools, ..ToolOffer::default() })
            }
            fn call(
                name: &str,
                arguments: &Map<String, Value>,
                call: &ToolCall<'_>,
            ) -> Result<ToolAnswer, Error> {
                call.progress(1.0, None, name);
                assert!(!call.is_cancelled() && !call.can_ask(), "nobody is there");
                call.ask("roots/list", &json!({})).expect_err("nobody is there");
                Ok(ToolAnswer::text(arguments.len().to_string()))
            }
        }
    };
}

fn tool(name: &str) -> Value {
    json!({"name": name, "description": "Counts.", "inputSchema": {"type": "object"}})
}

declare!(Good, vec![tool("count"), tool("count_all")]);
declare!(Twice, vec![tool("count"), tool("count")]);
declare!(Odd, vec![tool("other__count")]);
declare!(Mute, vec![json!({"name": "count", "inputSchema": {"type": "object"}})]);
declare!(Loose, vec![json!({"name": "count", "description": "Counts.", "inputSchema": {}})]);
declare!(Forgetful, {
    static OFFERED: AtomicU32 = AtomicU32::new(0);
    vec![tool(&format!("count{}", OFFERED.fetch_add(1, Ordering::Relaxed)))]
});

fn check<T: Tools>(expected: &str) {
    let failure = catch_unwind(tools::<T>).expect_err("the suite fails");
    let text = failure.downcast_ref::<String>().expect("a sentence");
    assert!(text.contains(expected), "`{text}` does not say `{expected}`");
}

#[test]
fn good_tools_pass_and_can_be_called() {
    tools::<Good>();
    let result = call_tool::<Good>("count", &json!({"a": 1})).expect("it counts");
    assert_eq!(result["content"][0]["text"], "1");
}

#[test]
fn bad_tools_are_told_what_is_wrong() {
    check::<Twice>("`count` is offered twice");
    check::<Odd>("and no `__`");
    check::<Mute>("has no description");
    check::<Loose>("`inputSchema` is of no object");
    check::<Forgetful>("two offers of tiny differ");
}
