//! Tool calls: forced ones, those the model makes itself, and the stream that says the same.

use serde_json::{Value, json};

use crate::test_host::{TestHost, chat, chat_script};

const CHAT: &str = "/v1/chat/completions";

fn tools() -> Value {
    let weather = json!({
        "type": "object",
        "properties": {"city": {"$ref": "#/$defs/city"}, "days": {"type": "integer", "minimum": 1,
            "maximum": 5}},
        "required": ["city", "days"],
        "additionalProperties": false,
        "$defs": {"city": {"enum": ["Paris", "Rome"]}},
    });
    json!([
        {"type": "function", "function": {"name": "get_weather", "parameters": weather}},
        {"type": "function", "function": {"name": "say \"hi\""}},
    ])
}

fn saying(answer: &str) -> TestHost {
    TestHost::saying(&chat_script(answer))
}

/// Name and arguments of each call of a whole answer.
fn calls(choice: &Value) -> Vec<(String, Value)> {
    let calls = choice["message"]["tool_calls"].as_array().cloned().unwrap_or_default();
    calls
        .iter()
        .map(|call| {
            assert_eq!(call["type"], "function");
            assert!(call["id"].as_str().is_some_and(|id| id.starts_with("call_")), "{call}");
            let function = &call["function"];
            let arguments = function["arguments"].as_str().expect("arguments as text");
            let name = function["name"].as_str().expect("a name").to_owned();
            (name, serde_json::from_str(arguments).expect("arguments are JSON"))
        })
        .collect()
}

/// Text, calls and finish reason of a streamed answer; a call's id and name come once and first.
fn gather(events: &[Value]) -> (String, Vec<(String, Value)>, String) {
    let (mut text, mut calls, mut reason) = (String::new(), Vec::<(String, String)>::new(), None);
    for choice in events.iter().flat_map(|event| event["choices"].as_array().expect("choices")) {
        let delta = &choice["delta"];
        text.push_str(delta["content"].as_str().unwrap_or_default());
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let function = &call["function"];
            if let Some(name) = function["name"].as_str() {
                assert_eq!(call["index"], calls.len());
                assert!(call["id"].is_string() && call["type"] == "function", "{call}");
                calls.push((name.to_owned(), String::new()));
            } else {
                assert!(call.get("id").is_none() && call.get("type").is_none(), "{call}");
            }
            let index = call["index"].as_u64().expect("an index") as usize;
            calls[index].1.push_str(function["arguments"].as_str().expect("arguments"));
        }
        reason = choice["finish_reason"].as_str().map(str::to_owned).or(reason);
    }
    let parsed = |(name, arguments): (String, String)| {
        (name, serde_json::from_str(&arguments).expect("arguments are JSON"))
    };
    (text, calls.into_iter().map(parsed).collect(), reason.expect("a finish reason"))
}

#[tokio::test]
async fn a_call_that_is_asked_for_comes_with_arguments_of_its_schema() {
    let host = saying("I would rather talk about the weather than ask for it.");
    let named = json!({"type": "function", "function": {"name": "get_weather"}});
    for seed in 0..4 {
        let more = json!({"tools": tools(), "tool_choice": named, "temperature": 2, "seed": seed});
        let choice = host.ok(CHAT, &chat(more.clone())).await["choices"][0].clone();
        assert_eq!(choice["finish_reason"], "tool_calls", "{choice}");
        assert_eq!(choice["message"]["content"], Value::Null);
        let calls = calls(&choice);
        let [(name, arguments)] = calls.as_slice() else { unreachable!("one call: {choice}") };
        assert_eq!(name, "get_weather");
        assert!(["Paris", "Rome"].contains(&arguments["city"].as_str().unwrap_or_default()));
        assert!((1..=5).contains(&arguments["days"].as_i64().unwrap_or_default()), "{arguments}");
        let streamed = gather(&host.events(CHAT, &chat(more)).await);
        assert_eq!(streamed, (String::new(), calls.clone(), "tool_calls".to_owned()));
    }
}

