//! Models elsewhere: a server of OpenAI's API that answers as a test wrote down.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use host_mcp::{Endpoint, Endpoints};
use serde_json::{Value, json};

use crate::test_server::TestServer;

const KEY: &str = "sk-there";

/// Answers of the server, the first to the first request; the last one stays.
struct Script {
    answers: Vec<(u16, String)>,
    asked: AtomicUsize,
}

async fn complete(
    State(script): State<Arc<Script>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!((&body["model"], &body["temperature"]), (&json!("coder"), &json!(0)));
    assert!(body["response_format"]["json_schema"]["schema"]["properties"]["code"].is_object());
    let asked = script.asked.fetch_add(1, Ordering::SeqCst);
    let (status, text) = &script.answers[asked.min(script.answers.len() - 1)];
    (StatusCode::from_u16(*status).expect("a status"), text.clone())
}

async fn models() -> String {
    json!({"data": [{"id": "coder"}]}).to_string()
}

/// A host without models that asks such a server; the server's script.
async fn server(answers: &[(u16, String)], timeout: Duration) -> (TestServer, Arc<Script>) {
    let script = Arc::new(Script { answers: answers.to_vec(), asked: AtomicUsize::new(0) });
    let router = Router::new()
        .route("/v1/chat/completions", post(complete))
        .route("/v1/models", get(models))
        .with_state(Arc::clone(&script));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let endpoint = Endpoint::new(&url, Some(KEY.to_owned()), timeout).expect("an address");
    let endpoints = Endpoints { code: Some(endpoint), language: None };
    (TestServer::new(None, endpoints), script)
}

fn completion(content: &str, reason: &str) -> String {
    json!({"choices": [{"message": {"content": content}, "finish_reason": reason}]}).to_string()
}

fn code() -> Value {
    json!({"code": "x = 1", "language": "python", "explanation": "e", "dependencies": []})
}

async fn check(answers: &[(u16, String)], expected: Result<Value, &str>, asked: usize) {
    let (server, script) = server(answers, Duration::from_secs(10)).await;
    let (result, _) = server.call("generate_code", json!({"description": "x"})).await;
    match expected {
        Ok(value) => assert_eq!(result["structuredContent"], value, "{result}"),
        Err(word) => {
            assert_eq!(result["isError"], true, "{result}");
            let said = result["content"][0]["text"].as_str().expect("a text");
            assert!(said.contains(word), "{said}");
        }
    }
    assert_eq!(script.asked.load(Ordering::SeqCst), asked);
}

#[tokio::test]
async fn an_answer_of_another_server_is_taken_fence_or_not() {
    let plain = code().to_string();
    check(&[(200, completion(&plain, "stop"))], Ok(code()), 1).await;
    let fenced = format!("```json\n{plain}\n```");
    check(&[(200, completion(&fenced, "stop"))], Ok(code()), 1).await;
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_the_rest_is_told() {
    let good = (200, completion(&code().to_string(), "stop"));
    check(&[(503, "busy".to_owned()), good.clone()], Ok(code()), 2).await;
    check(&[(429, String::new()), good.clone()], Ok(code()), 2).await;
    check(&[(500, "broken".to_owned())], Err("status 500: broken"), 3).await;
    check(&[(400, "no".to_owned()), good], Err("status 400: no"), 1).await;
    check(&[(200, completion("{\"code\"", "length"))], Err("cut off"), 1).await;
    check(&[(200, completion("sorry", "stop"))], Err("not JSON"), 1).await;
    check(&[(200, "{}".to_owned())], Err("there is no text"), 1).await;
}

#[tokio::test]
async fn a_server_that_is_gone_or_hangs_is_given_up_in_time() {
    let gone = Endpoint::new("http://127.0.0.1:9/v1", None, Duration::from_secs(5)).expect("good");
    let endpoints = Endpoints { code: Some(gone), language: None };
    let host = TestServer::new(None, endpoints);
    let (result, _) =
        host.call("generate_code", json!({"description": "x", "model": "coder"})).await;
    assert!(result["content"][0]["text"].as_str().expect("a text").contains("cannot be reached"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let hangs = Endpoint::new(&url, None, Duration::from_secs(1)).expect("good");
    let host = TestServer::new(None, Endpoints { code: Some(hangs), language: None });
    let (result, _) = host.call("review_code", json!({"code": "x", "model": "coder"})).await;
    let said = result["content"][0]["text"].as_str().expect("a text");
    assert!(said.contains("did not answer within 1 s"), "{said}");
}
