//! What `/openapi.json` says against what the handlers do.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::fake::FakeModel;
use crate::fake_embedder::FakeEmbedder;
use crate::test_host::{Answer, TestHost};

/// A request that each endpoint answers well, with as little as it needs.
fn least(path: &str) -> Value {
    let message = json!([{"role": "user", "content": "hi"}]);
    match path {
        "/v1/chat/completions" => json!({"messages": message, "max_tokens": 2}),
        "/v1/completions" => json!({"prompt": "ab", "max_tokens": 2}),
        "/v1/responses" => json!({"input": "hi", "max_output_tokens": 2}),
        "/v1/embeddings" => json!({"input": "hi"}),
        "/v1/messages" => json!({"messages": message, "max_tokens": 2}),
        "/v1/messages/count_tokens" | "/apply-template" | "/api/chat" => {
            json!({"messages": message, "stream": false})
        }
        "/v1/models/load" => json!({"path": "good"}),
        "/v1/models/unload" | "/api/show" => json!({"id": "fake", "model": "fake"}),
        "/v1/plugins/disable" | "/v1/plugins/enable" => json!({"name": "llama"}),
        "/tokenize" => json!({"prompt": "ab"}),
        "/detokenize" => json!({"tokens": [97]}),
        "/api/generate" => json!({"prompt": "ab", "stream": false}),
        other => unreachable!("{other} has no body"),
    }
}

fn host(path: &str) -> TestHost {
    if path == "/v1/embeddings" {
        return TestHost::embedding(FakeEmbedder::default());
    }
    TestHost::serving(FakeModel::saying(""))
}

async fn document() -> Value {
    TestHost::saying("").get("/openapi.json").await.json()
}

async fn post(path: &str, field: &str, value: Value) -> Answer {
    let mut body = least(path);
    body[field] = value;
    host(path).post(path, &body).await
}

/// Endpoints that take fields, with the schema of the body.
fn bodies(document: &Value) -> Vec<(String, Map<String, Value>)> {
    let paths = document["paths"].as_object().expect("paths").iter();
    let body = |(path, methods): (&String, &Value)| {
        let schema = &methods["post"]["requestBody"]["content"]["application/json"]["schema"];
        Some((path.clone(), schema["properties"].as_object()?.clone()))
    };
    paths.filter_map(body).collect()
}

#[tokio::test]
async fn least_requests_are_answered() {
    for (path, _) in bodies(&document().await) {
        let answer = host(&path).post(&path, &least(&path)).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_field_of_a_wrong_type_is_named() {
    let mut checked = 0;
    for (path, properties) in bodies(&document().await) {
        for (field, schema) in properties {
            let kinds = schema["anyOf"].as_array().map_or(vec![schema.clone()], Vec::clone);
            let is = |kind: &str| kinds.iter().any(|it| it["type"] == kind);
            if !kinds.iter().any(|it| it["type"].is_string()) {
                continue;
            }
            // Of a type that the field does not have.
            let wrong = if is("object") || is("array") { json!(true) } else { json!([["x"]]) };
            // Of the fields that a text may come in, only one is read.
            let alone = path == "/tokenize" && ["content", "text"].contains(&&*field);
            let answer = match alone {
                true => host(&path).post(&path, &json!({ &*field: wrong })).await,
                false => post(&path, &field, wrong).await,
            };
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {field}: {}", answer.text);
            assert!(answer.text.contains(&*field), "{path} {field}: {}", answer.text);
            checked += 1;
        }
    }
    assert!(checked > 100, "{checked}");
}

#[tokio::test]
async fn null_and_ignored_fields_change_nothing() {
    for (path, properties) in bodies(&document().await) {
        for (field, schema) in properties {
            let mut keys = schema.as_object().expect("a schema").keys();
            let is_ignored = keys.all(|key| key == "description");
            let least = least(&path);
            let value = if least.get(&field).is_some() { continue } else { Value::Null };
            let answer = post(&path, &field, value).await;
            assert!(answer.status.is_success(), "{path} {field}: {}", answer.text);
            let is_known = matches!(
                &*field,
                "input" | "tool_choice" | "grammar" | "guided_json" | "system" | "format" | "think"
            );
            if is_ignored && !is_known {
                let answer = post(&path, &field, json!({"a": [1]})).await;
                assert!(answer.status.is_success(), "{path} {field}: {}", answer.text);
            }
        }
    }
}

#[tokio::test]
async fn numbers_out_of_range_are_refused() {
    for (path, properties) in bodies(&document().await) {
        for (field, schema) in properties {
            let kinds = schema["anyOf"].as_array().map_or(vec![schema.clone()], Vec::clone);
            for kind in kinds {
                for (bound, step) in
                    [("minimum", -1.0), ("maximum", 1.0), ("exclusiveMinimum", 0.0)]
                {
                    let Some(limit) = kind[bound].as_f64() else { continue };
                    if limit.abs() > 1e15 {
                        continue;
                    }
                    let beyond = limit + step;
                    let is_integer = kind["type"] == "integer";
                    let value = if is_integer { json!(beyond as i64) } else { json!(beyond) };
                    let answer = post(&path, &field, value).await;
                    let status = answer.status;
                    assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {field} {beyond}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_prompt_of_a_conversation_can_be_seen() {
    let body = json!({"messages": [{"role": "user", "content": "hi"}]});
    let answer = TestHost::saying("").ok("/apply-template", &body).await;
    assert_eq!(answer["prompt"], "<s><|turn|>user:hi;<|turn|>assistant:");
    let wrong = TestHost::saying("").post("/apply-template", &json!({})).await;
    assert_eq!(wrong.json()["error"]["param"], "messages");
}
