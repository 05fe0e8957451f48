//! `/v1/embeddings`: every form of input and of answer, usage, limits, and who may be asked.

use expect_test::expect;
use host_generation::EMBEDDING_TEXTS_MAX;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fake::{self, FakeModel};
use crate::fake_embedder::{FakeEmbedder, POISON, vector_of};
use crate::test_host::{TestHost, chat, completion, pretty};

const PATH: &str = "/v1/embeddings";

fn host() -> TestHost {
    TestHost::embedding(FakeEmbedder::default())
}

/// A request for one text, with more or other fields.
fn request(more: &Value) -> Value {
    let mut body = json!({"model": "fake", "input": "ab"});
    body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    body
}

#[tokio::test]
async fn an_answer_has_the_form_of_openai() {
    expect![[r#"
        {
          "object": "list",
          "data": [
            {
              "object": "embedding",
              "index": 0,
              "embedding": [
                0.01171875,
                1.0,
                0.3828125,
                1.7617188
              ]
            }
          ],
          "model": "fake",
          "usage": {
            "prompt_tokens": 3,
            "total_tokens": 3
          }
        }
    "#]]
    .assert_eq(&pretty(host().ok(PATH, &request(&json!({}))).await));
}

/// The floats of a vector that was sent as numbers.
fn numbers(vector: &Value) -> Vec<f32> {
    let values = vector.as_array().expect("a list");
    values.iter().map(|value| value.as_f64().expect("a number") as f32).collect()
}

#[tokio::test]
async fn every_form_of_input_is_taken() {
    let host = host();
    let check = async |input: Value, texts: &[&[u32]]| {
        let answer = host.ok(PATH, &json!({ "input": input })).await;
        let count: usize = texts.iter().map(|text| text.len()).sum();
        assert_eq!(answer["usage"]["prompt_tokens"], count, "{input}");
        let data = answer["data"].as_array().expect("a list");
        assert_eq!(data.len(), texts.len(), "{input}");
        for (index, (entry, text)) in data.iter().zip(texts).enumerate() {
            assert_eq!(entry["index"], index);
            assert_eq!(numbers(&entry["embedding"]), vector_of(text), "{input}");
        }
    };
    check(json!("a"), &[&[256, 97]]).await;
    check(json!(["a", "ab", ""]), &[&[256, 97], &[256, 97, 98], &[256]]).await;
    check(json!([7, 8]), &[&[7, 8]]).await;
    check(json!([[7, 8], [9]]), &[&[7, 8], &[9]]).await;
    let many: Vec<Vec<u32>> = (0..100).map(|token| vec![token; 3]).collect();
    let texts: Vec<&[u32]> = many.iter().map(Vec::as_slice).collect();
    check(json!(many), &texts).await;
}

/// The floats of a base64 text.
fn floats(text: &str) -> Vec<f32> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let bits = text.bytes().filter(|c| *c != b'=').flat_map(|c| {
        let digit = digit(c);
        (0..6).rev().map(move |bit| digit >> bit & 1)
    });
    let bits: Vec<u8> = bits.collect();
    let bytes: Vec<u8> =
        bits.chunks_exact(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | bit)).collect();
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

#[tokio::test]
async fn base64_has_the_same_floats() {
    let body = request(&json!({"encoding_format": "base64", "user": "somebody"}));
    let answer = host().ok(PATH, &body).await;
    let text = answer["data"][0]["embedding"].as_str().expect("a text");
    assert_eq!(text, "AABAPAAAgD8AAMQ+AIDhPw==");
    assert_eq!(floats(text), vector_of(&[256, 97, 98]));
    let plain = host().ok(PATH, &request(&json!({"encoding_format": "float"}))).await;
    assert!(plain["data"][0]["embedding"].is_array());
}

#[tokio::test]
async fn dimensions_cut_a_vector_and_make_its_length_one() {
    let body = |dimensions: usize| request(&json!({"input": [3, 4], "dimensions": dimensions}));
    let vector = async |dimensions| {
        numbers(&host().ok(PATH, &body(dimensions)).await["data"][0]["embedding"])
    };
    let cut = vector(2).await;
    let norm = 13_f32.sqrt();
    assert_eq!(cut.len(), 2);
    assert!((cut[0] - 2.0 / norm).abs() < 1e-7 && (cut[1] - 3.0 / norm).abs() < 1e-7, "{cut:?}");
    assert_eq!(vector(1).await, [1.0]);
    assert_eq!(vector(4).await, vector_of(&[3, 4]), "nothing is cut");
}

#[tokio::test]
async fn bad_requests_are_refused_by_name() {
    let host = host();
    let long = "a".repeat(256);
    let rows = [
        (json!({"input": null}), "missing_required_parameter", "input", "input is missing"),
        (json!({"input": 5}), "invalid_type", "input", "expected a string, an array of strings"),
        (json!({"input": ["a", 5]}), "invalid_type", "input", "input is an integer"),
        (json!({"input": [5, "a"]}), "invalid_type", "input", "input is a string"),
        (json!({"input": [-1]}), "invalid_type", "input", "input is an integer"),
        (json!({"input": []}), "invalid_value", "input", "expected at least one"),
        (json!({"input": [["a"]]}), "invalid_type", "input", "input is a string"),
        (json!({"input": [[]]}), "invalid_value", "input", "the text is empty"),
        (json!({"input": [[1], [264]]}), "invalid_value", "input[1]", "token 264"),
        (json!({"input": ["a", long]}), "invalid_value", "input[1]", "257 tokens"),
        (json!({"input": "a".repeat(2048)}), "context_length_exceeded", "input", "2049"),
        (json!({"input": "a".repeat(200_000)}), "context_length_exceeded", "input", "200000"),
        (json!({"input": vec!["a"; EMBEDDING_TEXTS_MAX + 1]}), "invalid_value", "input", "2049"),
        (json!({"input": vec!["a".repeat(199); 1501]}), "invalid_value", "input", "300200 tokens"),
        (json!({"encoding_format": "int8"}), "invalid_value", "encoding_format", "`int8`"),
        (json!({"encoding_format": 1}), "invalid_type", "encoding_format", "an integer"),
        (json!({"dimensions": 0}), "invalid_value", "dimensions", "expected 1 to 4"),
        (json!({"dimensions": 5}), "invalid_value", "dimensions", "expected 1 to 4"),
        (json!({"dimensions": 1.5}), "invalid_type", "dimensions", "a decimal number"),
        (json!({"model": 1}), "invalid_type", "model", "an integer"),
        (json!({"user": 1}), "invalid_type", "user", "an integer"),
    ];
    for (more, code, param, message) in rows {
        let answer = host.post(PATH, &request(&more)).await;
        let error = &answer.json()["error"];
        let what: String = more.to_string().chars().take(100).collect();
        assert_eq!(answer.status, 400, "{what}: {error}");
        assert_eq!((&error["code"], &error["param"]), (&json!(code), &json!(param)), "{what}");
        let found = error["message"].as_str().unwrap_or_default();
        assert!(found.contains(message), "{what}: {found}");
    }
    host.wait_idle();
}

#[tokio::test]
async fn a_model_of_the_other_kind_says_what_it_can_do() {
    let host = host();
    let writer = fake::generator("writer", FakeModel::saying("...ok"), &host.metrics);
    host.state.models().insert(writer);
    let check = async |path: &str, body: Value, message: &str| {
        let answer = host.post(path, &body).await;
        let error = &answer.json()["error"];
        assert_eq!(answer.status, 400, "{error}");
        let found = (&error["code"], &error["param"]);
        assert_eq!(found, (&json!("unsupported_model"), &json!("model")));
        assert!(error["message"].as_str().is_some_and(|it| it.contains(message)), "{error}");
    };
    let embeds = "model fake computes embeddings and generates no text";
    check("/v1/chat/completions", chat(json!({})), embeds).await;
    check("/v1/completions", completion(json!({})), embeds).await;
    check("/tokenize", chat(json!({})), embeds).await;
    let generates = "model writer generates text and computes no embeddings";
    check(PATH, request(&json!({"model": "writer"})), generates).await;
    // Whoever names no model gets one that can do it.
    assert_eq!(host.ok(PATH, &json!({"input": "a"})).await["model"], "fake");
    let answer = host.ok("/v1/completions", &json!({"prompt": "ab", "temperature": 0})).await;
    assert_eq!((&answer["model"], &answer["choices"][0]["text"]), (&json!("writer"), &json!("ok")));
    let unknown = host.post(PATH, &request(&json!({"model": "nobody"}))).await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.json()["error"]["param"].as_str()),
        (404, Some("model"))
    );
}

