//! `POST /v1/chat/completions`.

use expect_test::expect;
use serde_json::{Value, json};

use crate::fake::FakeModel;
use crate::test_host::{CHAT_TOKENS, TestHost, chat, chat_script, pretty, stable};

const PATH: &str = "/v1/chat/completions";

fn saying(answer: &str) -> TestHost {
    TestHost::saying(&chat_script(answer))
}

fn content(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().expect("a content")
}

/// The text of one choice of a stream.
fn streamed(events: &[Value], index: usize) -> String {
    let of_choice = |choice: &&Value| choice["index"] == index;
    let choices = events.iter().flat_map(|event| event["choices"].as_array().expect("choices"));
    choices.filter(of_choice).filter_map(|choice| choice["delta"]["content"].as_str()).collect()
}

#[tokio::test]
async fn a_whole_answer_has_the_shape_of_openai() {
    let answer = saying("hello").ok(PATH, &chat(json!({"temperature": 0}))).await;
    assert!(answer["id"].as_str().is_some_and(|id| id.starts_with("chatcmpl-") && id.len() > 24));
    expect![[r#"
        {
          "id": "chatcmpl-ID",
          "object": "chat.completion",
          "created": 0,
          "model": "fake",
          "system_fingerprint": "fp",
          "choices": [
            {
              "index": 0,
              "message": {
                "role": "assistant",
                "content": "hello",
                "refusal": null
              },
              "logprobs": null,
              "finish_reason": "stop"
            }
          ],
          "usage": {
            "prompt_tokens": 21,
            "completion_tokens": 6,
            "total_tokens": 27,
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
    let body = chat(json!({"temperature": 0, "max_tokens": 2}));
    let events = saying("hello").events(PATH, &body).await;
    let lines: Vec<String> = events.into_iter().map(|event| stable(event).to_string()).collect();
    expect![[r#"
        {"id":"chatcmpl-ID","object":"chat.completion.chunk","created":0,"model":"fake","system_fingerprint":"fp","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}
        {"id":"chatcmpl-ID","object":"chat.completion.chunk","created":0,"model":"fake","system_fingerprint":"fp","choices":[{"index":0,"delta":{"content":"h"},"logprobs":null,"finish_reason":null}]}
        {"id":"chatcmpl-ID","object":"chat.completion.chunk","created":0,"model":"fake","system_fingerprint":"fp","choices":[{"index":0,"delta":{"content":"e"},"logprobs":null,"finish_reason":null}]}
        {"id":"chatcmpl-ID","object":"chat.completion.chunk","created":0,"model":"fake","system_fingerprint":"fp","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}]}
    "#]].assert_eq(&(lines.join("\n") + "\n"));
}

#[tokio::test]
async fn the_last_chunk_tells_usage_when_asked() {
    let body = chat(json!({"temperature": 0, "stream_options": {"include_usage": true}}));
    let events = saying("hey").events(PATH, &body).await;
    let (last, others) = events.split_last().expect("events");
    assert!(others.iter().all(|event| event["usage"].is_null() && event.get("usage").is_some()));
    assert_eq!(last["choices"], json!([]));
    let expected = json!({
        "prompt_tokens": CHAT_TOKENS, "completion_tokens": 4, "total_tokens": CHAT_TOKENS + 4,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    });
    assert_eq!(last["usage"], expected);
    let plain = saying("hey").events(PATH, &chat(json!({"stream_options": null}))).await;
    assert!(plain.iter().all(|event| event.get("usage").is_none()));
}

/// A stream, put together, equals the whole answer.
async fn check_equal(answer: &str, more: Value) {
    let host = saying(answer);
    let body = chat(more);
    let whole = host.ok(PATH, &body).await;
    let events = host.events(PATH, &body).await;
    for choice in whole["choices"].as_array().expect("choices") {
        let index = choice["index"].as_u64().expect("an index") as usize;
        assert_eq!(choice["message"]["content"], streamed(&events, index), "{body}");
        let parts: Vec<&Value> = events
            .iter()
            .flat_map(|event| event["choices"].as_array().expect("choices"))
            .filter(|choice| choice["index"] == index)
            .collect();
        let reasons: Vec<&Value> =
            parts.iter().map(|part| &part["finish_reason"]).filter(|it| !it.is_null()).collect();
        assert_eq!(reasons, [&choice["finish_reason"]], "{body}");
        let logprobs: Vec<Value> = parts
            .iter()
            .filter_map(|part| part["logprobs"]["content"].as_array())
            .flatten()
            .cloned()
            .collect();
        let expected = choice["logprobs"]["content"].as_array().cloned().unwrap_or_default();
        assert_eq!(logprobs, expected, "{body}");
        assert_eq!(parts[0]["delta"]["role"], "assistant");
        assert!(parts[1..].iter().all(|part| part["delta"].get("role").is_none()));
    }
}

#[tokio::test]
async fn streamed_and_whole_answers_are_equal() {
    check_equal("hello world", json!({"temperature": 0})).await;
    check_equal("hello world", json!({"temperature": 0, "max_tokens": 3})).await;
    check_equal("hello world", json!({"temperature": 0, "stop": "o w"})).await;
    check_equal("é😀 日本語", json!({"temperature": 0, "logprobs": true, "top_logprobs": 2})).await;
    check_equal("naïve", json!({"temperature": 0, "stop": ["ve"], "logprobs": true})).await;
    let sampled = json!({"temperature": 2, "seed": 5, "n": 3, "max_tokens": 30, "logprobs": true,
                         "ignore_eos": true});
    check_equal("a long story", sampled).await;
    check_equal("", json!({"temperature": 0})).await;
}

#[tokio::test]
async fn no_part_of_a_stop_sequence_leaks() {
    let host = saying("one <END> two");
    for stop in [json!("<END>"), json!(["x", "<END>"]), json!(["END>", " <E"])] {
        let body = chat(json!({"temperature": 0, "stop": stop}));
        let whole = host.ok(PATH, &body).await;
        assert!("one <".starts_with(content(&whole)), "{whole}");
        assert_eq!(whole["choices"][0]["finish_reason"], "stop");
        let events = host.events(PATH, &body).await;
        assert_eq!(streamed(&events, 0), content(&whole));
    }
}

#[tokio::test]
async fn logprobs_have_the_shape_of_openai() {
    let body =
        chat(json!({"temperature": 0, "logprobs": true, "top_logprobs": 2, "max_tokens": 1}));
    let answer = saying("é").ok(PATH, &body).await;
    expect![[r#"
        {
          "content": [
            {
              "token": "�",
              "logprob": -0.68031013,
              "bytes": [
                195
              ],
              "id": 195,
              "top_logprobs": [
                {
                  "token": "�",
                  "logprob": -0.68031013,
                  "bytes": [
                    195
                  ],
                  "id": 195
                },
                {
                  "token": "~",
                  "logprob": -1.1803101,
                  "bytes": [
                    126
                  ],
                  "id": 126
                }
              ]
            }
          ],
          "refusal": null
        }
    "#]]
    .assert_eq(&pretty(answer["choices"][0]["logprobs"].clone()));
}

#[tokio::test]
async fn temperature_0_is_greedy_and_seeds_repeat() {
    let host = saying("a story that goes on and on");
    let greedy = host.ok(PATH, &chat(json!({"temperature": 0}))).await;
    assert_eq!(content(&greedy), "a story that goes on and on");
    let mut sampled = Vec::new();
    for seed in [json!(1), json!(1), json!(-7), json!(null), json!(null)] {
        let body = json!({"temperature": 2, "seed": seed, "max_tokens": 40, "ignore_eos": true});
        sampled.push(content(&host.ok(PATH, &chat(body)).await).to_owned());
    }
    assert_eq!(sampled[0], sampled[1]);
    assert!(sampled[0] != sampled[2] && sampled[3] != sampled[4]);
    let forced = json!({"logit_bias": {"90": 100}, "max_tokens": 3, "temperature": 0});
    assert_eq!(content(&host.ok(PATH, &chat(forced)).await), "ZZZ");
    for narrow in [json!({"top_k": 1}), json!({"top_p": 0.01}), json!({"min_p": 1})] {
        let answer = host.ok(PATH, &chat(narrow)).await;
        assert_eq!(content(&answer), content(&greedy));
    }
}

#[tokio::test]
async fn choices_are_numbered_and_counted() {
    let body =
        chat(json!({"n": 3, "seed": 1, "temperature": 2, "max_tokens": 8, "ignore_eos": true}));
    let answer = saying("abcdefghij").ok(PATH, &body).await;
    let indices: Vec<&Value> =
        answer["choices"].as_array().expect("choices").iter().map(|it| &it["index"]).collect();
    assert_eq!(indices, [0, 1, 2]);
    assert_eq!(answer["usage"]["completion_tokens"], 24);
    assert_eq!(answer["usage"]["prompt_tokens"], CHAT_TOKENS);
}

/// Tokens of the prompt that these messages make.
async fn check_prompt(messages: Value, rendered: &str) {
    let body = json!({"messages": messages, "max_tokens": 1});
    let answer = TestHost::saying("").ok(PATH, &body).await;
    // Each special token is one token, spelled with several bytes.
    let tokens = rendered.replace("<s>", "\u{1}").replace("<|turn|>", "\u{1}").len();
    assert_eq!(answer["usage"]["prompt_tokens"], tokens, "{body}");
}

#[tokio::test]
async fn every_role_and_form_of_content_is_taken() {
    check_prompt(
        json!([{"role": "user", "content": "hi"}]),
        "<s><|turn|>user:hi;<|turn|>assistant:",
    )
    .await;
    check_prompt(
        json!([{"role": "developer", "content": "x"}, {"role": "user", "name": "u", "content": [
            {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]),
        "<s><|turn|>system:x;<|turn|>user:ab;<|turn|>assistant:",
    )
    .await;
    check_prompt(
        json!([{"role": "assistant", "content": null, "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]},
               {"role": "function", "content": "3"}]),
        "<s><|turn|>assistant:;<|turn|>function:3;<|turn|>assistant:",
    )
    .await;
}

#[tokio::test]
async fn nulls_unknown_fields_and_aliases_are_taken() {
    let host = saying("hello");
    let nulls = json!({
        "stop": null, "tools": null, "tool_choice": null, "n": null, "seed": null, "top_p": null,
        "stream": null, "logit_bias": null, "response_format": null, "logprobs": null, "user": null,
        "stream_options": null, "max_tokens": null, "max_completion_tokens": 4, "top_k": null,
        "temperature": 0, "prediction": null, "x_unknown": [1], "metadata": {"a": "b"},
        "reasoning_effort": "low", "service_tier": "auto", "store": false, "chat_template": "x",
        "tool_choice": "auto", "response_format": {"type": "text"}, "top_k": -1
    });
    let answer = host.ok(PATH, &chat(nulls)).await;
    assert_eq!((content(&answer), &answer["usage"]["completion_tokens"]), ("hell", &json!(4)));
    for model in [json!("default"), json!(null)] {
        let answer = host.ok(PATH, &chat(json!({"model": model, "temperature": 0}))).await;
        assert_eq!(answer["model"], "fake");
    }
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": {}}});
    let tools = json!({"tools": [tool], "tool_choice": "none", "temperature": 0});
    assert_eq!(content(&host.ok(PATH, &chat(tools)).await), "hello");
}

#[tokio::test]
async fn an_error_after_the_stream_began_is_an_event() {
    let host = TestHost::serving(FakeModel::saying(&chat_script("hello")).failing_after(2, true));
    let answer = host.post(PATH, &chat(json!({"stream": true, "temperature": 0}))).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.text.contains("[DONE]"));
    let last = answer.text.split_terminator("\n\n").last().expect("events");
    let error = &crate::test_host::event(last)["error"];
    assert_eq!((&error["type"], &error["code"]), (&json!("server_error"), &json!("model_faulted")));
    assert!(error["message"].as_str().is_some_and(|it| it.contains("fake-compute")), "{error}");
}
