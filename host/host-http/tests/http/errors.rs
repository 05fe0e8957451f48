//! Every refusal: its status, its code, the field it names, and always the same shape.

use axum::body::Body;
use axum::http::Request;
use host_http::HttpOptions;
use serde_json::{Value, json};

use crate::fake::{self, FakeModel};
use crate::test_host::{Answer, TestHost, chat, completion, get, post, response};

const CHAT: &str = "/v1/chat/completions";
const TEXT: &str = "/v1/completions";

#[track_caller]
fn check(
    what: &str,
    answer: &Answer,
    status: u16,
    code: &str,
    param: impl Into<Option<&'static str>>,
) {
    let param = json!(param.into());
    assert_eq!(answer.status, status, "{what}: {}", answer.text);
    let body = answer.json();
    let error = &body["error"];
    assert_eq!(body.as_object().map(|it| it.len()), Some(1), "{what}: {body}");
    assert_eq!((&error["code"], &error["param"]), (&json!(code), &param), "{what}: {body}");
    let message = error["message"].as_str().unwrap_or_default();
    assert!(!message.is_empty() && !message.contains('\n') && message.len() < 1000, "{message}");
    assert!(error["type"].as_str().is_some_and(|it| it.ends_with("_error")), "{what}: {body}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
}

/// Each row: what the request has more or other than a good one, the code, the field.
async fn check_rows(
    path: &str,
    good: impl Fn(Value) -> Value,
    rows: &[(Value, &str, &'static str)],
) {
    let host = TestHost::saying("hello");
    for (more, code, param) in rows {
        let body = good(more.clone());
        let answer = host.post(path, &body).await;
        check(&more.to_string(), &answer, 400, code, *param);
        // A bad request is refused before any stream begins.
        let mut body = body;
        if more.get("stream").is_none() {
            body["stream"] = json!(true);
            check(&more.to_string(), &host.post(path, &body).await, 400, code, *param);
        }
    }
    host.wait_idle();
}

const TYPE: &str = "invalid_type";
const VALUE: &str = "invalid_value";
const MISSING: &str = "missing_required_parameter";
const UNSUPPORTED: &str = "unsupported_value";

#[tokio::test]
async fn sampling_fields_are_refused_by_name() {
    let rows = [
        (json!({"temperature": "hot"}), TYPE, "temperature"),
        (json!({"temperature": -1}), VALUE, "temperature"),
        (json!({"temperature": 2.1}), VALUE, "temperature"),
        (json!({"temperature": 1e308}), VALUE, "temperature"),
        (json!({"top_p": 0}), VALUE, "top_p"),
        (json!({"top_p": 7}), VALUE, "top_p"),
        (json!({"min_p": 1.5}), VALUE, "min_p"),
        (json!({"top_k": -5}), VALUE, "top_k"),
        (json!({"typical_p": 1.5}), VALUE, "typical_p"),
        (json!({"xtc_probability": -0.1}), VALUE, "xtc_probability"),
        (json!({"xtc_threshold": 2}), VALUE, "xtc_threshold"),
        (json!({"dry_multiplier": -1}), VALUE, "dry_multiplier"),
        (json!({"dry_base": 0.9}), VALUE, "dry_base"),
        (json!({"dry_allowed_length": 0}), VALUE, "dry_allowed_length"),
        (json!({"dry_penalty_last_n": -2}), VALUE, "dry_penalty_last_n"),
        (json!({"dry_sequence_breakers": 7}), TYPE, "dry_sequence_breakers"),
        (json!({"dry_sequence_breakers": [""]}), VALUE, "dry_sequence_breakers"),
        (json!({"dry_sequence_breakers": vec!["x"; 17]}), VALUE, "dry_sequence_breakers"),
        (json!({"dry_sequence_breakers": "x".repeat(41)}), VALUE, "dry_sequence_breakers"),
        (json!({"priority": 2_147_483_648_i64}), VALUE, "priority"),
        (json!({"priority": -2_147_483_649_i64}), VALUE, "priority"),
        (json!({"priority": 0.5}), TYPE, "priority"),
        (json!({"priority": "high"}), TYPE, "priority"),
        (json!({"top_k": 1.5}), TYPE, "top_k"),
        (json!({"presence_penalty": 1e30}), VALUE, "presence_penalty"),
        (json!({"frequency_penalty": -2.5}), VALUE, "frequency_penalty"),
        (json!({"repetition_penalty": 0}), VALUE, "repetition_penalty"),
        (json!({"n": 0}), VALUE, "n"),
        (json!({"n": 1_000_000}), VALUE, "n"),
        (json!({"n": true}), TYPE, "n"),
        (json!({"seed": "x"}), TYPE, "seed"),
        (json!({"seed": 1.5}), TYPE, "seed"),
        (json!({"seed": 1e30}), VALUE, "seed"),
        (json!({"max_tokens": "many"}), TYPE, "max_tokens"),
        (json!({"max_tokens": -5}), VALUE, "max_tokens"),
        (json!({"max_tokens": 0}), VALUE, "max_tokens"),
        (json!({"max_tokens": 9_223_372_036_854_775_808_u64}), VALUE, "max_tokens"),
        (json!({"max_completion_tokens": 0}), VALUE, "max_completion_tokens"),
        (json!({"min_tokens": -1}), VALUE, "min_tokens"),
        (json!({"stop": 5}), TYPE, "stop"),
        (json!({"stop": ""}), VALUE, "stop"),
        (json!({"stop": [""]}), VALUE, "stop"),
        (json!({"stop": ["x", 1]}), TYPE, "stop"),
        (json!({"stop": vec!["x"; 17]}), VALUE, "stop"),
        (json!({"stop": "x".repeat(4097)}), VALUE, "stop"),
        (json!({"logit_bias": [1]}), TYPE, "logit_bias"),
        (json!({"logit_bias": {"abc": 1}}), VALUE, "logit_bias"),
        (json!({"logit_bias": {"99999999": 100}}), VALUE, "logit_bias"),
        (json!({"logit_bias": {"5": 101}}), VALUE, "logit_bias"),
        (json!({"logit_bias": {"5": "x"}}), VALUE, "logit_bias"),
        (json!({"stream": "maybe"}), TYPE, "stream"),
        (json!({"stream_options": 1}), TYPE, "stream_options"),
        (json!({"stream_options": {"include_usage": 1}}), TYPE, "stream_options.include_usage"),
        (json!({"ignore_eos": 1}), TYPE, "ignore_eos"),
        (json!({"model": 1}), TYPE, "model"),
        (json!({"best_of": 1_000_000}), UNSUPPORTED, "best_of"),
        (json!({"best_of": 0}), VALUE, "best_of"),
    ];
    check_rows(CHAT, chat, &rows).await;
    check_rows(TEXT, completion, &rows).await;
}

#[tokio::test]
async fn chat_fields_are_refused_by_name() {
    let messages = |messages: Value| json!({ "messages": messages });
    let content = |content: Value| messages(json!([{"role": "user", "content": content}]));
    let call = |call: Value| messages(json!([{"role": "assistant", "tool_calls": [call]}]));
    let tools = |tool: Value| json!({ "tools": [tool] });
    let good_tool = json!({"type": "function", "function": {"name": "f"}});
    let named = json!({"type": "function", "function": {"name": "g"}});
    let rows = [
        (messages(Value::Null), MISSING, "messages"),
        (messages(json!("hi")), TYPE, "messages"),
        (messages(json!([])), VALUE, "messages"),
        (messages(json!(vec![json!({"role": "user", "content": "x"}); 4097])), VALUE, "messages"),
        (messages(json!([1])), TYPE, "messages[0]"),
        (messages(json!([{}])), MISSING, "messages[0].role"),
        (messages(json!([{"role": 1, "content": "x"}])), TYPE, "messages[0].role"),
        (messages(json!([{"role": "pirate", "content": "x"}])), VALUE, "messages[0].role"),
        (messages(json!([{"role": "user"}])), MISSING, "messages[0].content"),
        (content(json!(5)), TYPE, "messages[0].content"),
        (content(json!({"a": 1})), TYPE, "messages[0].content"),
        (content(json!(["x"])), TYPE, "messages[0].content[0]"),
        (content(json!([{"x": 1}])), MISSING, "messages[0].content[0].type"),
        (content(json!([{"type": "hologram"}])), VALUE, "messages[0].content[0].type"),
        (content(json!([{"type": "text"}])), MISSING, "messages[0].content[0].text"),
        (
            content(json!([{"type": "image_url", "image_url": {"url": "http://127.0.0.1/x"}}])),
            UNSUPPORTED,
            "messages[0].content[0].type",
        ),
        (messages(json!([{"role": "tool", "content": "x"}])), "invalid_messages", "messages"),
        (call(json!({})), MISSING, "messages[0].tool_calls[0].function"),
        (call(json!({"function": {}})), MISSING, "messages[0].tool_calls[0].function.name"),
        (json!({"logprobs": 2}), TYPE, "logprobs"),
        (json!({"top_logprobs": 2}), VALUE, "top_logprobs"),
        (json!({"logprobs": true, "top_logprobs": 21}), VALUE, "top_logprobs"),
        (json!({"tools": "nope"}), TYPE, "tools"),
        (tools(json!({"type": "x"})), VALUE, "tools[0].type"),
        (tools(json!({"type": "function"})), MISSING, "tools[0].function"),
        (tools(json!({"type": "function", "function": {}})), MISSING, "tools[0].function.name"),
        (json!({"tools": vec![good_tool.clone(); 129]}), VALUE, "tools"),
        (json!({"tools": [good_tool], "tool_choice": named}), VALUE, "tool_choice"),
        (json!({"tools": [], "tool_choice": "required"}), VALUE, "tool_choice"),
        (json!({"tool_choice": "sometimes"}), VALUE, "tool_choice"),
        (json!({"tool_choice": 1}), TYPE, "tool_choice"),
        (json!({"response_format": {"type": "yaml"}}), VALUE, "response_format.type"),
        (json!({"response_format": {}}), MISSING, "response_format.type"),
        (json!({"chat_template_kwargs": 1}), TYPE, "chat_template_kwargs"),
        (json!({"continue_final_message": true}), UNSUPPORTED, "continue_final_message"),
        (content(json!("word ".repeat(1000))), "context_length_exceeded", "messages"),
        (content(json!("word ".repeat(100_000))), "context_length_exceeded", "messages"),
    ];
    check_rows(CHAT, chat, &rows).await;
}

#[tokio::test]
async fn response_fields_are_refused_by_name() {
    let items = |item: Value| json!({ "input": [{"role": "user", "content": "hi"}, item] });
    let content = |content: Value| items(json!({"role": "user", "content": content}));
    let output = json!({"type": "function_call_output", "call_id": "a", "output": 1});
    let tools = |tool: Value| json!({ "tools": [tool] });
    let format = |format: Value| json!({"text": {"format": format}});
    let rows = [
        (json!({"input": null}), MISSING, "input"),
        (json!({"input": 1}), TYPE, "input"),
        (json!({"input": []}), VALUE, "input"),
        (json!({"instructions": 1}), TYPE, "instructions"),
        (items(json!(1)), TYPE, "input[1]"),
        (items(json!({})), MISSING, "input[1].role"),
        (items(json!({"role": "pirate", "content": "x"})), VALUE, "input[1].role"),
        (items(json!({"type": "item_reference", "id": "x"})), UNSUPPORTED, "input[1].type"),
        (items(json!({"type": "function_call", "name": "f"})), MISSING, "input[1].call_id"),
        (items(output), TYPE, "input[1].output"),
        (content(json!(5)), TYPE, "input[1].content"),
        (content(json!([{"type": "input_text"}])), MISSING, "input[1].content[0].text"),
        (content(json!([{"type": "input_image"}])), UNSUPPORTED, "input[1].content[0].type"),
        (json!({"previous_response_id": "resp_1"}), UNSUPPORTED, "previous_response_id"),
        (json!({"conversation": "conv_1"}), UNSUPPORTED, "conversation"),
        (json!({"background": true}), UNSUPPORTED, "background"),
        (json!({"max_output_tokens": 0}), VALUE, "max_output_tokens"),
        (json!({"temperature": 2.1}), VALUE, "temperature"),
        (json!({"metadata": "x"}), TYPE, "metadata"),
        (json!({"stream": "maybe"}), TYPE, "stream"),
        (tools(json!({"type": "web_search"})), UNSUPPORTED, "tools[0].type"),
        (tools(json!({"type": "function"})), MISSING, "tools[0].name"),
        (json!({"tool_choice": "sometimes"}), VALUE, "tool_choice"),
        (json!({"tool_choice": {"type": "mcp"}}), UNSUPPORTED, "tool_choice.type"),
        (json!({"tool_choice": {"type": "function", "name": "g"}}), VALUE, "tool_choice"),
        (format(json!("yaml")), TYPE, "text.format"),
        (format(json!({"type": "yaml"})), VALUE, "text.format.type"),
        (format(json!({"type": "json_schema", "name": "x"})), MISSING, "text.format.schema"),
        (format(json!({"type": "json_schema", "schema": {"type": "nope"}})), VALUE, "text.format"),
        (json!({"input": "word ".repeat(1000)}), "context_length_exceeded", "input"),
    ];
    check_rows("/v1/responses", response, &rows).await;
}

#[tokio::test]
async fn completion_fields_are_refused_by_name() {
    let prompt = |prompt: Value| json!({ "prompt": prompt });
    let rows = [
        (prompt(Value::Null), MISSING, "prompt"),
        (prompt(json!(1)), TYPE, "prompt"),
        (prompt(json!([])), VALUE, "prompt"),
        (prompt(json!([[]])), VALUE, "prompt"),
        (prompt(json!([1, "x"])), TYPE, "prompt"),
        (prompt(json!(["x", 1])), TYPE, "prompt"),
        (prompt(json!([-1])), TYPE, "prompt"),
        (prompt(json!([9999])), VALUE, "prompt"),
        (prompt(json!(vec!["x"; 129])), VALUE, "prompt"),
        (prompt(json!("word ".repeat(1000))), "context_length_exceeded", "prompt"),
        (json!({"logprobs": 21}), VALUE, "logprobs"),
        (json!({"logprobs": true}), TYPE, "logprobs"),
        (json!({"echo": 1}), TYPE, "echo"),
        (json!({"echo": true, "max_tokens": -1}), VALUE, "max_tokens"),
        (json!({"suffix": "x"}), UNSUPPORTED, "suffix"),
    ];
    check_rows(TEXT, completion, &rows).await;
}

#[tokio::test]
async fn token_fields_are_refused_by_name() {
    let host = TestHost::saying("");
    let rows = [
        ("/tokenize", json!({}), MISSING, "prompt"),
        ("/tokenize", json!({"content": 1}), TYPE, "content"),
        ("/v1/tokenize", json!({"prompt": "x", "add_special": 1}), TYPE, "add_special"),
        ("/tokenize", json!({"prompt": "x".repeat(200_000)}), "context_length_exceeded", "prompt"),
        ("/detokenize", json!({}), MISSING, "tokens"),
        ("/detokenize", json!({"tokens": "x"}), TYPE, "tokens"),
        ("/detokenize", json!({"tokens": ["x"]}), TYPE, "tokens"),
        ("/v1/detokenize", json!({"tokens": [9999]}), VALUE, "tokens"),
        ("/v1/models/load", json!({}), MISSING, "path"),
        ("/v1/models/load", json!({"path": "good", "id": "a b"}), VALUE, "id"),
        ("/v1/models/load", json!({"path": "good", "id": "default"}), VALUE, "id"),
        ("/v1/models/unload", json!({}), MISSING, "id"),
    ];
    for (path, body, code, param) in rows {
        check(path, &host.post(path, &body).await, 400, code, param);
    }
}

#[tokio::test]
async fn bodies_that_are_no_json_object_are_refused() {
    let host = TestHost::saying("");
    let deep = format!("{{\"messages\":{}", "[".repeat(100_000));
    let bodies: [&[u8]; 8] =
        [b"{", b"", b"{\"model\": ", b"\xff\xfe", b"[]", b"null", b"{\"a\":NaN}", deep.as_bytes()];
    for body in bodies {
        for path in [CHAT, TEXT, "/tokenize", "/detokenize", "/v1/models/load"] {
            let answer = host.call(post(path, body.to_vec())).await;
            check(path, &answer, 400, "invalid_json", None);
        }
    }
}

#[tokio::test]
async fn unknown_models_are_not_found() {
    let host = TestHost::saying("");
    for model in ["nope", "", "../../etc/passwd", &"a".repeat(1_000_000), "m\0x"] {
        for (path, body) in
            [(CHAT, chat(json!({ "model": model }))), (TEXT, completion(json!({ "model": model })))]
        {
            let answer = host.post(path, &body).await;
            check(path, &answer, 404, "model_not_found", "model");
        }
    }
    let answer = host.get("/v1/models/nope/at/all").await;
    check("GET", &answer, 404, "model_not_found", "model");
    let answer = host.post("/v1/models/unload", &json!({"id": "nope"})).await;
    check("unload", &answer, 404, "model_not_found", "id");
}

#[tokio::test]
async fn wrong_paths_methods_and_media_are_refused() {
    let host = TestHost::saying("");
    check("path", &host.get("/v1/no/such/path").await, 404, "not_found", None);
    check("path", &host.post("/nope", &json!({})).await, 404, "not_found", None);
    let answer = host.get(CHAT).await;
    check("method", &answer, 405, "method_not_allowed", None);
    assert_eq!(answer.header("allow"), Some("POST"));
    let send = |name: &'static str, value: &'static str| {
        let mut request = post(CHAT, "{}");
        request.headers_mut().insert(name, value.parse().expect("a header value"));
        host.call(request)
    };
    let media = "unsupported_media_type";
    check("text", &send("content-type", "text/plain").await, 415, media, None);
    check("gzip", &send("content-encoding", "gzip").await, 415, media, None);
    let declared = send("content-length", "68719476736").await;
    check("declared", &declared, 413, "request_too_large", None);
    let untyped = Request::post(TEXT).header("host", "localhost").body(Body::from("{}"));
    let answer = host.call(untyped.expect("a request")).await;
    check("untyped", &answer, 400, MISSING, "prompt");
}

#[tokio::test]
async fn bodies_over_the_cap_are_refused() {
    let host = TestHost::empty(HttpOptions { body_bytes_max: 100, ..HttpOptions::default() });
    let answer = host.call(post(CHAT, " ".repeat(101))).await;
    check("body", &answer, 413, "request_too_large", None);
    let answer = host.call(post(CHAT, " ".repeat(100))).await;
    check("body", &answer, 400, "invalid_json", None);
}

#[tokio::test]
async fn a_long_prompt_names_its_tokens_and_the_limit() {
    let host = TestHost::saying("");
    let body = completion(json!({"prompt": vec![65; 3000]}));
    let error = host.post(TEXT, &body).await.json()["error"].clone();
    assert_eq!((&error["n_prompt_tokens"], &error["n_ctx"]), (&json!(3000), &json!(2048)));
}

#[tokio::test]
async fn a_plugin_that_fails_is_named() {
    let host = TestHost::serving(FakeModel::saying("...ok").failing_after(0, false));
    let answer = host.post(TEXT, &completion(json!({}))).await;
    check("failed", &answer, 500, "model_error", None);
    assert!(answer.text.contains("fake-compute"), "{}", answer.text);
    let body = completion(json!({"temperature": 0}));
    assert_eq!(host.ok(TEXT, &body).await["choices"][0]["text"], "ok");
}

#[tokio::test]
async fn a_plugin_that_panics_leaves_other_models_serving() {
    let host = TestHost::serving(FakeModel::saying("...ok").failing_after(0, true));
    let other = fake::generator("other", FakeModel::saying("...fine"), &host.metrics);
    host.state.models().insert(other);
    for stream in [false, true, false] {
        let answer = host.post(CHAT, &chat(json!({"stream": stream}))).await;
        check("faulted", &answer, 500, "model_faulted", None);
        assert!(answer.text.contains("fake-compute"), "{}", answer.text);
    }
    let body = completion(json!({"model": "other", "temperature": 0}));
    assert_eq!(host.ok(TEXT, &body).await["choices"][0]["text"], "fine");
    let models = host.call(get("/v1/models")).await.json();
    assert_eq!(models["data"][0]["host"]["state"], "faulted");
    assert!(host.get("/ready").await.status.is_success(), "the other model serves");
}

#[tokio::test]
async fn loading_refuses_by_kind() {
    let host = TestHost::saying("");
    let rows = [
        ("missing", 404, "checkpoint_not_found", Some("path")),
        ("bad", 400, "invalid_checkpoint", Some("path")),
        ("exotic", 400, "unsupported_model", Some("path")),
        ("huge", 507, "insufficient_memory", None),
        ("crash", 500, "load_failed", None),
    ];
    for (path, status, code, param) in rows {
        let answer = host.post("/v1/models/load", &json!({ "path": path })).await;
        check(path, &answer, status, code, param);
    }
}
