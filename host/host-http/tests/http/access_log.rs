//! The access log: a line for each request, with what it took and none of what was said.

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use host_http::{AccessLog, ApiKeys, HttpOptions};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::fake::FakeModel;
use crate::fake_embedder::{self, FakeEmbedder};
use crate::test_host::{CHAT_TOKENS, TestHost, chat, chat_script, post};

const CHAT: &str = "/v1/chat/completions";

type Lines = Arc<Mutex<Vec<String>>>;

fn options() -> (HttpOptions, Lines) {
    let lines = Lines::default();
    let taken = Arc::clone(&lines);
    let log = AccessLog::new(move |line| taken.lock().expect("no panic").push(line.to_owned()));
    (HttpOptions { access_log: Some(log), ..HttpOptions::default() }, lines)
}

fn logged(model: FakeModel) -> (TestHost, Lines) {
    let (options, lines) = options();
    (TestHost::serving_with(options, model), lines)
}

/// The lines so far, parsed.
fn read(lines: &Lines) -> Vec<Value> {
    let lines = lines.lock().expect("no panic");
    lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn only(lines: &Lines) -> Value {
    let lines = read(lines);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines[0].clone()
}

#[tokio::test]
async fn an_answer_is_a_line_with_its_figures() {
    for stream in [false, true] {
        let (host, lines) = logged(FakeModel::saying(&chat_script("hello")));
        let body = chat(json!({"temperature": 0, "stream": stream}));
        let answer = host.post(CHAT, &body).await;
        let line = only(&lines);
        assert_eq!(line["request_id"], answer.header("x-request-id").expect("an id"));
        assert_eq!((&line["method"], &line["route"]), (&json!("POST"), &json!(CHAT)));
        assert_eq!((&line["status"], &line["model"]), (&json!(200), &json!("fake")));
        assert_eq!(line["bytes"], answer.text.len());
        assert_eq!(line["prompt_tokens"], CHAT_TOKENS, "{line}");
        // Five letters and the end.
        assert_eq!(line["completion_tokens"], 6, "{line}");
        let ms = |key: &str| line[key].as_f64().expect("a time");
        assert!(0.0 < ms("ttft_ms") && ms("ttft_ms") <= ms("duration_ms"), "{line}");
        let time = line["time"].as_str().expect("a time");
        assert!(time.starts_with("20") && time.ends_with('Z') && time.len() == 24, "{time}");
        assert_eq!(line.get("key"), None);
    }
}

#[tokio::test]
async fn embeddings_are_counted_as_prompts() {
    let (options, lines) = options();
    let host = TestHost::empty(options);
    let embedder = fake_embedder::embedder("fake", FakeEmbedder::default(), &host.metrics);
    host.state.models().insert(embedder);
    let answer = host.ok("/v1/embeddings", &json!({"model": "fake", "input": ["ab", "c"]})).await;
    let line = only(&lines);
    assert_eq!(line["prompt_tokens"], answer["usage"]["prompt_tokens"]);
    assert_eq!((&line["completion_tokens"], &line["model"]), (&json!(0), &json!("fake")));
}

#[tokio::test]
async fn who_hangs_up_is_written_down_with_the_tokens_so_far() {
    let (model, gate) = FakeModel::saying("").gated();
    let (host, lines) = logged(model);
    gate.send(()).expect("the model steps");
    let body = chat(json!({"stream": true, "ignore_eos": true, "max_tokens": 1000}));
    let mut answer = host.open(CHAT, &body).await;
    answer.frame().await.expect("a frame").expect("bytes");
    assert!(read(&lines).is_empty(), "the answer goes on");
    drop(answer);
    let line = only(&lines);
    assert_eq!(line["status"], 200);
    assert!(line["completion_tokens"].as_u64().is_some_and(|count| count > 0), "{line}");
    drop(gate);
    host.wait_idle();
}

#[tokio::test]
async fn who_leaves_before_the_answer_is_a_499() {
    let (model, gate) = FakeModel::saying("").gated();
    let (host, lines) = logged(model);
    {
        let body = chat(json!({"ignore_eos": true}));
        let mut waiting = std::pin::pin!(host.post(CHAT, &body));
        while !host.metrics.encode().contains("host_requests_in_flight{model=\"fake\"} 1\n") {
            tokio::select! {
                biased;
                answer = &mut waiting => panic!("answered: {answer:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
    }
    drop(gate);
    host.wait_idle();
    let line = only(&lines);
    assert_eq!((&line["status"], &line["bytes"]), (&json!(499), &json!(0)), "{line}");
}

#[tokio::test]
async fn refusals_are_lines_and_secrets_are_not_in_them() {
    let path = std::env::temp_dir().join(format!("host-keys-{}", std::process::id()));
    let mut file = std::fs::File::create(&path).expect("a file");
    file.write_all(b"alice sk-alice\n").expect("written");
    let keys = ApiKeys::read(&path).expect("keys");
    std::fs::remove_file(&path).expect("removed");
    let (options, lines) = options();
    let host = TestHost::empty(HttpOptions { keys, ..options });
    let send = |key: &str, path: &str, method: Method| {
        let request = Request::builder().method(method).uri(path).header("host", "localhost");
        let request = request.header("authorization", format!("Bearer {key}"));
        host.call(request.body(Body::empty()).expect("a request"))
    };
    assert_eq!(send("sk-wrong", "/v1/models", Method::GET).await.status, 401);
    assert_eq!(send("sk-alice", "/private/name?q=secret", Method::GET).await.status, 404);
    let odd = Method::from_bytes(b"SECRET").expect("a method");
    assert_eq!(send("sk-alice", "/v1/models", odd).await.status, 405);
    let found = read(&lines);
    assert_eq!((&found[0]["status"], &found[0]["key"]), (&json!(401), &Value::Null));
    assert_eq!((&found[1]["route"], &found[1]["key"]), (&json!("other"), &json!("alice")));
    assert_eq!(found[2]["method"], "other");
    let text = lines.lock().expect("no panic").join("\n");
    for secret in ["sk-", "secret", "SECRET", "private"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[tokio::test]
async fn an_answer_keeps_its_length_while_it_is_counted() {
    let (host, _lines) = logged(FakeModel::saying(&chat_script("hello")));
    let request = post(CHAT, chat(json!({"temperature": 0})).to_string());
    let router = host_http::router(host.state.clone(), Router::new());
    let response = tower::ServiceExt::oneshot(router, request).await.expect("an answer");
    let size = axum::body::HttpBody::size_hint(response.body()).exact();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    assert_eq!(size, Some(body.len() as u64));
}
