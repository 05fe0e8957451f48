//! What a model thinks before it answers, in each interface, and how it is told how much to think.

use serde_json::{Value, json};

use crate::test_host::{CHAT_TOKENS, TestHost, chat, response};

const CHAT: &str = "/v1/chat/completions";

/// The template writes a space more than that of other tests.
fn host() -> TestHost {
    let before = ".".repeat(CHAT_TOKENS + 1);
    TestHost::thinking(&format!("{before}<think>\nhm, hm\n</think>\n\nyes"))
}

fn text_of(events: &[Value], pointer: &str) -> String {
    events.iter().filter_map(|event| event.pointer(pointer)?.as_str()).collect()
}

#[tokio::test]
async fn chats_have_thoughts_beside_the_content() {
    let whole = host().ok(CHAT, &chat(json!({"temperature": 0}))).await;
    let message = &whole["choices"][0]["message"];
    assert_eq!(
        (&message["content"], &message["reasoning_content"]),
        (&json!("yes"), &json!("hm, hm"))
    );
    let thoughts = "<think>\nhm, hm\n</think>".len() - "<think>".len();
    let details = json!({ "reasoning_tokens": thoughts });
    assert_eq!(whole["usage"]["completion_tokens_details"], details);
    let events = host().events(CHAT, &chat(json!({"temperature": 0}))).await;
    assert_eq!(text_of(&events, "/choices/0/delta/reasoning_content"), "hm, hm");
    assert_eq!(text_of(&events, "/choices/0/delta/content"), "yes");
}

#[tokio::test]
async fn responses_have_an_item_of_thoughts() {
    let whole = host().ok("/v1/responses", &response(json!({}))).await;
    let [thoughts, message] = whole["output"].as_array().expect("items").as_slice() else {
        unreachable!("two items: {whole}")
    };
    assert_eq!(thoughts["type"], "reasoning");
    assert_eq!(thoughts["content"], json!([{"type": "reasoning_text", "text": "hm, hm"}]));
    assert_eq!(message["content"][0]["text"], "yes");
    let details = &whole["usage"]["output_tokens_details"];
    assert!(details["reasoning_tokens"].as_u64() > Some(6), "{details}");
    let body = response(json!({"stream": true}));
    let answer = host().post("/v1/responses", &body).await;
    let data = answer.text.lines().filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<Value> = data.filter_map(|data| serde_json::from_str(data).ok()).collect();
    let of = |kind: &str| -> Vec<Value> {
        events.iter().filter(|event| event["type"] == kind).cloned().collect()
    };
    assert_eq!(text_of(&of("response.reasoning_text.delta"), "/delta"), "hm, hm");
    assert_eq!(text_of(&of("response.output_text.delta"), "/delta"), "yes");
}

#[tokio::test]
async fn messages_have_a_block_of_thoughts() {
    let body = json!({"model": "fake", "max_tokens": 99, "temperature": 0, "messages": [{"role": "user", "content": "hi"}]});
    let whole = host().ok("/v1/messages", &body).await;
    let expected = json!([
        {"type": "thinking", "thinking": "hm, hm", "signature": ""},
        {"type": "text", "text": "yes"},
    ]);
    assert_eq!(whole["content"], expected);
}

#[tokio::test]
async fn ollama_has_thoughts_beside_the_content() {
    let body = json!({"model": "fake", "stream": false, "options": {"temperature": 0}, "messages": [{"role": "user", "content": "hi"}]});
    let whole = host().ok("/api/chat", &body).await;
    assert_eq!(
        (&whole["message"]["thinking"], &whole["message"]["content"]),
        (&json!("hm, hm"), &json!("yes"))
    );
}

/// What the template saw of a request.
async fn check_variables(more: Value, expected: &str) {
    let body = chat(more);
    let answer = host().post("/tokenize", &body).await;
    let tokens = answer.json()["tokens"].clone();
    let text = host().ok("/detokenize", &json!({"model": "fake", "tokens": tokens})).await;
    let text = text["content"].as_str().or(text["prompt"].as_str()).expect("a text").to_owned();
    assert!(text.ends_with(expected), "{text}");
}

#[tokio::test]
async fn templates_are_told_how_much_to_think() {
    check_variables(json!({}), "assistant: ").await;
    check_variables(json!({"reasoning_effort": "high"}), "assistant:True high").await;
    check_variables(json!({"reasoning_effort": "none"}), "assistant:False none").await;
    check_variables(json!({"enable_thinking": false}), "assistant:False ").await;
    let kwargs = json!({"enable_thinking": true});
    let both = json!({"reasoning_effort": "none", "chat_template_kwargs": kwargs});
    check_variables(both, "assistant:True none").await;
    let wrong = host().post(CHAT, &chat(json!({"reasoning_effort": "vast"}))).await.json();
    assert_eq!(wrong["error"]["param"], "reasoning_effort");
    let body = response(json!({"reasoning": {"effort": "vast"}}));
    let wrong = host().post("/v1/responses", &body).await.json();
    assert_eq!(wrong["error"]["param"], "reasoning.effort");
}
