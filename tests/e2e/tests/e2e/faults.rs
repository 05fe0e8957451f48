//! Faults in the middle of the work: the request fails and names the plugin, everything else goes
//! on.

use crate::checkpoint::write_gguf;
use crate::{stories, text};
use serde_json::{Value, json};
use support::{Client, PluginFolder, SHIPPED, Scratch, TestHost, data};

fn complete(client: &Client, model: &str) -> support::Response {
    let body = json!({
        "model": model, "prompt": "Once upon a time", "max_tokens": 8, "temperature": 0,
    });
    client.post("/v1/completions", &body)
}

/// Two models: one of a dtype whose kernels panic, one that does not need them.
fn serve(plugins: &PluginFolder) -> TestHost {
    let quantized = data("qwen3-untied/gguf/qwen3-untied-Q8_0.gguf");
    let (sick, sound) = (format!("sick={}", text(&quantized)), format!("sound={}", stories()));
    TestHost::serve(plugins.path(), &["--model", &sick, "--model", &sound])
}

#[test]
fn a_panic_in_a_kernel_fails_its_request_and_no_other() {
    let plugins = PluginFolder::with(SHIPPED);
    plugins.add_fault("panic_matmul");
    let host = serve(&plugins);
    let client = host.client();
    let expected = complete(&client, "sound").ok();
    let failed = complete(&client, "sick");
    assert_eq!(failed.status, 500, "{}", failed.body);
    let message = failed.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("fault_panic_matmul"), "does not name the plugin: {message}");
    assert_eq!(complete(&client, "sound").ok()["choices"], expected["choices"]);
    // The model is not asked again: its plugin may be in any state.
    let again = complete(&client, "sick");
    assert_eq!(again.status, 500, "{}", again.body);
    let models = client.get("/v1/models").ok();
    let state = |id: &str| {
        let list = models["data"].as_array().expect("models");
        list.iter().find(|model| model["id"] == id).map(|model| model["host"]["state"].clone())
    };
    assert_eq!(state("sick"), Some(json!("faulted")), "{models}");
    assert_eq!(state("sound"), Some(json!("ready")), "{models}");
}

#[test]
fn a_panic_in_a_kernel_ends_a_stream_with_an_error_event() {
    let plugins = PluginFolder::with(SHIPPED);
    plugins.add_fault("panic_matmul");
    let host = serve(&plugins);
    let body = json!({ "model": "sick", "prompt": "x", "max_tokens": 4, "stream": true });
    let stream = host.client().stream("/v1/completions", &body);
    if stream.status == 200 {
        let events: Vec<Value> = stream.collect();
        let named = events.iter().any(|event| {
            event["error"]["message"].as_str().is_some_and(|m| m.contains("fault_panic_matmul"))
        });
        assert!(named, "{events:?}");
    } else {
        assert_eq!(stream.status, 500);
    }
}

#[test]
fn a_pin_keeps_a_faulty_provider_out() {
    let plugins = PluginFolder::with(SHIPPED);
    plugins.add_fault("panic_matmul");
    let quantized = data("qwen3-untied/gguf/qwen3-untied-Q8_0.gguf");
    let model = format!("sick={}", text(&quantized));
    let pin = ["--pin", "quantization:q8_0=gguf"];
    let host = TestHost::serve(plugins.path(), &[&["--model", &model], &pin[..]].concat());
    complete(&host.client(), "sick").ok();
}

#[test]
fn a_panic_while_a_graph_is_built_is_an_answer_that_names_the_plugin() {
    let plugins = PluginFolder::with(&["cpu", "gguf"]);
    plugins.add_fault("panic_build");
    let host = TestHost::serve(plugins.path(), &[]);
    let scratch = Scratch::new();
    let model = scratch.join("model.gguf");
    write_gguf(&model, "fault-build");
    let body = json!({ "id": "x", "path": text(&model) });
    let failed = host.client().post("/v1/models/load", &body);
    assert_eq!(failed.status, 500, "{}", failed.body);
    let message = failed.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("fault_panic_build") && !message.contains('\n'), "{message}");
    assert_eq!(host.client().get("/health").status, 200);
}

/// A plugin that ignores signals, moves the process elsewhere and changes how floats are rounded.
#[cfg(target_os = "linux")]
#[test]
fn a_plugin_that_changes_the_process_is_undone() {
    let model = format!("sound={}", stories());
    let answer = |plugins: &PluginFolder| {
        let mut host = TestHost::serve(plugins.path(), &["--model", &model]);
        let answer = complete(&host.client(), "sound").ok()["choices"].clone();
        let status = host.stop();
        assert!(status.success(), "SIGTERM ends the host in order: {status}");
        answer
    };
    let plugins = PluginFolder::with(SHIPPED);
    let expected = answer(&plugins);
    plugins.add_fault("changed_world");
    assert_eq!(answer(&plugins), expected);
}
