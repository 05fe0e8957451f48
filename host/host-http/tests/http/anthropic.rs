//! `POST /v1/messages` and `POST /v1/messages/count_tokens`.

use axum::body::Body;
use axum::http::Request;
use expect_test::expect;
use host_http::HttpOptions;
use serde_json::{Value, json};

use crate::fake::FakeModel;
use crate::test_host::{Answer, CHAT_TOKENS, TestHost, chat, chat_script, event, post, pretty};

const PATH: &str = "/v1/messages";
const COUNT: &str = "/v1/messages/count_tokens";

fn saying(answer: &str) -> TestHost {
    TestHost::saying(&chat_script(answer))
}

/// The conversation of [`chat`], with room for an answer.
fn ask(more: Value) -> Value {
    let Value::Object(more) = more else { unreachable!("fields of a request: {more}") };
    let mut body = chat(json!({"max_tokens": 300, "temperature": 0}));
    body.as_object_mut().expect("an object").extend(more);
    body
}

fn tools() -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}},
        "required": ["city"], "additionalProperties": false});
    json!([{"name": "get_weather", "description": "Weather of a city", "input_schema": schema}])
}

/// The answer with the ids of its calls put aside.
fn without_ids(mut message: Value) -> Value {
    message["id"] = "".into();
    for block in message["content"].as_array_mut().into_iter().flatten() {
        if block["type"] == "tool_use" {
            assert!(block["id"].as_str().is_some_and(|id| id.starts_with("toolu_")), "{block}");
            block["id"] = "".into();
        }
    }
    message
}

/// The data of a stream's events, each of which is named after its type.
async fn events(host: &TestHost, body: &Value) -> Vec<Value> {
    let mut body = body.clone();
    body["stream"] = json!(true);
    let answer = host.post(PATH, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let parse = |text: &str| {
        let (name, data) = text.split_once('\n').expect("a name and data");
        let data = event(data);
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str(), "{text}");
        data
    };
    answer.text.split_terminator("\n\n").map(parse).collect()
}

/// What a client makes of a stream.
fn message(events: &[Value]) -> Value {
    let [start, blocks @ .., end, stop] = events else { unreachable!("{events:?}") };
    assert_eq!((&start["type"], &stop["type"]), (&json!("message_start"), &json!("message_stop")));
    let mut message = start["message"].clone();
    let mut content: Vec<Value> = Vec::new();
    let (mut parts, mut ended) = (String::new(), 0);
    for event in blocks {
        assert_eq!(event["index"], ended, "{event}");
        match event["type"].as_str() {
            Some("content_block_start") => content.push(event["content_block"].clone()),
            Some("content_block_delta") => {
                let delta = &event["delta"];
                let text = delta["text"].as_str().or(delta["partial_json"].as_str());
                parts.push_str(text.expect("a text"));
            }
            _ => {
                let block = content.last_mut().expect("a block");
                match block["type"].as_str() {
                    Some("text") => block["text"] = json!(parts),
                    _ => block["input"] = serde_json::from_str(&parts).expect("an input"),
                }
                parts.clear();
                ended += 1;
            }
        }
    }
    assert_eq!(content.len(), ended, "every block ends");
    message["content"] = content.into();
    message["usage"] = end["usage"].clone();
    for (name, value) in end["delta"].as_object().expect("a delta") {
        message[name] = value.clone();
    }
    message
}

