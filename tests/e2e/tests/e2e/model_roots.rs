//! Models in folders: found, loaded when they are asked for, and unloaded to make room.

use crate::checkpoint::write_wide_counting_model;
use crate::{stories, text};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::thread;
use support::{Client, PluginFolder, Response, Scratch, TestHost, data, eventually, run_host};

/// Makes about 100 MiB of weights.
const FFN_WIDTH: usize = 8192;
/// Enough for one such model and not for two.
const BUDGET_MIB: &str = "260";

fn complete(client: &Client, model: &str) -> Response {
    let prompt = "Once upon a time";
    let body = json!({ "model": model, "prompt": prompt, "max_tokens": 8, "temperature": 0 });
    client.post("/v1/completions", &body)
}

fn model(client: &Client, id: &str) -> Value {
    client.get(&format!("/v1/models/{id}")).ok()["host"].clone()
}

fn used_bytes(client: &Client) -> u64 {
    client.get("/v1/models").ok()["memory"]["used_bytes"].as_u64().expect("a number")
}

/// A folder with a GGUF file and a Hugging Face folder, of which an inventory tells.
fn two_models() -> Scratch {
    let root = Scratch::new();
    fs::copy(stories(), root.join("stories.gguf")).expect("the folder is ours");
    let folder = root.join("qwen/hf");
    fs::create_dir_all(&folder).expect("the folder is ours");
    for file in fs::read_dir(data("qwen3-untied/hf")).expect("the golden set has it") {
        let file = file.expect("it can be listed");
        fs::copy(file.path(), folder.join(file.file_name())).expect("the folder is ours");
    }
    let inventory = json!([
        {"name": "small-qwen", "path": "qwen/hf", "format": "safetensors", "size_gb": 0.1,
         "notes": "random weights", "use_case": "tests"},
        {"name": "gone", "path": "nowhere.gguf"},
    ]);
    fs::write(root.join("MODEL_INVENTORY.json"), inventory.to_string()).expect("as above");
    root
}

#[test]
fn models_in_a_folder_answer_when_they_are_asked_for() {
    let (root, plugins) =
        (two_models(), PluginFolder::with(&["cpu", "gguf", "llama", "qwen", "safetensors"]));
    let arguments = ["--models", text(root.path()), "--alias", "tale=stories"];
    let host = TestHost::serve(plugins.path(), &arguments);
    let client = host.client();
    assert!(host.log().contains("nowhere.gguf"), "{}", host.log());
    let list = client.get("/v1/models").ok();
    let ids: Vec<_> = list["data"].as_array().expect("a list").iter().map(|it| &it["id"]).collect();
    assert_eq!(ids, ["small-qwen", "stories"]);
    let known = model(&client, "small-qwen");
    assert_eq!((&known["state"], &known["use_case"]), (&json!("available"), &json!("tests")));
    assert!(known["file_bytes"].as_u64() > Some(1000), "{known}");
    assert_eq!((client.get("/ready").status, used_bytes(&client)), (200, 0));

    let ask = || complete(&client, "tale").ok();
    let answers: Vec<Value> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().expect("it answers")).collect()
    });
    assert!(answers.iter().all(|answer| answer["choices"] == answers[0]["choices"]));
    assert_eq!(answers[0]["model"], "stories");
    let loaded = model(&client, "tale");
    assert_eq!((&loaded["state"], &loaded["aliases"]), (&json!("ready"), &json!(["tale"])));
    assert_eq!(model(&client, "small-qwen")["state"], "available");
    complete(&client, "small-qwen").ok();

    client.post("/v1/models/unload", &json!({"id": "stories"})).ok();
    assert_eq!(model(&client, "stories")["state"], "available");
    let mut events: Vec<Value> =
        client.stream("/v1/models/load", &json!({"id": "stories", "stream": true})).collect();
    let last = events.pop().expect("an event");
    assert_eq!(last["host"]["state"], "ready", "{last}");
    assert!(!events.is_empty() && events.iter().all(|event| event["object"] == "model.load"));
    assert_eq!(complete(&client, "stories").ok()["choices"], answers[0]["choices"]);
}

