//! `POST /v1/responses`: the shape of answers and events, and what is refused.

use expect_test::expect;
use serde_json::{Value, json};

use crate::fake::FakeModel;
use crate::test_host::{CHAT_TOKENS, TestHost, chat_script, event, response};

const PATH: &str = "/v1/responses";

fn saying(answer: &str) -> TestHost {
    TestHost::saying(&chat_script(answer))
}

fn weather() -> Value {
    let schema = json!({
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": false,
    });
    let name = "get_weather";
    json!({"type": "function", "name": name, "parameters": schema, "strict": true})
}

/// The value with ids and times put aside, which differ each time.
fn stable(mut value: Value) -> Value {
    match &mut value {
        Value::Array(values) => values.iter_mut().for_each(|it| *it = stable(it.take())),
        Value::Object(fields) => {
            for (name, it) in fields {
                *it = match (name.as_str(), &*it) {
                    // What the first answer leaves cached, the second need not run.
                    ("created_at" | "cached_tokens", Value::Number(_)) => json!(0),
                    ("id" | "item_id" | "call_id", Value::String(id)) => {
                        let (prefix, digits) = id.split_once('_').expect("a prefix");
                        assert_eq!(digits.len(), 24, "{id}");
                        json!(format!("{prefix}_ID"))
                    }
                    _ => stable(it.take()),
                };
            }
        }
        _ => {}
    }
    value
}

