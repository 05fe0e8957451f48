//! Answers that must match something: every field for it, and what is refused.

use serde_json::{Value, json};

use crate::test_host::{TestHost, chat, chat_script, completion};

const CHAT: &str = "/v1/chat/completions";

/// A model that would say something else.
fn stubborn() -> TestHost {
    TestHost::saying(&chat_script("never in JSON, never yes or no, and never 12:30"))
}

async fn content(host: &TestHost, more: Value) -> String {
    let answer = host.ok(CHAT, &chat(more)).await;
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "stop", "{answer}");
    choice["message"]["content"].as_str().expect("a content").to_owned()
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "size": {"type": "integer", "minimum": 3, "maximum": 17},
            "colour": {"$ref": "#/$defs/colour"},
        },
        "required": ["size", "colour"],
        "additionalProperties": false,
        "$defs": {"colour": {"enum": ["red", "dark \"blue\""]}},
    })
}

fn check_document(text: &str) {
    let document: Value = serde_json::from_str(text).expect("a document");
    let size = document["size"].as_i64().expect("a size");
    assert!((3..=17).contains(&size), "{text}");
    let colours = [json!("red"), json!("dark \"blue\"")];
    assert!(colours.contains(&document["colour"]), "{text}");
    assert_eq!(document.as_object().map(|it| it.len()), Some(2), "{text}");
}

#[tokio::test]
async fn a_schema_is_kept_however_it_is_given() {
    let host = stubborn();
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema()}});
    let fields = [
        json!({"response_format": format}),
        json!({"response_format": {"type": "json_object", "schema": schema()}}),
        json!({"structured_outputs": {"json": schema()}}),
        json!({"guided_json": schema()}),
        json!({"guided_json": schema().to_string()}),
        json!({"grammar": {"type": "json_schema", "value": schema()}}),
    ];
    for field in fields {
        for (temperature, seed) in [(0.0, 0), (1.5, 1), (2.0, 2)] {
            let mut more = field.clone();
            more["temperature"] = json!(temperature);
            more["seed"] = json!(seed);
            check_document(&content(&host, more).await);
        }
    }
}

#[tokio::test]
async fn a_streamed_document_is_the_same_and_choices_do_not_share_their_place() {
    let host = stubborn();
    let more = json!({
        "response_format": {"type": "json_schema", "json_schema": {"schema": schema()}},
        "n": 3, "seed": 5, "temperature": 2.0,
    });
    let whole = host.ok(CHAT, &chat(more.clone())).await;
    let events = host.events(CHAT, &chat(more)).await;
    for index in 0..3 {
        let text = whole["choices"][index]["message"]["content"].as_str().expect("a content");
        check_document(text);
        let choices = events.iter().flat_map(|event| event["choices"].as_array().expect("choices"));
        let deltas = choices.filter(|choice| choice["index"] == index);
        let streamed: String = deltas.filter_map(|it| it["delta"]["content"].as_str()).collect();
        assert_eq!(streamed, text);
    }
}

#[tokio::test]
async fn expressions_choices_and_lark_are_kept() {
    let host = stubborn();
    let clock = |text: &str| {
        let digits =
            |range: std::ops::Range<usize>| text[range].bytes().all(|b| b.is_ascii_digit());
        assert!(text.len() == 5 && digits(0..2) && &text[2..3] == ":" && digits(3..5), "{text}");
    };
    let regex = "[0-9]{2}:[0-9]{2}";
    let lark = "start: TWO \":\" TWO\nTWO: /[0-9]{2}/";
    for field in [
        json!({"regex": regex}),
        json!({"guided_regex": regex}),
        json!({"structured_outputs": {"regex": regex}}),
        json!({"grammar": {"type": "regex", "value": regex}}),
        json!({"grammar": lark}),
        json!({"guided_grammar": lark}),
        json!({"structured_outputs": {"grammar": lark}}),
        json!({"grammar": {"type": "lark", "value": lark}}),
    ] {
        clock(&content(&host, field).await);
    }
    let texts = ["a.b (c)", "[yes]", "50 % + $1/2"];
    for field in ["choice", "guided_choice"] {
        for seed in 0..6 {
            let text = content(&host, json!({field: texts, "seed": seed, "temperature": 2})).await;
            assert!(texts.contains(&text.as_str()), "{text}");
        }
    }
    let body = completion(json!({"structured_outputs": {"choice": ["yes"]}, "max_tokens": 9}));
    assert_eq!(host.ok("/v1/completions", &body).await["choices"][0]["text"], "yes");
}

#[tokio::test]
async fn any_object_is_one() {
    let more = json!({"response_format": {"type": "json_object"}, "max_tokens": 60});
    let answer = stubborn().ok(CHAT, &chat(more)).await;
    let text = answer["choices"][0]["message"]["content"].as_str().expect("a content");
    assert!(text.starts_with('{'), "{text}");
}

/// The refusal of a field: code, field and words.
#[track_caller]
fn check_refused(answer: &Value, code: &str, param: &str, words: &str) {
    let error = &answer["error"];
    assert_eq!((&error["code"], &error["param"]), (&json!(code), &json!(param)), "{answer}");
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.contains(words) && !message.contains('\n'), "{message}");
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_with_its_reason() {
    let host = stubborn();
    let format = |schema: Value| json!({"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}});
    let value = "invalid_value";
    for (more, code, param, words) in [
        (format(json!({"type": "nope"})), value, "response_format", "nope"),
        (format(json!({"$ref": "#/$defs/missing"})), value, "response_format", "missing"),
        (format(json!({"type": "string", "pattern": "^([a-z$"})), value, "response_format", ""),
        (format(json!({"not": {"type": "string"}})), value, "response_format", "not"),
        (format(json!(7)), "invalid_type", "schema", "object"),
        (
            json!({"response_format": {"type": "json_schema"}}),
            "missing_required_parameter",
            "response_format.json_schema",
            "",
        ),
        (json!({"regex": "a", "choice": ["b"]}), value, "choice", "both"),
        (
            json!({"structured_outputs": {"regex": "a", "choice": ["b"]}}),
            value,
            "structured_outputs",
            "several",
        ),
        (json!({"regex": "(a"}), value, "regex", ""),
        (json!({"regex": "a".repeat(300_000)}), value, "regex", "bytes"),
        (json!({"grammar": "start: start"}), value, "grammar", ""),
        (json!({"grammar": "start: nothing"}), value, "grammar", "nothing"),
        (json!({"grammar": {"type": "bnf", "value": "x"}}), value, "grammar.type", "bnf"),
        (json!({"choice": []}), value, "choice", "0 entries"),
        (json!({"choice": [1]}), "invalid_type", "choice", ""),
    ] {
        let answer = host.post(CHAT, &chat(more.clone())).await;
        assert_eq!(answer.status, 400, "{more}: {}", answer.text);
        check_refused(&answer.json(), code, param, words);
    }
    host.wait_idle();
}