#[test]
fn the_shell_tells_of_models_in_a_folder() {
    let (root, plugins) = (two_models(), PluginFolder::with(&["cpu", "gguf", "llama"]));
    let root = text(root.path());
    let listed = run_host(["models", "list", "--models", root, "--json"]);
    let listed: Value = serde_json::from_str(&listed.stdout).expect("JSON");
    assert_eq!(listed["models"][0]["id"], "small-qwen", "{listed}");
    let table = run_host(["models", "list", "--models", root]).stdout;
    assert!(table.contains("stories") && table.contains("stories.gguf"), "{table}");
    let plugins = ["--plugins", text(plugins.path())];
    // Without a plugin for it the smaller one is passed over.
    let smallest = run_host(["models", "smallest", "--models", root].into_iter().chain(plugins));
    assert_eq!(smallest.stdout.trim(), text(&Path::new(root).join("stories.gguf")));
    let inspect = ["models", "inspect", "stories", "--json", "--models", root];
    let inspected = run_host(inspect.into_iter().chain(plugins)).stdout;
    let by_path = ["model", "inspect", smallest.stdout.trim(), "--json"];
    assert_eq!(inspected, run_host(by_path.into_iter().chain(plugins)).stdout);
    let nothing = run_host(["models", "list"]);
    assert!(!nothing.status.success() && nothing.stderr.contains("--models"), "{}", nothing.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn memory_of_unloaded_models_comes_back() {
    let (root, plugins) = (Scratch::new(), PluginFolder::with(&["cpu", "llama", "safetensors"]));
    for name in ["a", "b"] {
        write_wide_counting_model(&root.join(name), "LlamaForCausalLM", FFN_WIDTH);
    }
    let arguments =
        ["--models", text(root.path()), "--memory-budget", BUDGET_MIB, "--idle-unload-s", "2"];
    let host = TestHost::serve(plugins.path(), &arguments);
    let client = host.client();
    let mib = |bytes: u64| bytes >> 20;
    let before = host.resident_bytes();
    complete(&client, "a").ok();
    let (one, used) = (host.resident_bytes(), used_bytes(&client));
    assert!(one > before + (90 << 20), "{} MiB, then {}", mib(before), mib(one));
    let answer = client.post("/v1/models/load", &json!({"id": "b"})).ok();
    assert_eq!(
        (&answer["host"]["state"], model(&client, "a")["state"].as_str()),
        (&json!("ready"), Some("available"))
    );
    let other = host.resident_bytes();
    assert_eq!(used_bytes(&client), used, "one model's memory, of the other model");
    assert!(other < one + (40 << 20), "{} MiB, then {}", mib(one), mib(other));
    eventually("the idle model is unloaded", || used_bytes(&client) == 0);
    let after = host.resident_bytes();
    assert!(after < before + (40 << 20), "{} MiB, then {}", mib(before), mib(after));
    println!(
        "resident MiB: {} without a model, {} with one, {} with the other, {} after",
        mib(before),
        mib(one),
        mib(other),
        mib(after)
    );
    complete(&client, "b").ok();
}

#[test]
fn what_cannot_fit_is_refused_with_its_figures() {
    let (root, plugins) = (two_models(), PluginFolder::with(&["cpu", "gguf", "llama"]));
    let arguments = ["--models", text(root.path()), "--memory-budget", "1"];
    let host = TestHost::serve(plugins.path(), &arguments);
    let client = host.client();
    let refused = complete(&client, "stories");
    let error = refused.json()["error"].clone();
    assert_eq!((refused.status, &error["code"]), (507, &json!("insufficient_memory")));
    let message = error["message"].as_str().unwrap_or_default();
    for word in ["weights", "KV cache", "scratch", "of the 1 MiB", "--memory-budget"] {
        assert!(message.contains(word), "`{message}` does not say `{word}`");
    }
    assert_eq!(model(&client, "stories")["state"], "available");
}