#[tokio::test]
async fn an_embedding_model_is_listed_and_tokenizes() {
    let host = host();
    let model = host.get("/v1/models/fake").await.json();
    let facts = &model["host"];
    let found = (&facts["task"], &facts["embedding_width"], &facts["chat"]);
    assert_eq!(found, (&json!("embed"), &json!(4), &json!(false)));
    let tokens = host.ok("/tokenize", &json!({"prompt": "ab"})).await["tokens"].clone();
    assert_eq!(tokens, json!([256, 97, 98]));
    assert_eq!(host.get("/ready").await.status, 200);
    assert_eq!(host.ok("/v1/models/unload", &json!({"id": "fake"})).await["unloaded"], true);
    assert_eq!(host.post(PATH, &request(&json!({}))).await.status, 404);
}

#[tokio::test]
async fn requests_are_counted() {
    let host = host();
    host.ok(PATH, &request(&json!({}))).await;
    host.post(PATH, &request(&json!({"dimensions": 0}))).await;
    host.wait_idle();
    let page = host.get("/metrics").await.text;
    for line in [
        r#"host_requests_total{route="/v1/embeddings",status="200"} 1"#,
        r#"host_requests_total{route="/v1/embeddings",status="400"} 1"#,
        r#"host_prompt_tokens_total{model="fake"} 3"#,
        r#"gen_ai_server_request_duration_seconds_count{model="fake"} 1"#,
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
    }
}

