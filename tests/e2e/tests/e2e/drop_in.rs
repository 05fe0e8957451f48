//! Drop-in: a plugin copied into the folder of a running host serves without a restart.

use crate::checkpoint::write_counting_model;
use crate::mcp_peer::Peer;
use crate::text;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use support::{
    Client, PluginFolder, Scratch, TestHost, cargo, data, dynamic_library, root, target_dir,
};

fn load(client: &Client, id: &str, path: &Path) -> support::Response {
    client.post("/v1/models/load", &json!({ "id": id, "path": text(path) }))
}

fn rescan(client: &Client) -> Value {
    client.post("/v1/plugins/rescan", &json!({})).ok()
}

/// The first greedy tokens, as text.
fn complete(client: &Client, id: &str, prompt: &Value) -> support::Response {
    let body = json!({ "model": id, "prompt": prompt, "max_tokens": 8, "temperature": 0 });
    client.post("/v1/completions", &body)
}

#[test]
fn a_missing_architecture_is_named_and_a_rescan_finds_it() {
    let plugins = PluginFolder::with(&["cpu", "gguf", "llama", "safetensors"]);
    let host = TestHost::serve(plugins.path(), &[]);
    let client = host.client();
    let model = data("qwen2-kq/gguf/qwen2-kq-Q4_K_M.gguf");
    let refused = load(&client, "q", &model);
    assert!((400..500).contains(&refused.status), "{}", refused.body);
    let message = refused.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    for expected in ["`qwen2`", "LlamaForCausalLM (llama)", "rescan"] {
        assert!(message.contains(expected), "`{message}` does not say `{expected}`");
    }
    assert_eq!(complete(&client, "q", &json!("x")).status, 404);
    plugins.add("qwen");
    let report = rescan(&client).to_string();
    assert!(report.contains("qwen"), "{report}");
    load(&client, "q", &model).ok();
    complete(&client, "q", &json!("The quick brown fox")).ok();
}

#[test]
fn a_model_can_be_unloaded_and_loaded_again() {
    let plugins = PluginFolder::with(&["cpu", "gguf", "llama"]);
    let host = TestHost::serve(plugins.path(), &[]);
    let client = host.client();
    let model = data("tinyllama-stories260K/stories260K.gguf");
    load(&client, "s", &model).ok();
    let first = complete(&client, "s", &json!("Once upon a time")).ok();
    client.post("/v1/models/unload", &json!({ "id": "s" })).ok();
    assert_eq!(complete(&client, "s", &json!("x")).status, 404);
    load(&client, "s", &model).ok();
    let again = complete(&client, "s", &json!("Once upon a time")).ok();
    assert_eq!(first["choices"], again["choices"]);
}

#[test]
fn a_removed_plugin_serves_no_new_model() {
    let plugins = PluginFolder::with(&["cpu", "gguf", "llama", "qwen"]);
    let host = TestHost::serve(plugins.path(), &[]);
    let client = host.client();
    let model = data("qwen2-kq/gguf/qwen2-kq-Q4_K_M.gguf");
    load(&client, "before", &model).ok();
    plugins.remove("qwen");
    rescan(&client);
    let refused = load(&client, "after", &model);
    assert!((400..500).contains(&refused.status), "{}", refused.body);
    complete(&client, "before", &json!("The quick brown fox")).ok();
}

/// A third party's plugin, built in its own workspace.
fn example(name: &str, package: &str) -> PathBuf {
    let target = target_dir().join("examples");
    cargo(&root().join("examples").join(name), &target, &["build", "--locked", "--quiet"]);
    target.join("debug").join(dynamic_library(package))
}

#[test]
fn a_third_party_tool_is_called_after_a_rescan() {
    let file = example("hello-tool", "plugin-hello-tool");
    let plugins = PluginFolder::with(&[]);
    let host = TestHost::serve(plugins.path(), &[]);
    let peer = Peer::modern(host.client(), None);
    let name = "word_count".to_owned();
    assert!(!peer.tools().contains(&name));
    plugins.add_file(&file);
    rescan(&host.client());
    assert!(peer.tools().contains(&name));
    let counted = peer.call("word_count", &json!({"text": "one two\nthree"}));
    assert_eq!(*counted.structured(), json!({"words": 3, "lines": 2, "characters": 13}));
    let refused = peer.call("word_count", &json!({"words": "one"}));
    assert_eq!(refused.result()["isError"], true, "its schema holds: {refused:?}");
    plugins.remove("hello-tool");
    rescan(&host.client());
    assert!(!peer.tools().contains(&name));
}

#[test]
fn a_third_party_architecture_answers_after_a_rescan() {
    let file = example("hello-arch", "plugin-hello");
    let plugins = PluginFolder::with(&["cpu", "safetensors"]);
    let host = TestHost::serve(plugins.path(), &[]);
    let client = host.client();
    let scratch = Scratch::new();
    write_counting_model(scratch.path(), "HelloForCausalLM");
    let refused = load(&client, "hello", scratch.path());
    assert!(refused.body.contains("HelloForCausalLM"), "{}", refused.body);
    plugins.add_file(&file);
    rescan(&client);
    load(&client, "hello", scratch.path()).ok();
    let answer = complete(&client, "hello", &json!([300])).ok();
    let counted: Vec<u32> = (301..309).collect();
    let body = json!({ "model": "hello", "tokens": counted });
    let expected = client.post("/detokenize", &body).ok()["prompt"].clone();
    let trimmed = |text: &Value| text.as_str().map(|text| text.trim().to_owned());
    assert_eq!(trimmed(&answer["choices"][0]["text"]), trimmed(&expected), "it counts: {answer}");
    assert_eq!(answer["usage"]["completion_tokens"], 8);
}