#[tokio::test]
async fn required_takes_any_tool_and_one_at_a_time_if_so_asked() {
    let host = saying("no");
    for seed in 0..8 {
        let more = json!({"tools": tools(), "tool_choice": "required", "temperature": 2,
            "seed": seed, "parallel_tool_calls": false, "max_tokens": 300});
        let choice = host.ok(CHAT, &chat(more)).await["choices"][0].clone();
        let calls = calls(&choice);
        // Any object is an argument of the second tool, and its end may not come.
        assert!(calls.len() == 1 || choice["finish_reason"] == "length", "{choice}");
        assert!(["get_weather", "say \"hi\""].contains(&calls[0].0.as_str()));
    }
}

#[tokio::test]
async fn an_answer_of_calls_ends_with_a_whole_one() {
    // It would go on with calls for ever.
    let host = saying(&"\n".repeat(2000));
    let mut tools = tools();
    tools.as_array_mut().expect("a list").truncate(1);
    for max_tokens in [300, 500, 900] {
        let more = json!({"tools": tools, "tool_choice": "required", "temperature": 0,
            "max_tokens": max_tokens});
        let choice = host.ok(CHAT, &chat(more)).await["choices"][0].clone();
        assert_eq!(choice["finish_reason"], "tool_calls", "{choice}");
        assert!(!calls(&choice).is_empty());
    }
}

#[tokio::test]
async fn calls_the_model_makes_are_found_in_its_words() {
    let call = r#"<tool_call>
{"name": "get_weather", "arguments": {"city": "Rome", "days": 2}}
</tool_call>"#;
    let rome = ("get_weather".to_owned(), json!({"city": "Rome", "days": 2}));
    let host = saying(&format!("I look.\n{call}\n{call}"));
    let more = json!({"tools": tools(), "temperature": 0});
    let choice = host.ok(CHAT, &chat(more.clone())).await["choices"][0].clone();
    assert_eq!(choice["message"]["content"], "I look.");
    assert_eq!(calls(&choice), [rome.clone(), rome.clone()]);
    assert_eq!(choice["finish_reason"], "tool_calls");
    let streamed = gather(&host.events(CHAT, &chat(more.clone())).await);
    let both = vec![rome.clone(), rome.clone()];
    assert_eq!(streamed, ("I look.".to_owned(), both, "tool_calls".to_owned()));
    let mut one = more;
    one["parallel_tool_calls"] = json!(false);
    assert_eq!(calls(&host.ok(CHAT, &chat(one)).await["choices"][0]), [rome]);
    // Without tools, and with none to be called, it is text.
    for more in [
        json!({"temperature": 0}),
        json!({"tools": tools(), "tool_choice": "none", "temperature": 0}),
    ] {
        let choice = host.ok(CHAT, &chat(more)).await["choices"][0].clone();
        assert!(choice["message"]["content"].as_str().is_some_and(|it| it.contains("<tool_call>")));
        assert!(choice["message"].get("tool_calls").is_none() && choice["finish_reason"] == "stop");
    }
    host.wait_idle();
}

#[tokio::test]
async fn an_answer_without_a_call_is_the_same_with_tools() {
    let host = saying("a < b, <tool_box> and no call \n");
    for more in [json!({"temperature": 0}), json!({"temperature": 0, "tools": tools()})] {
        let events = host.events(CHAT, &chat(more)).await;
        let (text, calls, reason) = gather(&events);
        assert_eq!((text.as_str(), reason.as_str()), ("a < b, <tool_box> and no call \n", "stop"));
        assert!(calls.is_empty());
    }
}

#[tokio::test]
async fn schemas_that_cannot_be_followed_are_refused() {
    let host = saying("no");
    let tool = |schema: Value| {
        let function = json!({"name": "f", "parameters": schema});
        json!({"tools": [{"type": "function", "function": function}], "tool_choice": "required"})
    };
    let answer = host.post(CHAT, &chat(tool(json!({"type": "nope"})))).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["param"]), (400, &json!("tools")));
    let mut more = tool(json!({"type": "object"}));
    more["response_format"] = json!({"type": "json_object"});
    let answer = host.post(CHAT, &chat(more)).await;
    assert_eq!(answer.json()["error"]["param"], "tool_choice", "{}", answer.text);
}
