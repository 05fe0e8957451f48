//! Who may ask: key, host, origin, and the id every answer carries.

use axum::body::Body;
use axum::http::{Method, Request};
use host_http::{ApiKeys, HttpOptions};
use serde_json::json;

use crate::test_host::{Answer, TestHost};

fn options(api_key: Option<&str>, loopback_only: bool) -> HttpOptions {
    let keys = api_key.map(ApiKeys::one).unwrap_or_default();
    HttpOptions { keys, loopback_only, ..HttpOptions::default() }
}

async fn send(host: &TestHost, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    host.call(request.body(Body::empty()).expect("a request")).await
}

#[tokio::test]
async fn a_key_guards_everything_but_probes_and_the_page() {
    let host = TestHost::empty(options(Some("secret"), true));
    let local = ("host", "localhost");
    for path in ["/", "/page/app.mjs", "/favicon.svg", "/health"] {
        assert_eq!(send(&host, path, &[local]).await.status, 200, "{path}");
    }
    assert_eq!(send(&host, "/ready", &[local]).await.status, 503, "there is no model");
    for path in ["/v1/models", "/v1/plugins", "/metrics", "/nope", "/pages", "/tokenize"] {
        for sent in
            [None, Some(("authorization", "Bearer wrong")), Some(("authorization", "Basic eDp5"))]
        {
            let headers: Vec<_> = [local].into_iter().chain(sent).collect();
            let answer = send(&host, path, &headers).await;
            assert_eq!(answer.status, 401, "{path}");
            assert_eq!(answer.json()["error"]["code"], "invalid_api_key");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    for key in [("authorization", "Bearer secret"), ("x-api-key", "secret")] {
        assert_eq!(send(&host, "/v1/models", &[local, key]).await.status, 200);
    }
    let health = send(&host, "/health", &[local]).await.json();
    assert_eq!(health["plugins"], json!({"loaded": 1, "refused": 1, "reasons": []}));
}

#[tokio::test]
async fn a_loopback_host_answers_to_loopback_names_only() {
    let local = TestHost::empty(options(None, true));
    for name in ["localhost", "127.0.0.1:8080", "[::1]:8080", "app.localhost", "LOCALHOST."] {
        assert_eq!(send(&local, "/health", &[("host", name)]).await.status, 200, "{name}");
    }
    for name in ["evil.example", "127.0.0.1.evil.example:8080", "192.168.0.1"] {
        let answer = send(&local, "/health", &[("host", name)]).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]["code"]),
            (403, &json!("forbidden_host"))
        );
    }
    assert_eq!(send(&local, "/health", &[]).await.status, 400);
    let proxied = TestHost::empty(options(Some("k"), true));
    assert_eq!(send(&proxied, "/health", &[("host", "box.lan")]).await.status, 200);
    let public = TestHost::empty(options(None, false));
    assert_eq!(send(&public, "/health", &[("host", "box.lan")]).await.status, 200);
}

#[tokio::test]
async fn pages_of_other_origins_are_refused() {
    let host = TestHost::empty(options(None, true));
    let with = |origin| [("host", "localhost:8080"), ("origin", origin)];
    let answer = send(&host, "/v1/models", &with("http://localhost:3000")).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("http://localhost:3000"));
    let answer = send(&host, "/v1/models", &with("http://evil.example")).await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert_eq!(answer.json()["error"]["code"], "forbidden_origin");
}

#[tokio::test]
async fn a_preflight_is_answered_without_a_key() {
    let host = TestHost::empty(options(Some("secret"), true));
    let preflight = |origin: &str| {
        Request::builder()
            .method(Method::OPTIONS)
            .uri("/v1/chat/completions")
            .header("host", "localhost")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type")
            .body(Body::empty())
            .expect("a request")
    };
    let answer = host.call(preflight("http://localhost:3000")).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("http://localhost:3000"));
    assert!(
        answer
            .header("access-control-allow-headers")
            .is_some_and(|it| it.contains("authorization"))
    );
    assert_eq!(host.call(preflight("http://evil.example")).await.status, 403);
}

#[tokio::test]
async fn request_ids_are_kept_or_made() {
    let host = TestHost::empty(options(None, true));
    let local = ("host", "localhost");
    let kept = send(&host, "/nope", &[local, ("x-request-id", "abc-1")]).await;
    assert_eq!(kept.header("x-request-id"), Some("abc-1"));
    let long = "x".repeat(200);
    for unfit in ["", "a b", long.as_str()] {
        let made = send(&host, "/health", &[local, ("x-request-id", unfit)]).await;
        let id = made.header("x-request-id").expect("an id");
        assert!(id.starts_with("req-") && id.len() == 28, "{id}");
    }
}