#[tokio::test]
async fn what_the_model_does_wrong_is_a_server_error() {
    let answer = host().post(PATH, &request(&json!({"input": [1, POISON]}))).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["error"]["code"]),
        (500, &json!("model_error"))
    );
    let faulted = TestHost::embedding(FakeEmbedder::failing(true));
    let answer = faulted.post(PATH, &request(&json!({}))).await;
    let error = &answer.json()["error"];
    assert_eq!((answer.status.as_u16(), &error["code"]), (500, &json!("model_faulted")));
    assert!(error["message"].as_str().is_some_and(|it| it.contains("fake-compute")), "{error}");
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_texts() {
    let (model, gate) = FakeEmbedder::default().gated();
    let steps = model.steps();
    let host = TestHost::embedding(model);
    {
        let body = request(&json!({"input": vec!["a"; 100]}));
        let waiting = host.post(PATH, &body);
        let mut waiting = std::pin::pin!(waiting);
        // The first step is under way, and is not done until the gate opens.
        while steps.lock().expect("unpoisoned").is_empty() {
            tokio::select! {
                biased;
                answer = &mut waiting => panic!("answered: {answer:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
        // The thread that handed the texts over may still be on its way back; what it holds is
        // dropped with it, so that leaving before would cancel a little later.
        let back = tokio::time::timeout(Duration::from_millis(300), &mut waiting);
        assert!(back.await.is_err(), "the gate is closed");
    }
    drop(gate);
    host.wait_idle();
    assert_eq!(*steps.lock().expect("unpoisoned"), [16]);
}

#[tokio::test]
async fn a_full_queue_is_429_with_retry_after() {
    let (model, gate) = FakeEmbedder::default().gated();
    let host = TestHost::embedding(model);
    let body = request(&json!({}));
    let mut waiting: Vec<_> = (0..32).map(|_| Box::pin(host.post(PATH, &body))).collect();
    while !host.metrics.encode().contains("host_requests_in_flight{model=\"fake\"} 32\n") {
        for request in &mut waiting {
            tokio::select! {
                biased;
                answer = request => panic!("answered: {answer:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
    }
    let answer = host.post(PATH, &body).await;
    assert_eq!(answer.status, 429, "{}", answer.text);
    assert_eq!(answer.header("retry-after"), Some("1"));
    drop(gate);
    for request in waiting {
        assert_eq!(request.await.status, 200, "who was taken is served");
    }
}
