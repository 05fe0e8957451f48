//! Models, plugins, tokens, health and metrics.

use std::path::Path;

use expect_test::expect;
use host_http::HttpOptions;
use host_model::CatalogEntry;
use serde_json::{Value, json};

use crate::test_host::{TestHost, completion, pretty};

#[tokio::test]
async fn models_are_listed_with_what_serves_them() {
    let host = TestHost::saying("");
    host.state.models().offer(CatalogEntry::at(Path::new("exotic"), Some("bad")));
    host.post("/v1/models/load", &json!({"id": "bad"})).await;
    let list = host.get("/v1/models").await.json();
    let one = host.get("/v1/models/fake").await.json();
    assert_eq!(list["data"][0], one);
    assert_eq!(host.get("/v1/models/default").await.json(), one);
    expect![[r#"
        {
          "object": "list",
          "data": [
            {
              "id": "fake",
              "object": "model",
              "created": 1700000000,
              "owned_by": "host",
              "max_model_len": 2048,
              "host": {
                "state": "ready",
                "fault": null,
                "name": "Fake",
                "path": "/models/fake.gguf",
                "architecture": "llama",
                "plugins": {
                  "format": "gguf",
                  "architecture": "llama",
                  "compute": "cpu",
                  "quantizations": [
                    "gguf"
                  ]
                },
                "dtypes": {
                  "f32": 3
                },
                "parameters": 12,
                "context_length": 2048,
                "vocab_size": 264,
                "weights_bytes": 48,
                "kv_bytes": 64,
                "scratch_bytes": 16,
                "kv_dtype": "f32",
                "load_ms": 1,
                "task": "generate",
                "chat": true,
                "embedding_width": null,
                "aliases": [],
                "file_bytes": 48,
                "notes": null,
                "use_case": null
              }
            }
          ],
          "failed": [
            {
              "id": "bad",
              "error": "exotic: no"
            }
          ],
          "memory": {
            "budget_bytes": 1000,
            "used_bytes": 0
          }
        }
    "#]]
    .assert_eq(&(serde_json::to_string_pretty(&list).expect("JSON") + "\n"));
}

#[tokio::test]
async fn models_are_loaded_and_unloaded_while_the_host_runs() {
    let host = TestHost::empty(HttpOptions::default());
    let not_ready = host.get("/ready").await;
    assert_eq!(
        (not_ready.status.as_u16(), &not_ready.json()["error"]["code"]),
        (503, &json!("not_ready"))
    );
    let answer =
        host.post("/v1/models/load", &json!({"path": "good.gguf", "id": "org/good"})).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["id"]), (201, &json!("org/good")));
    assert_eq!(host.get("/ready").await.json(), json!({"status": "ready"}));
    assert_eq!(host.get("/v1/models/org/good").await.json()["id"], "org/good");
    assert_eq!(host.get("/server_info").await.json()["served_model_name"], "org/good");
    let body = completion(json!({"model": "org/good", "prompt": [1], "temperature": 0}));
    assert_eq!(host.ok("/v1/completions", &body).await["choices"][0]["text"], "ood");
    let unloaded = host.ok("/v1/models/unload", &json!({"id": "org/good"})).await;
    assert_eq!(unloaded["unloaded"], true);
    assert_eq!(host.get("/v1/models/org/good").await.status, 404);
    assert_eq!(host.get("/ready").await.status, 503);
    assert_eq!(host.get("/server_info").await.json()["served_model_name"], json!(null));
}