/// The events of a good stream, each of which says its type twice and has a number.
async fn events(host: &TestHost, mut body: Value) -> Vec<Value> {
    body["stream"] = json!(true);
    let answer = host.post(PATH, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let read = |(number, text): (usize, &str)| {
        let (kind, data) = text.split_once('\n').expect("two lines");
        let event = event(data);
        assert_eq!(kind.strip_prefix("event: "), event["type"].as_str());
        assert_eq!(event["sequence_number"], number);
        event
    };
    answer.text.split_terminator("\n\n").enumerate().map(read).collect()
}

#[tokio::test]
async fn a_whole_answer_has_the_shape_of_openai() {
    let more = json!({"metadata": {"a": "b"}, "instructions": null, "store": true, "user": "me"});
    let answer = saying("hello").ok(PATH, &response(more)).await;
    let pretty = serde_json::to_string_pretty(&stable(answer)).expect("JSON") + "\n";
    expect![[r#"
        {
          "id": "resp_ID",
          "object": "response",
          "created_at": 0,
          "status": "completed",
          "error": null,
          "incomplete_details": null,
          "instructions": null,
          "max_output_tokens": null,
          "metadata": {
            "a": "b"
          },
          "model": "fake",
          "output": [
            {
              "type": "message",
              "id": "msg_ID",
              "status": "completed",
              "role": "assistant",
              "content": [
                {
                  "type": "output_text",
                  "text": "hello",
                  "annotations": [],
                  "logprobs": []
                }
              ]
            }
          ],
          "parallel_tool_calls": true,
          "previous_response_id": null,
          "store": false,
          "temperature": 0,
          "text": {
            "format": {
              "type": "text"
            }
          },
          "tool_choice": "auto",
          "tools": [],
          "top_p": 1.0,
          "truncation": "disabled",
          "usage": {
            "input_tokens": 21,
            "input_tokens_details": {
              "cached_tokens": 0,
              "cache_write_tokens": 0
            },
            "output_tokens": 6,
            "output_tokens_details": {
              "reasoning_tokens": 0
            },
            "total_tokens": 27
          }
        }
    "#]]
    .assert_eq(&pretty);
}

#[tokio::test]
async fn a_stream_has_the_shape_of_openai() {
    let events = events(&saying("hello"), response(json!({"max_output_tokens": 2}))).await;
    let lines = events.into_iter().map(|event| {
        let mut event = stable(event);
        if event["response"].is_object() {
            let status = event["response"]["status"].take();
            event["response"] = status;
        }
        event.to_string() + "\n"
    });
    expect![[r#"
        {"response":"in_progress","type":"response.created","sequence_number":0}
        {"response":"in_progress","type":"response.in_progress","sequence_number":1}
        {"item":{"type":"message","id":"msg_ID","status":"in_progress","role":"assistant","content":[]},"output_index":0,"type":"response.output_item.added","sequence_number":2}
        {"item_id":"msg_ID","content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]},"output_index":0,"type":"response.content_part.added","sequence_number":3}
        {"item_id":"msg_ID","content_index":0,"delta":"h","logprobs":[],"output_index":0,"type":"response.output_text.delta","sequence_number":4}
        {"item_id":"msg_ID","content_index":0,"delta":"e","logprobs":[],"output_index":0,"type":"response.output_text.delta","sequence_number":5}
        {"item_id":"msg_ID","content_index":0,"text":"he","logprobs":[],"output_index":0,"type":"response.output_text.done","sequence_number":6}
        {"item_id":"msg_ID","content_index":0,"part":{"type":"output_text","text":"he","annotations":[],"logprobs":[]},"output_index":0,"type":"response.content_part.done","sequence_number":7}
        {"item":{"type":"message","id":"msg_ID","status":"incomplete","role":"assistant","content":[{"type":"output_text","text":"he","annotations":[],"logprobs":[]}]},"output_index":0,"type":"response.output_item.done","sequence_number":8}
        {"response":"incomplete","type":"response.incomplete","sequence_number":9}
    "#]].assert_eq(&lines.collect::<String>());
}

/// A stream says the same as the whole answer: in its last event, in what its items were when they
/// were done, and in the sum of its deltas.
async fn check_equal(answer: &str, more: Value) -> Value {
    let host = saying(answer);
    let whole = stable(host.ok(PATH, &response(more.clone())).await);
    let events: Vec<Value> = events(&host, response(more)).await.into_iter().map(stable).collect();
    let last = events.last().expect("events");
    assert_eq!(last["response"], whole);
    assert_eq!(last["type"], format!("response.{}", whole["status"].as_str().expect("a status")));
    let of = |kind: &str| events.iter().filter(move |it| it["type"] == kind).collect::<Vec<_>>();
    let done: Vec<&Value> =
        of("response.output_item.done").into_iter().map(|it| &it["item"]).collect();
    assert_eq!(json!(done), whole["output"]);
    for (index, item) in whole["output"].as_array().expect("items").iter().enumerate() {
        let (kind, text) = match item["type"].as_str() {
            Some("message") => ("response.output_text.delta", &item["content"][0]["text"]),
            _ => ("response.function_call_arguments.delta", &item["arguments"]),
        };
        let deltas = of(kind).into_iter().filter(|it| it["output_index"] == index);
        let sum: String = deltas.filter_map(|it| it["delta"].as_str()).collect();
        assert_eq!(text, &sum);
    }
    host.wait_idle();
    whole
}

#[tokio::test]
async fn streamed_and_whole_answers_are_equal() {
    let whole = check_equal("hello é😀 world", json!({})).await;
    assert_eq!(whole["output"][0]["content"][0]["text"], "hello é😀 world");
    let whole = check_equal("hello", json!({"max_output_tokens": 3})).await;
    assert_eq!(whole["incomplete_details"], json!({"reason": "max_output_tokens"}));
    assert_eq!(whole["output"][0]["status"], "incomplete");
    assert_eq!(whole["output"][0]["content"][0]["text"], "hel");
    let whole = check_equal("", json!({})).await;
    assert_eq!(whole["output"][0]["content"][0]["text"], "");
}

#[tokio::test]
async fn a_call_that_is_asked_for_is_an_item() {
    let named = json!({"type": "function", "name": "get_weather"});
    for choice in [json!("required"), named] {
        let more = json!({"tools": [weather()], "tool_choice": choice, "temperature": 2, "seed": 3,
            "parallel_tool_calls": false});
        let whole = check_equal("I would rather talk.", more).await;
        let output = whole["output"].as_array().expect("items");
        let [call] = output.as_slice() else { unreachable!("one call: {whole}") };
        assert_eq!(
            (&call["type"], &call["name"]),
            (&json!("function_call"), &json!("get_weather"))
        );
        let arguments = call["arguments"].as_str().expect("arguments as text");
        let arguments: Value = serde_json::from_str(arguments).expect("arguments are JSON");
        assert!(["Paris", "Rome"].contains(&arguments["city"].as_str().unwrap_or_default()));
        assert_eq!((&whole["tools"], &whole["status"]), (&json!([weather()]), &json!("completed")));
    }
}

#[tokio::test]
async fn calls_the_model_makes_are_items_after_its_words() {
    let call = r#"<tool_call>
{"name": "get_weather", "arguments": {"city": "Rome"}}
</tool_call>"#;
    let whole =
        check_equal(&format!("I look.\n{call}\n{call}"), json!({"tools": [weather()]})).await;
    let types: Vec<&Value> =
        whole["output"].as_array().expect("items").iter().map(|item| &item["type"]).collect();
    assert_eq!(types, ["message", "function_call", "function_call"]);
    assert_eq!(whole["output"][0]["content"][0]["text"], "I look.");
    assert_eq!(whole["output"][2]["arguments"], r#"{"city": "Rome"}"#);
}

#[tokio::test]
async fn a_format_is_kept() {
    let schema = json!({"type": "object", "properties": {"size": {"enum": [1, 2]}},
        "required": ["size"], "additionalProperties": false});
    let format = json!({"type": "json_schema", "name": "x", "schema": schema, "strict": true});
    let whole = check_equal("never in JSON", json!({"text": {"format": format}})).await;
    let text = whole["output"][0]["content"][0]["text"].as_str().expect("a text");
    let document: Value = serde_json::from_str(text).expect("a document");
    assert!(document == json!({"size": 1}) || document == json!({"size": 2}), "{text}");
    assert_eq!(whole["text"]["format"]["name"], "x");
    let plain = check_equal("plain", json!({"text": {"format": {"type": "text"}}})).await;
    assert_eq!(plain["output"][0]["content"][0]["text"], "plain");
}

#[tokio::test]
async fn a_stream_that_fails_says_so_last() {
    let model = FakeModel::saying(&chat_script("hello")).failing_after(3, false);
    let events = events(&TestHost::serving(model), response(json!({}))).await;
    let last = events.last().expect("events");
    assert_eq!(
        (&last["type"], &last["response"]["status"]),
        (&json!("response.failed"), &json!("failed"))
    );
    assert_eq!(last["response"]["error"]["code"], "model_error");
    let item = &last["response"]["output"][0];
    assert_eq!(
        (&item["status"], &item["content"][0]["text"]),
        (&json!("incomplete"), &json!("hel"))
    );
}

#[tokio::test]
async fn instructions_and_items_are_the_conversation_of_chat() {
    let host = saying("hello");
    let items = json!([{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]);
    let answer = host.ok(PATH, &response(json!({"input": items}))).await;
    assert_eq!(answer["usage"]["input_tokens"], CHAT_TOKENS);
    let answer = host.ok(PATH, &response(json!({"input": items, "instructions": "be kind"}))).await;
    let messages = json!([
        {"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}
    ]);
    let chat = json!({"model": "fake", "messages": messages, "temperature": 0});
    let chat = host.ok("/v1/chat/completions", &chat).await;
    assert_eq!(answer["usage"]["input_tokens"], chat["usage"]["prompt_tokens"]);
    assert_eq!(answer["output"][0]["content"][0]["text"], chat["choices"][0]["message"]["content"]);
    assert_eq!(answer["instructions"], "be kind");
}
