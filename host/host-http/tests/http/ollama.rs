//! `/api/*`: Ollama's answers and lines, and what is refused.

use expect_test::expect;
use serde_json::{Value, json};

use crate::fake::FakeModel;
use crate::fake_embedder::FakeEmbedder;
use crate::test_host::{CHAT_TOKENS, TestHost, chat_script, get};

const CHAT: &str = "/api/chat";
const GENERATE: &str = "/api/generate";

fn saying(answer: &str) -> TestHost {
    TestHost::saying(&chat_script(answer))
}

/// A conversation of one word, at temperature 0.
fn chat(more: Value) -> Value {
    let messages = json!([{"role": "user", "content": "hi"}]);
    with(json!({"model": "fake", "messages": messages, "options": {"temperature": 0}}), more)
}

/// The same as a prompt.
fn generate(more: Value) -> Value {
    with(json!({"model": "fake", "prompt": "hi", "options": {"temperature": 0}}), more)
}

fn with(mut body: Value, more: Value) -> Value {
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

fn weather() -> Value {
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let function = json!({"name": "get_weather", "parameters": parameters});
    json!({"tools": [{"type": "function", "function": function}]})
}

/// The answer with times and ids put aside, which differ each time.
fn stable(mut body: Value) -> Value {
    for (name, value) in body.as_object_mut().expect("an object") {
        if name.ends_with("_duration") {
            assert!(value.is_u64(), "{name}: {value}");
            *value = json!(0);
        } else if name == "created_at" {
            assert_eq!(value.as_str().map(str::len), Some("2026-01-01T00:00:00Z".len()));
            *value = json!("TIME");
        }
    }
    let calls = body.pointer_mut("/message/tool_calls").and_then(Value::as_array_mut);
    for call in calls.into_iter().flatten() {
        assert!(call["id"].as_str().is_some_and(|id| id.starts_with("call_")), "{call}");
        call["id"] = json!("ID");
    }
    body
}

/// The lines of a good stream.
async fn lines(host: &TestHost, path: &str, body: &Value) -> Vec<Value> {
    let answer = host.post(path, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let read = |line: &str| stable(serde_json::from_str(line).expect("a line is JSON"));
    answer.text.lines().map(read).collect()
}

async fn whole(host: &TestHost, path: &str, body: &Value) -> Value {
    stable(host.ok(path, &with(body.clone(), json!({"stream": false}))).await)
}

/// The lines say the same as the whole answer, which is returned.
async fn check_same(host: &TestHost, path: &str, body: &Value) -> Value {
    let mut lines = lines(host, path, body).await;
    let mut last = lines.pop().expect("a last line");
    let pointer = if path == CHAT { "/message/content" } else { "/response" };
    let text = |line: &Value| line.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let mut said = String::new();
    for line in &mut lines {
        assert_eq!(line["done"], false);
        said += &text(line).expect("a text");
        if let Some(calls) = line.pointer_mut("/message/tool_calls") {
            last["message"]["tool_calls"] = calls.take();
        }
    }
    assert_eq!(text(&last).as_deref(), Some(""));
    *last.pointer_mut(pointer).expect("a text") = said.into();
    let whole = whole(host, path, body).await;
    assert_eq!(last, whole);
    whole
}

#[tokio::test]
async fn answers_have_the_shape_of_ollama() {
    let host = saying("hello");
    let answer = check_same(&host, CHAT, &chat(json!({"keep_alive": "5m"}))).await;
    expect![[r#"{"model":"fake","created_at":"TIME","message":{"role":"assistant","content":"hello"},"done":true,"done_reason":"stop","total_duration":0,"load_duration":0,"prompt_eval_count":21,"prompt_eval_duration":0,"eval_count":6,"eval_duration":0}"#]]
    .assert_eq(&answer.to_string());
    let answer = check_same(&host, GENERATE, &generate(json!({}))).await;
    expect![[r#"{"model":"fake","created_at":"TIME","response":"hello","done":true,"done_reason":"stop","total_duration":0,"load_duration":0,"prompt_eval_count":21,"prompt_eval_duration":0,"eval_count":6,"eval_duration":0}"#]]
    .assert_eq(&answer.to_string());
}

#[tokio::test]
async fn options_are_followed() {
    let host = saying("hello");
    let options = json!({"options": {"temperature": 0, "num_predict": 2, "num_ctx": 4096}});
    let cut = check_same(&host, CHAT, &chat(options)).await;
    assert_eq!((&cut["message"]["content"], &cut["eval_count"]), (&json!("he"), &json!(2)));
    assert_eq!(cut["done_reason"], "length");
    let options = json!({"options": {"temperature": 0, "num_predict": -1, "stop": ["lo"]}});
    let stopped = check_same(&host, GENERATE, &generate(options)).await;
    assert_eq!((&stopped["response"], &stopped["done_reason"]), (&json!("hel"), &json!("stop")));
    // A system prompt is a message, and a raw prompt is one token for BOS and one for each byte.
    let system = whole(&host, GENERATE, &generate(json!({"system": "be"}))).await;
    assert!(system["prompt_eval_count"].as_u64() > Some(CHAT_TOKENS as u64), "{system}");
    let raw = check_same(&host, GENERATE, &generate(json!({"raw": true, "system": "be"}))).await;
    assert_eq!(raw["prompt_eval_count"], 3);
}

#[tokio::test]
async fn a_call_comes_with_its_arguments_as_an_object() {
    let call = r#"<tool_call>{"name": "get_weather", "arguments": {"city": "Rome"}}</tool_call>"#;
    let answer = check_same(&saying(call), CHAT, &chat(weather())).await;
    let function = json!({"index": 0, "name": "get_weather", "arguments": {"city": "Rome"}});
    assert_eq!(answer["message"]["tool_calls"], json!([{"id": "ID", "function": function}]));
    assert_eq!(
        (&answer["message"]["content"], &answer["done_reason"]),
        (&json!(""), &json!("stop"))
    );
}

#[tokio::test]
async fn a_call_can_be_sent_back() {
    let function = json!({"name": "get_weather", "arguments": {"city": "Rome"}});
    let messages = json!([
        {"role": "user", "content": "hi", "images": []},
        {"role": "assistant", "content": "", "tool_calls": [{"function": function}]},
        {"role": "user", "content": "and?"},
    ]);
    let mut body = chat(weather());
    body["messages"] = messages;
    body["options"]["num_predict"] = json!(1);
    let answer = check_same(&saying("x"), CHAT, &body).await;
    assert!(answer["prompt_eval_count"].as_u64() > Some(CHAT_TOKENS as u64), "{answer}");
}

#[tokio::test]
async fn a_stream_that_fails_says_so_last() {
    let model = FakeModel::saying(&chat_script("hello")).failing_after(3, false);
    let lines = lines(&TestHost::serving(model), CHAT, &chat(json!({}))).await;
    let (last, said) = lines.split_last().expect("a last line");
    assert!(last["error"].as_str().is_some_and(|it| it.contains("fake-compute")), "{last}");
    assert!(!said.is_empty() && said.iter().all(|line| line["done"] == false));
}

#[tokio::test]
async fn a_format_is_kept() {
    let host = saying("I would rather not.");
    let schema = json!({
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": false,
    });
    let answer = check_same(&host, CHAT, &chat(json!({"format": schema}))).await;
    let text = answer["message"]["content"].as_str().expect("a text");
    let value: Value = serde_json::from_str(text).expect("JSON");
    assert!(["Paris", "Rome"].contains(&value["city"].as_str().expect("a city")), "{value}");
    let answer = whole(&host, GENERATE, &generate(json!({"format": "json"}))).await;
    assert!(answer["response"].as_str().is_some_and(|text| text.trim_start().starts_with('{')));
}

#[tokio::test]
async fn nothing_to_answer_is_done_at_once() {
    let host = saying("hello");
    for (path, body) in
        [(GENERATE, json!({"model": "fake"})), (CHAT, chat(json!({"messages": []})))]
    {
        let lines = lines(&host, path, &body).await;
        let [line] = lines.as_slice() else { unreachable!("one line: {lines:?}") };
        assert_eq!((&line["done"], &line["done_reason"]), (&json!(true), &json!("load")));
        assert_eq!(*line, whole(&host, path, &body).await);
    }
}

#[tokio::test]
async fn models_are_described() {
    let host = saying("hello");
    let details = json!({"format": "gguf", "family": "llama", "parameter_size": "12",
        "quantization_level": "F32"});
    let model = json!({"name": "fake", "model": "fake", "modified_at": "2023-11-14T22:13:20Z",
        "size": 48, "digest": "", "details": details});
    assert_eq!(host.get("/api/tags").await.json(), json!({"models": [model]}));
    assert!(host.get("/api/version").await.json()["version"].is_string());
    for request in [json!({"model": "fake"}), json!({"name": "fake:latest"})] {
        let shown = host.ok("/api/show", &request).await;
        assert_eq!(shown["details"], details);
        assert_eq!(shown["capabilities"], json!(["completion", "tools"]));
        assert_eq!(shown["model_info"]["llama.context_length"], 2048);
        assert!(shown["template"].as_str().is_some_and(|it| it.contains("messages")), "{shown}");
    }
    let embedder = TestHost::embedding(FakeEmbedder::default());
    let shown = embedder.ok("/api/show", &json!({"model": "fake"})).await;
    assert_eq!(shown["capabilities"], json!(["embedding"]));
}

#[tokio::test]
async fn the_latest_is_the_model_itself() {
    let answer = whole(&saying("hello"), CHAT, &chat(json!({"model": "fake:latest"}))).await;
    assert_eq!(answer["message"]["content"], "hello");
}

#[tokio::test]
async fn errors_have_the_shape_of_ollama() {
    let host = saying("hello");
    let picture = json!([{"role": "user", "content": "hi", "images": ["aGk="]}]);
    let rows = [
        ("/api/show", json!({"model": "who"}), 404, "the model `who` does not exist"),
        ("/api/show", json!({}), 400, "model is missing"),
        (CHAT, chat(json!({"model": "who:latest"})), 404, "the model `who` does not exist"),
        (CHAT, chat(json!({"messages": picture})), 400, "messages[0].images is not supported"),
        (CHAT, chat(json!({"messages": "hi"})), 400, "messages is a string"),
        (CHAT, chat(json!({"options": {"num_predict": "x"}})), 400, "options.num_predict is"),
        (CHAT, chat(json!({"options": {"repeat_penalty": -1}})), 400, "options.repeat_penalty is"),
        (CHAT, chat(json!({"format": "xml"})), 400, "format is a string"),
        (CHAT, chat(json!({"think": 1})), 400, "think is an integer"),
        (GENERATE, generate(json!({"images": ["aGk="]})), 400, "images is not supported"),
        (GENERATE, generate(json!({"suffix": "}"})), 400, "suffix is not supported"),
        (GENERATE, generate(json!({"stream": "yes"})), 400, "stream is a string"),
    ];
    for (path, body, status, message) in rows {
        let answer = host.post(path, &body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
        let error = answer.json();
        assert!(
            error["error"].as_str().is_some_and(|it| it.starts_with(message)),
            "{body}: {error}"
        );
        assert_eq!(error.as_object().map(serde_json::Map::len), Some(1));
    }
    let answer = host.call(get(CHAT)).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"].is_string()), (405, true));
}
