//! First light: drop plugins into a folder, serve a real trained model, get its story.

use crate::golden::numbers;
use crate::text;
use serde_json::{Value, json};
use support::{Client, PluginFolder, SHIPPED, TestHost, data};

/// Float32 against a float64 reference, whose values are stored with five digits.
const TOLERANCE: f64 = 1e-3;

fn stored_runs() -> Vec<Value> {
    let path = data("tinyllama-stories260K/golden_greedy.json");
    let text = std::fs::read_to_string(path).expect("stored answers");
    serde_json::from_str(&text).expect("stored answers are JSON")
}

fn request(run: &Value, prompt: &Value) -> Value {
    json!({
        "model": "stories", "prompt": prompt, "temperature": 0, "logprobs": 5,
        "max_tokens": numbers(&run["greedy_ids"]).len(),
    })
}

/// The story may begin with the space that joins it to the prompt.
fn story(text: &str) -> &str {
    text.trim_start()
}

fn check_whole(client: &Client, run: &Value) {
    for prompt in [&run["prompt"], &run["prompt_ids_with_bos"]] {
        let answer = client.post("/v1/completions", &request(run, prompt)).ok();
        let choice = &answer["choices"][0];
        let expected = run["greedy_text"].as_str().expect("stored text");
        assert_eq!(story(choice["text"].as_str().expect("text")), story(expected), "{prompt}");
        assert_eq!(choice["finish_reason"], "length");
        let count = numbers(&run["greedy_ids"]).len() as u64;
        assert_eq!(answer["usage"]["completion_tokens"], count);
        let prompt_count = numbers(&run["prompt_ids_with_bos"]).len() as u64;
        assert_eq!(answer["usage"]["prompt_tokens"], prompt_count);
        check_tokens(&choice["logprobs"], run);
    }
}

fn check_tokens(logprobs: &Value, run: &Value) {
    if let Some(ids) = logprobs.get("token_ids") {
        assert_eq!(ids, &run["greedy_ids"]);
    }
    let found = logprobs["token_logprobs"].as_array().expect("log-probabilities");
    let stored = run["top5_logprobs_first16"].as_array().expect("stored log-probabilities");
    for (step, (found, stored)) in found.iter().zip(stored).enumerate() {
        // The likeliest token is the one that greedy decoding takes.
        let difference =
            found.as_f64().expect("a number") - stored[0][1].as_f64().expect("a number");
        assert!(difference.abs() <= TOLERANCE, "step {step}: {stored} stored, {found} found");
    }
}

fn check_streamed(client: &Client, run: &Value) {
    let mut body = request(run, &run["prompt"]);
    body["stream"] = json!(true);
    body["stream_options"] = json!({ "include_usage": true });
    let stream = client.stream("/v1/completions", &body);
    assert_eq!(stream.status, 200);
    let (mut text, mut tokens, mut reason, mut usage) =
        (String::new(), 0, Value::Null, Value::Null);
    for event in stream {
        let choice = &event["choices"][0];
        text.push_str(choice["text"].as_str().unwrap_or_default());
        tokens += choice["logprobs"]["token_logprobs"].as_array().map_or(0, Vec::len);
        if choice["finish_reason"].is_string() {
            reason = choice["finish_reason"].clone();
        }
        if event["usage"].is_object() {
            usage = event["usage"].clone();
        }
    }
    let count = numbers(&run["greedy_ids"]).len();
    assert_eq!(story(&text), story(run["greedy_text"].as_str().expect("stored text")));
    assert_eq!((tokens, reason), (count, json!("length")));
    assert_eq!(usage["completion_tokens"], count, "the last chunk carries usage");
}

fn check(path: &str) {
    let plugins = PluginFolder::with(SHIPPED);
    let model = format!("stories={}", text(&data(path)));
    let host = TestHost::serve(plugins.path(), &["--model", &model]);
    let runs = stored_runs();
    assert_eq!(runs.len(), 5);
    for run in &runs {
        check_whole(&host.client(), run);
        check_streamed(&host.client(), run);
    }
}

#[test]
fn a_trained_model_tells_its_story_from_gguf() {
    check("tinyllama-stories260K/stories260K.gguf");
}

#[test]
fn a_trained_model_tells_its_story_from_safetensors() {
    check("tinyllama-stories260K/hf");
}
