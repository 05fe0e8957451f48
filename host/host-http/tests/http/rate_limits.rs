//! Rate limits: who takes more than a minute's worth waits, and is told how long.

use axum::body::Body;
use axum::http::Request;
use host_http::{ApiKeys, HttpOptions, RateLimits, serve};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fake::FakeModel;
use crate::test_host::{Answer, CHAT_TOKENS, TestHost, chat, chat_script};

const CHAT: &str = "/v1/chat/completions";

fn limited(requests_per_minute: u32, tokens_per_minute: u32) -> TestHost {
    let keys = ApiKeys::one("first").and(ApiKeys::one("second"));
    let rate_limits = RateLimits { requests_per_minute, tokens_per_minute };
    let options = HttpOptions { keys, rate_limits, ..HttpOptions::default() };
    TestHost::serving_with(options, FakeModel::saying(&chat_script("hello")))
}

async fn send(host: &TestHost, key: &str, path: &str, body: Option<&Value>) -> Answer {
    let request = if body.is_some() { Request::post(path) } else { Request::get(path) };
    let request = request.header("host", "localhost").header("x-api-key", key);
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    host.call(request.header("content-type", "application/json").body(body).expect("a request"))
        .await
}

fn number(answer: &Answer, name: &str) -> i64 {
    let value = answer.header(name).unwrap_or_else(|| panic!("no {name}: {:?}", answer.headers));
    value.parse().expect("a number")
}

#[tokio::test]
async fn requests_over_the_limit_are_429_and_tell_when() {
    let host = limited(2, 0);
    let body = chat(json!({"temperature": 0}));
    for left in [1, 0] {
        let answer = send(&host, "first", CHAT, Some(&body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(number(&answer, "x-ratelimit-limit-requests"), 2);
        assert_eq!(number(&answer, "x-ratelimit-remaining-requests"), left);
        assert_eq!(answer.header("x-ratelimit-limit-tokens"), None);
    }
    let answer = send(&host, "first", CHAT, Some(&body)).await;
    assert_eq!(answer.status, 429);
    let error = &answer.json()["error"];
    let found = (&error["type"], &error["code"]);
    assert_eq!(found, (&json!("rate_limit_error"), &json!("rate_limit_exceeded")));
    assert!(error["message"].as_str().is_some_and(|it| it.contains("2 requests")), "{error}");
    assert!((1..=30).contains(&number(&answer, "retry-after")), "{:?}", answer.headers);
    assert_eq!(number(&answer, "x-ratelimit-remaining-requests"), 0);
    let reset = answer.header("x-ratelimit-reset-requests").expect("a time");
    assert!(["59s", "1m0s"].contains(&reset), "{reset}");
    // Others are not concerned, what reads is free, and monitors are never refused.
    assert_eq!(send(&host, "second", CHAT, Some(&body)).await.status, 200);
    for _ in 0..5 {
        assert_eq!(send(&host, "first", "/v1/models", None).await.status, 200);
        assert_eq!(send(&host, "first", "/health", None).await.status, 200);
    }
    assert!(host.metrics.encode().contains("reason=\"rate_limit_exceeded\"} 1\n"));
}

#[tokio::test]
async fn tokens_are_charged_when_they_are_known() {
    let used = CHAT_TOKENS as i64 + 6;
    let host = limited(0, CHAT_TOKENS as u32 + 1);
    for stream in [false, true] {
        let key = if stream { "first" } else { "second" };
        let body = chat(json!({"temperature": 0, "stream": stream}));
        let answer = send(&host, key, CHAT, Some(&body)).await;
        assert_eq!(answer.status, 200, "there was something left: {}", answer.text);
        assert_eq!(number(&answer, "x-ratelimit-limit-tokens"), used - 5);
        assert!((0..=1).contains(&number(&answer, "x-ratelimit-remaining-tokens")));
        assert_eq!(answer.header("x-ratelimit-limit-requests"), None);
        let answer = send(&host, key, CHAT, Some(&body)).await;
        assert_eq!(answer.status, 429, "{}", answer.text);
        assert!(answer.text.contains("tokens a minute"), "{}", answer.text);
        // A debt of five, and the one to go on with, at 22 a minute.
        assert!((1..=17).contains(&number(&answer, "retry-after")), "{:?}", answer.headers);
    }
}

#[tokio::test]
async fn refusals_have_the_shape_that_the_routes_clients_read() {
    let host = limited(1, 0);
    send(&host, "first", "/tokenize", Some(&json!({}))).await;
    let anthropic = send(&host, "first", "/v1/messages", Some(&json!({}))).await;
    assert_eq!(anthropic.status, 429);
    assert_eq!(anthropic.json()["error"]["type"], "rate_limit_error");
    let ollama = send(&host, "first", "/api/chat", Some(&json!({}))).await;
    assert_eq!(ollama.status, 429);
    assert!(ollama.json()["error"].is_string());
}

#[tokio::test]
async fn a_welcome_page_may_read_its_refusal() {
    let host = limited(1, 0);
    for (key, status) in [("wrong", 401), ("first", 400), ("first", 429)] {
        let request = Request::post("/tokenize").header("host", "localhost:8080");
        let request = request.header("origin", "http://localhost:3000").header("x-api-key", key);
        let answer = host.call(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert_eq!(answer.header("access-control-allow-origin"), Some("http://localhost:3000"));
        let exposed = answer.header("access-control-expose-headers").expect("a list");
        assert!(exposed.contains("x-ratelimit-remaining-requests"), "{exposed}");
    }
}

#[tokio::test]
async fn without_keys_an_address_is_a_caller() {
    let rate_limits = RateLimits { requests_per_minute: 1, tokens_per_minute: 0 };
    let options = HttpOptions { rate_limits, ..HttpOptions::default() };
    let host = TestHost::serving_with(options, FakeModel::saying(""));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let to = listener.local_addr().expect("an address");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let task = tokio::spawn(serve(listener, host.router.clone(), host.state.clone(), async move {
        drop(stopped.await)
    }));
    let post = async |from: &str| {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind(format!("{from}:0").parse().expect("an address")).expect("a loopback address");
        let mut stream = socket.connect(to).await.expect("a connection");
        let head = "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await.expect("taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer.get(9..12).unwrap_or_default().to_owned()
    };
    assert_eq!([post("127.0.0.1").await, post("127.0.0.1").await], ["400", "429"]);
    // Linux lets a test have other addresses; elsewhere there is one.
    #[cfg(target_os = "linux")]
    assert_eq!(post("127.0.0.2").await, "400");
    stop.send(()).expect("the host runs");
    task.await.expect("it ends").expect("the listener is whole");
}
