//! What a busy host does: hang-ups, full queues, draining.

use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::fake::FakeModel;
use crate::test_host::{TestHost, chat, completion, post};

const CHAT: &str = "/v1/chat/completions";

fn endless(more: &Value) -> Value {
    let mut body = chat(json!({"ignore_eos": true, "max_tokens": 100_000}));
    body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    body
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_cancels_it() {
    let (model, gate) = FakeModel::saying("").gated();
    let host = TestHost::serving(model);
    for _ in 0..3 {
        gate.send(()).expect("the model steps");
        let mut body = host.open(CHAT, &endless(&json!({"stream": true}))).await;
        assert!(host.metrics.encode().contains("host_requests_in_flight{model=\"fake\"} 1\n"));
        let frame = body.frame().await.expect("a frame").expect("bytes");
        assert!(frame.data_ref().is_some_and(|bytes| bytes.starts_with(b"data: {")));
        drop(body);
        // The step under way, and the one that finds nothing to run.
        gate.send(()).expect("the model steps");
        host.wait_idle();
    }
}

#[tokio::test]
async fn a_client_that_leaves_a_whole_answer_cancels_it() {
    let (model, gate) = FakeModel::saying("").gated();
    let host = TestHost::serving(model);
    {
        let body = endless(&json!({"n": 2}));
        let waiting = host.post(CHAT, &body);
        let mut waiting = std::pin::pin!(waiting);
        // The request is in the engine, and no step is done until the gate opens.
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
}

#[tokio::test]
async fn a_full_queue_is_429_with_retry_after() {
    let (model, gate) = FakeModel::saying("").gated();
    let host = TestHost::serving(model);
    gate.send(()).expect("the model steps");
    // Sixteen run and sixteen may wait.
    let first = host.open(CHAT, &endless(&json!({"stream": true, "n": 16}))).await;
    let second = tokio::spawn({
        let request = post(CHAT, endless(&json!({"n": 16, "max_tokens": 1})).to_string());
        let state = host.state.clone();
        async move {
            let host = host_http::router(state, axum::Router::new());
            tower::ServiceExt::oneshot(host, request)
                .await
                .expect("the router never fails")
                .status()
        }
    });
    while !host.metrics.encode().contains("host_requests_in_flight{model=\"fake\"} 2\n") {
        tokio::task::yield_now().await;
    }
    for stream in [true, false] {
        let answer = host.post(CHAT, &chat(json!({"stream": stream}))).await;
        assert_eq!(answer.status, 429, "{}", answer.text);
        assert_eq!(answer.header("retry-after"), Some("1"));
        let error = &answer.json()["error"];
        let found = (&error["type"], &error["code"]);
        assert_eq!(found, (&json!("rate_limit_error"), &json!("rate_limit_exceeded")));
    }
    drop(first);
    drop(gate);
    assert_eq!(second.await.expect("the task ends"), 200, "who was taken is served");
    host.wait_idle();
    assert!(host.metrics.encode().contains("reason=\"rate_limit_exceeded\"} 2\n"));
}

#[tokio::test]
async fn a_draining_host_finishes_and_takes_nothing_new() {
    let (model, gate) = FakeModel::saying(&crate::test_host::chat_script("hello")).gated();
    let host = TestHost::serving(model);
    gate.send(()).expect("the model steps");
    let body = host.open(CHAT, &chat(json!({"stream": true, "temperature": 0}))).await;
    host.state.drain();
    for path in [CHAT, "/v1/completions", "/v1/embeddings", "/tokenize"] {
        let answer = host.post(path, &completion(json!({}))).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]["code"]),
            (503, &json!("shutting_down"))
        );
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert_eq!(host.get("/ready").await.status, 503);
    assert_eq!(host.get("/health").await.json()["ready"], false);
    drop(gate);
    let text = body.collect().await.expect("the body").to_bytes();
    assert!(text.ends_with(b"data: [DONE]\n\n"));
}

#[tokio::test]
async fn many_streams_at_once_equal_one_alone() {
    let host = TestHost::saying(&crate::test_host::chat_script("the quick brown fox"));
    let body = chat(json!({"temperature": 1.5, "seed": 11, "logprobs": true, "max_tokens": 12}));
    let alone = host.ok(CHAT, &body).await["choices"].clone();
    let tasks: Vec<_> = (0..12)
        .map(|_| {
            let (state, request) = (host.state.clone(), post(CHAT, body.to_string()));
            tokio::spawn(async move {
                let router = host_http::router(state, axum::Router::new());
                let answer = tower::ServiceExt::oneshot(router, request).await.expect("an answer");
                answer.into_body().collect().await.expect("a body").to_bytes()
            })
        })
        .collect();
    for task in tasks {
        let answer: Value = serde_json::from_slice(&task.await.expect("the task")).expect("JSON");
        assert_eq!(answer["choices"], alone);
    }
}
