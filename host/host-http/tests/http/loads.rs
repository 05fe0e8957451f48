//! Models that are loaded when they are asked for, by a request or by its operator.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::test_host::{TestHost, chat, completion, event};

fn loads(host: &TestHost) -> usize {
    host.admin.loads.load(Ordering::SeqCst)
}

async fn state(host: &TestHost, id: &str) -> Value {
    host.get(&format!("/v1/models/{id}")).await.json()["host"]["state"].clone()
}

async fn until(host: &TestHost, id: &str, wanted: &str) {
    for _ in 0..5000 {
        if state(host, id).await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("{id} is never {wanted}");
}

#[tokio::test]
async fn available_models_are_listed_with_what_is_known_of_them() {
    let host = TestHost::offering(&["good.gguf"]);
    host.state.models().add_alias("mine", "good");
    let list = host.get("/v1/models").await.json();
    let expected = json!({
        "id": "good", "object": "model", "created": 0, "owned_by": "host", "max_model_len": null,
        "host": {
            "state": "available", "name": null, "path": "/models/good.gguf", "architecture": null,
            "plugins": {}, "dtypes": {}, "format": "gguf",
            "progress": null, "aliases": ["mine"], "file_bytes": 0, "notes": null, "use_case": null
        }
    });
    assert_eq!(list["data"], json!([expected]));
    for id in ["good", "mine", "default"] {
        assert_eq!(host.get(&format!("/v1/models/{id}")).await.json(), expected, "{id}");
    }
    assert_eq!(host.get("/api/tags").await.json()["models"][0]["name"], "good");
    assert_eq!((host.get("/ready").await.status, loads(&host)), (StatusCode::OK, 0));
}

#[tokio::test]
async fn every_endpoint_loads_the_model_it_needs() {
    let messages = json!([{"role": "user", "content": "hi"}]);
    let rows = [
        ("/v1/chat/completions", json!({"messages": messages, "max_tokens": 1})),
        ("/v1/completions", json!({"prompt": "ab"})),
        ("/v1/responses", json!({"input": "hi"})),
        ("/v1/messages", json!({"messages": messages, "max_tokens": 1})),
        ("/v1/messages/count_tokens", json!({"messages": messages})),
        ("/api/chat", json!({"messages": messages, "stream": false})),
        ("/api/generate", json!({"prompt": "hi", "stream": false})),
        ("/api/show", json!({})),
        ("/tokenize", json!({"prompt": "hi"})),
        ("/detokenize", json!({"tokens": [97]})),
    ];
    for (path, mut body) in rows {
        let host = TestHost::offering(&["good.gguf", "other-good.gguf"]);
        body["model"] = "good".into();
        host.ok(path, &body).await;
        assert_eq!((loads(&host), state(&host, "good").await), (1, json!("ready")), "{path}");
        assert_eq!(state(&host, "other-good").await, "available", "{path}");
    }
    let host = TestHost::offering(&["good.gguf"]);
    let refused = host.post("/v1/embeddings", &json!({"model": "good", "input": "x"})).await;
    assert_eq!((refused.status, loads(&host)), (StatusCode::BAD_REQUEST, 1), "{}", refused.text);
}

#[tokio::test]
async fn many_requests_wait_for_one_load_and_one_that_leaves_stops_nothing() {
    let host = Arc::new(TestHost::offering(&["good.gguf"]));
    let gate = host.admin.hold();
    let ask = |host: Arc<TestHost>| async move {
        let body = completion(json!({"model": "good", "prompt": [1], "temperature": 0}));
        host.post("/v1/completions", &body).await
    };
    let waiting: Vec<_> = (0..8).map(|_| tokio::spawn(ask(Arc::clone(&host)))).collect();
    let leaving = tokio::spawn(ask(Arc::clone(&host)));
    until(&host, "good", "loading").await;
    let deadline = Instant::now() + Duration::from_secs(10);
    // It is queued first, and of no known size.
    while host.get("/v1/models/good").await.json()["host"]["progress"]["total_bytes"] != 2 {
        assert!(Instant::now() < deadline, "the load never says how much there is to do");
        tokio::task::yield_now().await;
    }
    let unload = host.post("/v1/models/unload", &json!({"id": "good"})).await;
    assert_eq!(
        (unload.status, &unload.json()["error"]["code"]),
        (StatusCode::CONFLICT, &json!("model_loading"))
    );
    leaving.abort();
    assert!(leaving.await.is_err_and(|error| error.is_cancelled()));
    gate.send(()).expect("the load waits");
    for answer in waiting {
        let answer = answer.await.expect("it does not panic");
        assert_eq!(
            (answer.status, &answer.json()["choices"][0]["text"]),
            (StatusCode::OK, &json!("ood"))
        );
    }
    assert_eq!(loads(&host), 1);
}

#[tokio::test]
async fn a_failed_load_is_heard_by_all_and_tried_again_when_asked() {
    let host = TestHost::offering(&["exotic", "huge"]);
    let ask = async |id: &str| host.post("/v1/chat/completions", &chat(json!({"model": id}))).await;
    for hint in [false, true] {
        let answer = ask("exotic").await;
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, &error["param"]), (StatusCode::BAD_REQUEST, &json!("model")));
        assert_eq!(error["code"], "unsupported_model");
        assert_eq!(error["message"].as_str().map(|it| it.contains("tried again")), Some(hint));
    }
    assert_eq!(loads(&host), 1);
    assert_eq!(host.get("/v1/models/exotic").await.status, StatusCode::BAD_REQUEST);
    let again = host.post("/v1/models/load", &json!({"id": "exotic"})).await;
    assert_eq!((again.json()["error"]["param"].clone(), loads(&host)), (json!("id"), 2));
    for count in [3, 4] {
        let answer = ask("huge").await;
        assert_eq!(answer.json()["error"]["code"], "insufficient_memory");
        assert_eq!((answer.status, loads(&host)), (StatusCode::INSUFFICIENT_STORAGE, count));
    }
    assert_eq!(state(&host, "huge").await, "available");
}

