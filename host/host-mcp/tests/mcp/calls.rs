//! Chats, and what stops them.

use std::sync::mpsc::SyncSender;
use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::fake::FakeModel;
use crate::test_server::{TestServer, call, messages};

const RUNNING: &str = r#"host_requests_in_flight{model="fake"}"#;
const ABORTED: &str = r#"host_answers_total{model="fake",reason="abort"}"#;

/// Tokens of the chat `hi`: BOS, turn, `user:hi;`, turn, `assistant:`.
const CHAT_TOKENS: usize = 1 + 1 + 8 + 1 + 10;

fn saying(answer: &str) -> FakeModel {
    FakeModel::saying(&format!("{}{answer}", ".".repeat(CHAT_TOKENS)))
}

fn chat() -> Value {
    json!({"messages": [{"role": "user", "content": "hi"}], "temperature": 0})
}

#[tokio::test]
async fn a_chat_streams_its_text_and_ends_with_all_of_it() {
    let server = TestServer::new(Some(saying("Hello there")), Default::default());
    let (result, told) = server.call("chat", chat()).await;
    let structured = &result["structuredContent"];
    assert_eq!(
        (&structured["text"], &structured["model"]),
        (&json!("Hello there"), &json!("fake"))
    );
    assert_eq!(structured["finish_reason"], "stop");
    assert_eq!(structured["usage"]["prompt_tokens"], CHAT_TOKENS);
    let pieces: String =
        told.iter().filter_map(|message| message["params"]["message"].as_str()).collect();
    assert_eq!(pieces, "Hello there");
    assert!(told.iter().all(|message| message["params"]["progressToken"] == 7), "{told:?}");
    let mirror = result["content"][0]["text"].as_str().expect("a text");
    assert_eq!(&serde_json::from_str::<Value>(mirror).expect("JSON"), structured);
}

#[tokio::test]
async fn an_answer_can_be_held_to_a_schema() {
    let server = TestServer::new(Some(saying("[1,2]")), Default::default());
    let mut arguments = chat();
    let schema = json!({"type": "array", "items": {"type": "integer"}});
    arguments["response_format"] =
        json!({"type": "json_schema", "json_schema": {"schema": schema}});
    let (result, _) = server.call("chat", arguments).await;
    assert_eq!(result["structuredContent"]["text"], "[1,2]");
}

#[tokio::test]
async fn a_notification_stops_the_work_of_a_session() {
    let (model, steps) = saying(&"a".repeat(500)).gated();
    let server = TestServer::new(Some(model), Default::default());
    let session = server.initialize().await;
    for _ in 0..10 {
        steps.send(()).expect("the model runs");
    }
    let mut message = call("chat", chat());
    message["params"]["_meta"] = json!({});
    let response = server.send(&message, Some(&session)).await;
    server.reaches(RUNNING, 1.0).await;
    let cancel = json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1},
    });
    assert_eq!(server.send(&cancel, Some(&session)).await.status(), 202);
    hears(&server, &steps).await;
    server.reaches(RUNNING, 0.0).await;
    drop((response, steps));
}

/// Lets the model go on step by step until it hears that nobody waits for it.
async fn hears(server: &TestServer, steps: &SyncSender<()>) {
    for _ in 0..100 {
        if server.metric(ABORTED) == 1.0 {
            return;
        }
        steps.send(()).expect("the model runs");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.reaches(ABORTED, 1.0).await;
}

#[tokio::test]
async fn a_closed_answer_stops_the_work_of_a_request() {
    let (model, steps) = saying(&"a".repeat(500)).gated();
    let server = TestServer::new(Some(model), Default::default());
    for _ in 0..10 {
        steps.send(()).expect("the model runs");
    }
    let response = server.send(&call("chat", chat()), None).await;
    let mut body = response.into_body();
    let first = body.frame().await.expect("a frame").expect("bytes");
    assert!(first.data_ref().is_some_and(|data| !data.is_empty()));
    server.reaches(RUNNING, 1.0).await;
    drop(body);
    hears(&server, &steps).await;
    server.reaches(RUNNING, 0.0).await;
}

#[tokio::test]
async fn without_a_model_nothing_that_needs_one_is_listed() {
    let server = TestServer::new(None, Default::default());
    let mut message = call("", json!({}));
    message["method"] = json!("tools/list");
    let listed = messages(server.send(&message, None).await).await;
    let tools = listed[0]["result"]["tools"].as_array().expect("a list").clone();
    let names: Vec<&str> = tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
    assert_eq!(names, ["model_load", "model_unload", "models", "plugins"]);
    let unknown = messages(server.send(&call("chat", chat()), None).await).await;
    assert_eq!(unknown[0]["error"]["code"], -32602, "{unknown:?}");
}

#[tokio::test]
async fn a_model_that_fails_is_a_result_that_says_so() {
    let model = saying("Hello there").failing_after(3, false);
    let server = TestServer::new(Some(model), Default::default());
    let (result, _) = server.call("chat", chat()).await;
    assert_eq!(result["isError"], true, "{result}");
    let said = result["content"][0]["text"].as_str().expect("a text");
    assert!(said.contains("matmul went wrong"), "{said}");
}
