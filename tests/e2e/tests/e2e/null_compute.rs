//! A compute plugin needs nothing but its facet: one that computes nothing serves completions.

use crate::stories;
use serde_json::{Value, json};
use support::{PluginFolder, TestHost, plugin_file};

/// The token that the plugin answers with; its text is the same wherever it stands.
const TOKEN: u32 = 300;
const COUNT: usize = 8;

#[test]
fn a_plugin_that_only_steps_serves_completions() {
    let plugins = PluginFolder::with(&["gguf", "llama"]);
    plugins.add_file(&plugin_file("fixture-null"));
    let model = format!("stories={}", stories());
    let host = TestHost::serve(plugins.path(), &["--model", &model]);
    let body = json!({
        "model": "stories", "prompt": "Once upon a time", "max_tokens": COUNT, "temperature": 0,
        "logprobs": 1,
    });
    let answer = host.client().post("/v1/completions", &body).ok();
    let choice = &answer["choices"][0];
    assert_eq!(choice["logprobs"]["token_ids"], json!(vec![TOKEN; COUNT]), "{answer}");
    assert_eq!(choice["finish_reason"], "length", "{answer}");
    let mut streamed = String::new();
    let mut body = body;
    body["stream"] = json!(true);
    for event in host.client().stream("/v1/completions", &body) {
        streamed.push_str(event["choices"][0]["text"].as_str().unwrap_or_default());
    }
    assert_eq!(Value::from(streamed), choice["text"]);
}
