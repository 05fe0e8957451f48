//! The HTTP surface against a live model: the routes are there and speak OpenAI's language.
//!
//! Fields and error shapes in detail are tests of host-http; here the parts only have to fit.

use crate::{stories, text};
use serde_json::{Value, json};
use support::{PluginFolder, SHIPPED, TestHost, data, run_host};

fn serve() -> TestHost {
    let plugins = PluginFolder::with(SHIPPED);
    TestHost::serve(plugins.path(), &["--model", &format!("stories={}", stories())])
}

#[test]
fn health_models_plugins_and_metrics_answer() {
    let host = serve();
    let client = host.client();
    assert_eq!(client.get("/health").status, 200);
    assert_eq!(client.get("/ready").status, 200);
    let models = client.get("/v1/models").ok();
    assert_eq!(models["data"][0]["id"], "stories", "{models}");
    let plugins = client.get("/v1/plugins").body;
    for plugin in SHIPPED {
        assert!(plugins.contains(&format!("\"{plugin}\"")), "{plugin}: {plugins}");
    }
    let metrics = client.get("/metrics").body;
    assert!(metrics.contains("host_sequences_running"), "{metrics}");
}

#[test]
fn an_unknown_model_is_a_404_in_openai_form() {
    let host = serve();
    let body = json!({ "model": "gone", "prompt": "x" });
    let answer = host.client().post("/v1/completions", &body);
    assert_eq!(answer.status, 404, "{}", answer.body);
    let error = &answer.json()["error"];
    assert!(error["message"].as_str().is_some_and(|text| text.contains("gone")), "{error}");
    assert_eq!(error["code"], "model_not_found", "{error}");
}

#[test]
fn tokens_turn_into_text_and_back() {
    let host = serve();
    let client = host.client();
    let text = "Once upon a time";
    let body = json!({ "model": "stories", "prompt": text, "add_special_tokens": false });
    let tokens = client.post("/tokenize", &body).ok()["tokens"].clone();
    assert_eq!(tokens, json!([403, 407, 261, 378]));
    let answer = client.post("/detokenize", &json!({ "model": "stories", "tokens": tokens })).ok();
    assert_eq!(answer["prompt"].as_str().map(str::trim_start), Some(text), "{answer}");
}

#[test]
fn a_chat_streams_what_it_answers_whole() {
    let host = serve();
    let client = host.client();
    let mut body = json!({
        "model": "stories", "messages": [{ "role": "user", "content": "Tell me a story." }],
        "max_tokens": 40, "temperature": 0.9, "seed": 11,
    });
    let whole = client.post("/v1/chat/completions", &body).ok();
    let message = &whole["choices"][0]["message"];
    assert_eq!(message["role"], "assistant");
    body["stream"] = json!(true);
    let stream = client.stream("/v1/chat/completions", &body);
    let pieces = stream
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned));
    assert_eq!(message["content"], Value::from(pieces.collect::<String>()));
}

#[test]
fn stop_sequences_and_choices_are_honoured() {
    let host = serve();
    let client = host.client();
    let body = json!({
        "model": "stories", "prompt": "Once upon a time", "max_tokens": 200, "temperature": 0,
        "stop": ["park", "garden"],
    });
    let choice = client.post("/v1/completions", &body).ok()["choices"][0].clone();
    let text = choice["text"].as_str().expect("text");
    assert!(!text.contains("park") && !text.contains("garden"), "{text}");
    let body = json!({
        "model": "stories", "prompt": "Once", "max_tokens": 12, "temperature": 1, "seed": 3, "n": 3,
    });
    let choices = || client.post("/v1/completions", &body).ok()["choices"].clone();
    let first = choices();
    assert_eq!(first.as_array().map(Vec::len), Some(3), "{first}");
    assert_eq!(first, choices(), "same seed, same answers");
    assert_ne!(first[0]["text"], first[1]["text"], "choices differ");
}

#[test]
fn one_prompt_is_answered_on_the_command_line() {
    let plugins = PluginFolder::with(SHIPPED);
    let folder = text(plugins.path());
    let hf = data("tinyllama-stories260K/hf");
    let model = text(&hf);
    let arguments = ["run", "--raw", "--temperature", "0", "--max-tokens", "12", "--plugins"];
    let done = run_host(arguments.into_iter().chain([folder, model, "Once upon a time"]));
    assert!(done.status.success(), "{}", done.stderr);
    assert!(done.stdout.contains("there was a little girl"), "{}", done.stdout);
    let done = run_host(["model", "graph", "--plugins", folder, model]);
    assert!(done.stdout.starts_with("graph LlamaForCausalLM"), "{}{}", done.stdout, done.stderr);
}

#[test]
fn help_names_every_command() {
    let help = run_host(["--help"]);
    assert!(help.status.success());
    for command in ["serve", "run", "plugins", "model", "bench"] {
        assert!(help.stdout.contains(command), "{}", help.stdout);
    }
}