#[tokio::test]
async fn a_whole_answer_has_the_shape_of_anthropic() {
    let mut answer = saying("hello").ok(PATH, &ask(json!({}))).await;
    let id = answer["id"].as_str().expect("an id");
    assert!(id.starts_with("msg_") && id.len() > 24, "{id}");
    answer["id"] = "msg".into();
    expect![[r#"
        {
          "id": "msg-ID",
          "type": "message",
          "role": "assistant",
          "model": "fake",
          "content": [
            {
              "type": "text",
              "text": "hello"
            }
          ],
          "stop_reason": "end_turn",
          "stop_sequence": null,
          "usage": {
            "input_tokens": 21,
            "output_tokens": 6,
            "cache_read_input_tokens": 0
          }
        }
    "#]]
    .assert_eq(&pretty(answer));
}

#[tokio::test]
async fn a_stream_has_the_shape_of_anthropic() {
    let mut events = events(&saying("hello"), &ask(json!({"max_tokens": 2}))).await;
    events[0]["message"]["id"] = "msg".into();
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    expect![[r#"
        {"type":"message_start","message":{"id":"msg","type":"message","role":"assistant","model":"fake","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":21,"output_tokens":0,"cache_read_input_tokens":0}}}
        {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}
        {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"h"}}
        {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"e"}}
        {"type":"content_block_stop","index":0}
        {"type":"message_delta","delta":{"stop_reason":"max_tokens","stop_sequence":null},"usage":{"input_tokens":21,"output_tokens":2,"cache_read_input_tokens":0}}
        {"type":"message_stop"}
    "#]]
    .assert_eq(&(lines.join("\n") + "\n"));
}

/// The whole answer, which equals the streamed one; each on a fresh host, for its cache is empty.
async fn check_equal(answer: &str, more: Value) -> Value {
    let body = ask(more);
    let whole = without_ids(saying(answer).ok(PATH, &body).await);
    let streamed = without_ids(message(&events(&saying(answer), &body).await));
    assert_eq!(whole, streamed, "{body}");
    whole
}

#[tokio::test]
async fn answers_end_for_a_reason_whole_and_streamed() {
    for (more, text, reason, stop) in [
        (json!({}), "hello world", "end_turn", None),
        (json!({"max_tokens": 3}), "hel", "max_tokens", None),
        (json!({"stop_sequences": ["xx", "o w"]}), "hell", "stop_sequence", Some("o w")),
    ] {
        let answer = check_equal("hello world", more).await;
        assert_eq!(answer["content"], json!([{"type": "text", "text": text}]));
        assert_eq!(
            (&answer["stop_reason"], &answer["stop_sequence"]),
            (&json!(reason), &json!(stop))
        );
    }
    let empty = check_equal("", json!({})).await;
    assert_eq!(empty["content"], json!([{"type": "text", "text": ""}]));
}

#[tokio::test]
async fn calls_the_model_makes_are_blocks_among_its_words() {
    let call = |city: &str| {
        let call = json!({"name": "get_weather", "arguments": {"city": city}});
        format!("<tool_call>\n{call}\n</tool_call>")
    };
    let used = |city: &str| json!({"type": "tool_use", "id": "", "name": "get_weather", "input": {"city": city}});
    let text = |text: &str| json!({"type": "text", "text": text});
    let words = format!("I look.\n{}{}and{}", call("Rome"), call("Paris"), call("Rome"));
    let answer = check_equal(&words, json!({"tools": tools()})).await;
    let expected = [text("I look."), used("Rome"), used("Paris"), text("and"), used("Rome")];
    assert_eq!(answer["content"], json!(expected));
    assert_eq!(answer["stop_reason"], "tool_use");
    let one = json!({"type": "auto", "disable_parallel_tool_use": true});
    let answer = check_equal(&words, json!({"tools": tools(), "tool_choice": one})).await;
    assert_eq!(answer["content"], json!(expected[..2]));
    let none = json!({"tools": tools(), "tool_choice": {"type": "none"}});
    let answer = check_equal(&words, none).await;
    assert_eq!(answer["content"], json!([text(&words)]));
}

#[tokio::test]
async fn a_call_that_is_asked_for_comes_with_an_input_of_its_schema() {
    let any = json!({"type": "any", "disable_parallel_tool_use": true});
    for choice in [any, json!({"type": "tool", "name": "get_weather"})] {
        for seed in 0..3 {
            let more = json!({"tools": tools(), "tool_choice": choice, "temperature": 2,
                "seed": seed});
            let answer = check_equal("I would rather talk.", more).await;
            let content = answer["content"].as_array().expect("blocks");
            for block in content {
                assert_eq!(
                    (&block["type"], &block["name"]),
                    (&json!("tool_use"), &json!("get_weather"))
                );
                assert!(
                    [json!("Paris"), json!("Rome")].contains(&block["input"]["city"]),
                    "{block}"
                );
            }
            assert!(!content.is_empty() && answer["stop_reason"] == "tool_use", "{answer}");
        }
    }
}

#[tokio::test]
async fn a_call_that_is_cut_off_has_no_input() {
    let words = "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}";
    let body = ask(json!({"tools": tools(), "max_tokens": words.len() - 4}));
    let answer = saying(words).ok(PATH, &body).await;
    assert_eq!(answer["stop_reason"], "max_tokens");
    assert_eq!(answer["content"][0]["input"], json!({}));
}

#[tokio::test]
async fn cached_tokens_are_not_input_again() {
    let host = saying("hello");
    host.ok(PATH, &ask(json!({}))).await;
    let usage = host.ok(PATH, &ask(json!({}))).await["usage"].clone();
    let (input, cached) =
        (usage["input_tokens"].as_u64(), usage["cache_read_input_tokens"].as_u64());
    assert!(cached.is_some_and(|cached| cached > 0), "{usage}");
    assert_eq!(input.zip(cached).map(|(input, cached)| input + cached), Some(CHAT_TOKENS as u64));
}

#[tokio::test]
async fn tokens_are_counted_as_they_are_run() {
    let host = saying("hello");
    let with_system = json!({"system": [{"type": "text", "text": "Be brief."}], "tools": tools()});
    for more in [json!({}), with_system] {
        let mut body = ask(more);
        let usage = host.ok(PATH, &body).await["usage"].clone();
        body.as_object_mut().expect("an object").remove("max_tokens");
        let count = host.ok(COUNT, &body).await;
        let run = usage["input_tokens"].as_u64().zip(usage["cache_read_input_tokens"].as_u64());
        assert_eq!(count, json!({"input_tokens": run.map(|(input, cached)| input + cached)}));
    }
}

#[track_caller]
fn check_error(what: &str, answer: &Answer, status: u16, kind: &str, words: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text);
    let body = answer.json();
    let message = body["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains(words), "{what}: {message}");
    let id = answer.header("x-request-id");
    let error = json!({"type": kind, "message": message});
    assert_eq!(body, json!({"type": "error", "error": error, "request_id": id}), "{what}");
}

#[tokio::test]
async fn fields_are_refused_by_name_in_the_shape_of_anthropic() {
    let host = saying("hello");
    let messages = |messages: Value| json!({ "messages": messages });
    let user = |content: Value| messages(json!([{"role": "user", "content": content}]));
    let assistant = |block: Value| messages(json!([{"role": "assistant", "content": [block]}]));
    let tool = |tool: Value| json!({ "tools": [tool] });
    let choice = |choice: Value| json!({"tools": tools(), "tool_choice": choice});
    let rows = [
        (messages(Value::Null), "messages is missing"),
        (messages(json!([])), "messages has 0 entries"),
        (messages(json!([{"content": "x"}])), "messages[0].role is missing"),
        (messages(json!([{"role": "system", "content": "x"}])), "messages[0].role is `system`"),
        (messages(json!([{"role": "user"}])), "messages[0].content is missing"),
        (user(json!(5)), "messages[0].content is an integer"),
        (user(json!([])), "messages[0].content is empty"),
        (user(json!([{"text": "x"}])), "messages[0].content[0].type is missing"),
        (user(json!([{"type": "text"}])), "messages[0].content[0].text is missing"),
        (user(json!([{"type": "image", "source": {}}])), "messages[0].content[0].type is `image`"),
        (user(json!([{"type": "tool_result"}])), "messages[0].content[0].tool_use_id is missing"),
        (
            user(
                json!([{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "image"}]}]),
            ),
            "messages[0].content[0].content[0].type is `image`",
        ),
        (
            assistant(json!({"type": "tool_use", "id": "a", "name": "b"})),
            "messages[0].content[0].input is missing",
        ),
        (assistant(json!({"type": "tool_result"})), "expected text or tool_use"),
        (json!({"system": 1}), "system is an integer"),
        (tool(json!({"input_schema": {}})), "tools[0].name is missing"),
        (tool(json!({"name": "f"})), "tools[0].input_schema is missing"),
        (tool(json!({"name": "f", "input_schema": 1})), "tools[0].input_schema is an integer"),
        (
            tool(json!({"type": "bash_20250124", "name": "bash"})),
            "tools[0].type is `bash_20250124`",
        ),
        (choice(json!("any")), "tool_choice is a string"),
        (choice(json!({"type": "some"})), "tool_choice.type is `some`"),
        (choice(json!({"type": "tool"})), "tool_choice.name is missing"),
        (choice(json!({"type": "tool", "name": "g"})), "tool_choice names `g`"),
        (json!({"thinking": true}), "thinking is a boolean"),
    ];
    for (more, words) in &rows {
        for path in [PATH, COUNT] {
            let answer = host.post(path, &ask(more.clone())).await;
            check_error(words, &answer, 400, "invalid_request_error", words);
        }
    }
    for (more, words) in [
        (json!({"max_tokens": null}), "max_tokens is missing"),
        (json!({"max_tokens": 0}), "max_tokens is 0"),
        (json!({"temperature": 3}), "temperature is 3"),
        (json!({"stream": 1}), "stream is an integer"),
        (json!({"stop_sequences": vec!["x"; 17]}), "stop_sequences has 17 entries"),
        (json!({"stop_sequences": [1]}), "stop_sequences is an integer"),
    ] {
        let answer = host.post(PATH, &ask(more)).await;
        check_error(words, &answer, 400, "invalid_request_error", words);
    }
}

