//! `POST /v1/completions`.

use expect_test::expect;
use serde_json::{Value, json};

use crate::test_host::{TestHost, completion, pretty, stable};

const PATH: &str = "/v1/completions";

/// Says this after the prompt `ab`.
fn saying(text: &str) -> TestHost {
    TestHost::saying(&format!("...{text}"))
}

#[tokio::test]
async fn a_whole_answer_has_the_shape_of_openai() {
    let answer = saying("hello").ok(PATH, &completion(json!({"temperature": 0}))).await;
    assert!(answer["id"].as_str().is_some_and(|id| id.starts_with("cmpl-")));
    expect![[r#"
        {
          "id": "cmpl-ID",
          "object": "text_completion",
          "created": 0,
          "model": "fake",
          "system_fingerprint": "fp",
          "choices": [
            {
              "text": "hello",
              "index": 0,
              "logprobs": null,
              "finish_reason": "stop"
            }
          ],
          "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 6,
            "total_tokens": 9,
            "prompt_tokens_details": {
              "cached_tokens": 0
            },
            "completion_tokens_details": {
              "reasoning_tokens": 0
            }
          }
        }
    "#]]
    .assert_eq(&pretty(answer));
}

#[tokio::test]
async fn a_stream_has_the_shape_of_openai() {
    let body = completion(json!({"temperature": 0, "max_tokens": 2}));
    let events = saying("hello").events(PATH, &body).await;
    let lines: Vec<String> = events.into_iter().map(|event| stable(event).to_string()).collect();
    expect![[r#"
        {"id":"cmpl-ID","object":"text_completion","created":0,"model":"fake","system_fingerprint":"fp","choices":[{"text":"h","index":0,"logprobs":null,"finish_reason":null}]}
        {"id":"cmpl-ID","object":"text_completion","created":0,"model":"fake","system_fingerprint":"fp","choices":[{"text":"e","index":0,"logprobs":null,"finish_reason":null}]}
        {"id":"cmpl-ID","object":"text_completion","created":0,"model":"fake","system_fingerprint":"fp","choices":[{"text":"","index":0,"logprobs":null,"finish_reason":"length"}]}
    "#]].assert_eq(&(lines.join("\n") + "\n"));
}

#[tokio::test]
async fn echo_with_logprobs_scores_the_prompt() {
    let body = completion(json!({
        "prompt": "xy", "echo": true, "logprobs": 1, "max_tokens": 1, "temperature": 0
    }));
    let answer = TestHost::saying(".x*z").ok(PATH, &body).await;
    let choice = &answer["choices"][0];
    assert_eq!(choice["text"], "xyz");
    expect![[r#"
        {
          "tokens": [
            "<s>",
            "x",
            "y",
            "z"
          ],
          "token_logprobs": [
            null,
            -0.68031025,
            -15.68031,
            -0.68031025
          ],
          "top_logprobs": [
            null,
            {
              "x": -0.68031025
            },
            {
              "*": -0.68031037,
              "y": -15.68031
            },
            {
              "z": -0.68031025
            }
          ],
          "text_offset": [
            0,
            0,
            1,
            2
          ],
          "token_ids": [
            256,
            120,
            121,
            122
          ]
        }
    "#]]
    .assert_eq(&pretty(choice["logprobs"].clone()));
    let only = completion(json!({"prompt": "xy", "echo": true, "logprobs": 1, "max_tokens": 0}));
    let answer = TestHost::saying(".x*z").ok(PATH, &only).await;
    assert_eq!(answer["choices"][0]["text"], "xy");
    assert_eq!(answer["usage"]["completion_tokens"], 0);
    let bytes = completion(json!({"temperature": 0, "logprobs": 0, "max_tokens": 1}));
    let answer = saying("é").ok(PATH, &bytes).await;
    let logprobs = &answer["choices"][0]["logprobs"];
    assert_eq!(logprobs["tokens"], json!(["bytes:\\xc3"]));
    assert_eq!(
        (&logprobs["token_ids"], &logprobs["top_logprobs"]),
        (&json!([195]), &json!([null]))
    );
}

/// The texts and indices of the answer, streamed and whole.
async fn check_prompts(prompt: Value, n: usize, expected: &[&str]) {
    let host = saying("hello");
    let body = completion(json!({"prompt": prompt, "n": n, "temperature": 0, "max_tokens": 3}));
    let whole = host.ok(PATH, &body).await;
    let choices = whole["choices"].as_array().expect("choices");
    let texts: Vec<&str> = choices.iter().filter_map(|choice| choice["text"].as_str()).collect();
    assert_eq!(texts, expected, "{body}");
    let events = host.events(PATH, &body).await;
    for (index, text) in expected.iter().enumerate() {
        assert_eq!(choices[index]["index"], index);
        let streamed: String = events
            .iter()
            .map(|event| &event["choices"][0])
            .filter(|choice| choice["index"] == index)
            .filter_map(|choice| choice["text"].as_str())
            .collect();
        assert_eq!(streamed, *text, "{body}");
    }
}

#[tokio::test]
async fn prompts_come_as_text_tokens_and_lists_of_either() {
    check_prompts(json!("ab"), 1, &["hel"]).await;
    check_prompts(json!(["ab", "abc"]), 1, &["hel", "ell"]).await;
    check_prompts(json!([256, 97, 98]), 1, &["hel"]).await;
    check_prompts(json!([[256, 97, 98], [256, 97, 98, 99]]), 2, &["hel", "hel", "ell", "ell"])
        .await;
}

#[tokio::test]
async fn prompt_tokens_of_all_prompts_are_counted() {
    let answer = saying("x").ok(PATH, &completion(json!({"prompt": ["ab", "abcd"], "n": 2}))).await;
    assert_eq!(answer["usage"]["prompt_tokens"], 3 + 5);
}

#[tokio::test]
async fn sixteen_tokens_are_the_default() {
    let answer = saying(&"x".repeat(50)).ok(PATH, &completion(json!({"temperature": 0}))).await;
    assert_eq!(answer["usage"]["completion_tokens"], 16);
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn usage_tells_what_of_a_prompt_was_cached() {
    let prompt = "a".repeat(39);
    let host = TestHost::saying(&format!("{}hello", ".".repeat(40)));
    let check = async |more: Value, cached: usize| {
        let body = completion(more);
        let usage = host.ok(PATH, &body).await["usage"].clone();
        assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], cached, "{body}");
    };
    // The second choice finds what the first has run, but both belong to one prompt.
    check(json!({"temperature": 0, "prompt": prompt, "n": 2}), 0).await;
    // Of the forty tokens all but the last, whose logits are needed.
    check(json!({"temperature": 0, "prompt": prompt, "n": 2}), 39).await;
    check(json!({"temperature": 0, "prompt": prompt, "stop": "l"}), 39).await;
    // Every prompt begins with the same token.
    check(json!({"temperature": 0, "prompt": [prompt, "b", prompt]}), 39 + 1 + 39).await;
    let page = host.metrics.encode();
    assert!(page.contains("host_prefix_cache_queries_total{model=\"fake\"} 282\n"), "{page}");
    assert!(page.contains("host_prefix_cache_hits_total{model=\"fake\"} 228\n"), "{page}");
}

#[tokio::test]
async fn priority_is_any_small_integer_or_null() {
    for priority in [json!(null), json!(0), json!(i32::MIN), json!(i32::MAX)] {
        let body = completion(json!({"temperature": 0, "priority": priority}));
        let answer = saying("hello").ok(PATH, &body).await;
        assert_eq!(answer["choices"][0]["text"], "hello", "{body}");
    }
}