#[tokio::test]
async fn operators_load_and_unload_by_id() {
    let host = TestHost::offering(&["good.gguf"]);
    let body = json!({"id": "good"});
    for (path, status, key, expected) in [
        ("/v1/models/unload", 200, "unloaded", json!(false)),
        ("/v1/models/load", 201, "id", json!("good")),
        ("/v1/models/load", 200, "id", json!("good")),
        ("/v1/models/unload", 200, "unloaded", json!(true)),
    ] {
        let answer = host.post(path, &body).await;
        assert_eq!((answer.status.as_u16(), &answer.json()[key]), (status, &expected), "{path}");
    }
    assert_eq!((state(&host, "good").await, loads(&host)), (json!("available"), 1));
    let unknown = host.post("/v1/models/load", &json!({"id": "nope"})).await;
    let error = &unknown.json()["error"];
    assert_eq!((unknown.status, &error["param"]), (StatusCode::NOT_FOUND, &json!("id")));
}

#[tokio::test]
async fn a_streamed_load_tells_how_far_it_is() {
    let host = TestHost::offering(&["good.gguf"]);
    let gate = host.admin.hold();
    let body = json!({"id": "good", "stream": true});
    let mut stream = host.open("/v1/models/load", &body).await;
    let mut text = String::new();
    while !text.contains("\"weights\"") {
        let frame = stream.frame().await.expect("the load goes on").expect("the body never fails");
        text += std::str::from_utf8(frame.data_ref().expect("data")).expect("events are text");
    }
    let weights = text.split_terminator("\n\n").last().map(event);
    let expected = json!({"object": "model.load", "id": "good", "stage": "weights", "done_bytes": 1,
                          "total_bytes": 2});
    assert_eq!(weights, Some(expected));
    gate.send(()).expect("the load waits");
    let rest = stream.collect().await.expect("the body never fails").to_bytes();
    let rest = std::str::from_utf8(&rest).expect("events are text");
    let (model, end) = rest.split_once("\n\n").expect("two events");
    assert_eq!((event(model)["host"]["state"].clone(), end), (json!("ready"), "data: [DONE]\n\n"));
}

#[tokio::test]
async fn a_streamed_load_that_fails_ends_with_the_error() {
    let host = TestHost::offering(&[]);
    let answer = host.post("/v1/models/load", &json!({"path": "exotic", "stream": true})).await;
    let last = answer.text.split_terminator("\n\n").last().map(event).expect("an event");
    assert_eq!(
        (answer.status, &last["error"]["code"]),
        (StatusCode::OK, &json!("unsupported_model"))
    );
    assert!(!answer.text.contains("[DONE]"), "{}", answer.text);
}