#[tokio::test]
async fn every_refusal_has_the_shape_of_anthropic() {
    let host = saying("hello");
    let answer = host.post(PATH, &ask(json!({"model": "nope"}))).await;
    check_error("model", &answer, 404, "not_found_error", "`nope` does not exist");
    check_error("json", &host.call(post(COUNT, "{")).await, 400, "invalid_request_error", "JSON");
    let answer = host.get(PATH).await;
    check_error("method", &answer, 405, "invalid_request_error", "method");
    assert_eq!(answer.header("allow"), Some("POST"));
    let options = HttpOptions { api_key: Some("secret".to_owned()), ..HttpOptions::default() };
    let guarded = TestHost::empty(options);
    let send = |key: &'static str| {
        let request = Request::post(PATH).header("host", "localhost").header("x-api-key", key);
        guarded.call(request.body(Body::from("{}")).expect("a request"))
    };
    check_error("key", &send("wrong").await, 401, "authentication_error", "key is wrong");
    check_error("key", &send("secret").await, 400, "invalid_request_error", "max_tokens");
    let small = TestHost::empty(HttpOptions { body_bytes_max: 9, ..HttpOptions::default() });
    let answer = small.call(post(PATH, " ".repeat(10))).await;
    check_error("size", &answer, 413, "request_too_large", "9 bytes");
    let broken = || TestHost::serving(FakeModel::saying("").failing_after(0, true));
    let answer = broken().post(PATH, &ask(json!({"stream": true}))).await;
    check_error("failed", &answer, 500, "api_error", "fake-compute");
}

#[tokio::test]
async fn an_error_after_the_stream_began_is_an_event() {
    let model = FakeModel::saying(&chat_script("hello")).failing_after(2, true);
    let events = events(&TestHost::serving(model), &ask(json!({}))).await;
    let last = events.last().expect("events");
    assert_eq!((&last["type"], &last["error"]["type"]), (&json!("error"), &json!("api_error")));
    assert!(last["error"]["message"].as_str().is_some_and(|it| it.contains("fake-compute")));
}