#[tokio::test]
async fn plugins_are_listed_and_rescanned() {
    let host = TestHost::saying("");
    let list = host.get("/v1/plugins").await.json();
    expect![[r#"
        {
          "file": "plugins/libbroken.so",
          "name": "broken",
          "version": null,
          "abi": null,
          "state": "refused",
          "reason": "not a plugin",
          "providers": [],
          "shadowed": [],
          "sha256": null,
          "load_us": 7
        }
    "#]]
    .assert_eq(&pretty(list["data"][1].clone()));
    assert_eq!(list["data"].as_array().map(Vec::len), Some(2));
    let rescanned = host.ok("/v1/plugins/rescan", &json!({})).await;
    assert_eq!(rescanned["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_plugin_is_disabled_and_enabled_by_name() {
    let host = TestHost::saying("");
    for (path, state) in [("/v1/plugins/disable", "disabled"), ("/v1/plugins/enable", "loaded")] {
        let list = host.ok(path, &json!({"name": "llama"})).await;
        assert_eq!((&list["object"], &list["data"][0]["state"]), (&json!("list"), &json!(state)));
        let gone = host.post(path, &json!({"name": "gone"})).await;
        let error = gone.json()["error"].clone();
        assert_eq!((gone.status.as_u16(), &error["param"]), (404, &json!("name")));
        assert_eq!(error["code"], "plugin_not_found");
        assert_eq!(host.post(path, &json!({})).await.status, 400);
    }
}

#[tokio::test]
async fn health_tells_what_does_not_serve() {
    let health = TestHost::saying("").get("/health").await.json();
    let expected = json!({
        "status": "ok", "ready": true,
        "plugins": {"loaded": 1, "refused": 1,
                    "reasons": [{"name": "broken", "reason": "not a plugin"}]}
    });
    assert_eq!(health, expected);
}

/// The tokens of a text in each form that clients send.
async fn check_tokens(body: Value, expected: Value) {
    let host = TestHost::saying("");
    for path in ["/tokenize", "/v1/tokenize"] {
        let answer = host.ok(path, &body).await;
        assert_eq!(answer["tokens"], expected, "{body}");
        let count = answer["tokens"].as_array().map(Vec::len);
        assert_eq!((&answer["count"], &answer["max_model_len"]), (&json!(count), &json!(2048)));
    }
}

#[tokio::test]
async fn text_is_tokenized_in_every_form() {
    check_tokens(json!({"prompt": "ab"}), json!([256, 97, 98])).await;
    check_tokens(json!({"text": "ab"}), json!([256, 97, 98])).await;
    check_tokens(json!({"content": "ab"}), json!([97, 98])).await;
    check_tokens(json!({"content": "ab", "add_special": true}), json!([256, 97, 98])).await;
    check_tokens(json!({"prompt": "a", "add_special_tokens": false}), json!([97])).await;
    check_tokens(json!({"prompt": "", "model": "fake"}), json!([256])).await;
    check_tokens(json!({"content": "a</s>b"}), json!([97, 257, 98])).await;
    let pieces =
        json!([{"id": 195, "piece": [195]}, {"id": 169, "piece": [169]}, {"id": 97, "piece": "a"}]);
    check_tokens(json!({"content": "éa", "with_pieces": true}), pieces).await;
    let messages = json!([{"role": "user", "content": "a"}]);
    let rendered = json!([256, 258, 117, 115, 101, 114, 58, 97, 59]);
    check_tokens(json!({"messages": messages, "add_generation_prompt": false}), rendered).await;
}

#[tokio::test]
async fn tokens_are_spelled_out() {
    let host = TestHost::saying("");
    let text = "Once upon a time, é😀";
    let tokens = host.ok("/tokenize", &json!({"content": text})).await["tokens"].clone();
    for path in ["/detokenize", "/v1/detokenize"] {
        let answer = host.ok(path, &json!({ "tokens": tokens })).await;
        assert_eq!(answer, json!({"prompt": text, "content": text, "text": text}));
    }
    let special = json!({"tokens": [256, 97], "skip_special_tokens": true});
    assert_eq!(host.ok("/detokenize", &special).await["text"], "a");
    let special = json!({"tokens": [256, 97]});
    assert_eq!(host.ok("/detokenize", &special).await["text"], "<s>a");
}

#[tokio::test]
async fn metrics_count_requests_by_route_and_status() {
    let host = TestHost::saying("...ok");
    host.ok("/v1/completions", &completion(json!({}))).await;
    host.post("/v1/completions", &completion(json!({"n": 0}))).await;
    host.get("/v1/models/anything/else").await;
    host.get("/made/up").await;
    host.wait_idle();
    let answer = host.get("/metrics").await;
    let content_type = answer.header("content-type").unwrap_or_default();
    assert!(content_type.starts_with("application/openmetrics-text"), "{content_type}");
    let lines = [
        r#"host_requests_total{route="/v1/completions",status="200"} 1"#,
        r#"host_requests_total{route="/v1/completions",status="400"} 1"#,
        r#"host_requests_total{route="/v1/models/{*id}",status="404"} 1"#,
        r#"host_requests_total{route="other",status="404"} 1"#,
        r#"host_requests_rejected_total{reason="invalid_value"} 1"#,
        r#"host_prompt_tokens_total{model="fake"} 3"#,
        r#"host_requests_in_flight{model="fake"} 0"#,
        r#"gen_ai_server_time_to_first_token_seconds_count{model="fake"} 1"#,
    ];
    for line in lines {
        assert!(answer.text.lines().any(|found| found == line), "{line} in\n{}", answer.text);
    }
}
