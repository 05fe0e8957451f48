//! Quantizing as a user does: while loading, to a file, and with an importance matrix.

use crate::text;
use serde_json::json;
use std::fs;
use support::{PluginFolder, SHIPPED, Scratch, TestHost, data, run_host};

/// The trained model of the golden set, in full precision.
fn model() -> String {
    text(&data("tinyllama-stories260K/hf")).to_owned()
}

/// Runs the host with the shipped plugins; gives stdout.
fn host(plugins: &PluginFolder, arguments: &[&str]) -> String {
    let all = arguments.iter().copied().chain(["--plugins", text(plugins.path())]);
    let done = run_host(all);
    assert!(done.status.success(), "{arguments:?}: {}", done.stderr);
    done.stdout
}

#[test]
fn a_model_is_calibrated_quantized_and_served() {
    let (plugins, scratch) = (PluginFolder::with(SHIPPED), Scratch::new());
    let path = |name: &str| text(&scratch.join(name)).to_owned();
    let (model, words, imatrix, file) =
        (model(), path("words.txt"), path("stories.imatrix"), path("stories.gguf"));
    let story = "Once upon a time, there was a little girl named Lily. She loved to play. ";
    fs::write(&words, story.repeat(40)).expect("the folder is ours");
    let chunks = ["--chunk-tokens", "64", "--chunks-max", "8"];
    let calibrate = ["calibrate", &model, "--text", &words, "-o", &imatrix];
    host(&plugins, &[&calibrate[..], &chunks[..]].concat());
    let how = ["--isq", "q5_0", "--imatrix", &imatrix];
    host(&plugins, &[&["quantize", &model, "-o", &file][..], &how[..]].concat());
    let tell = |model: &str, how: &[&str]| {
        let run = ["run", model, "Once upon", "--raw", "-n", "24", "--temperature", "0"];
        host(&plugins, &[&run[..], how].concat())
    };
    let (memory, disk) = (tell(&model, &how), tell(&file, &[]));
    assert_eq!(memory, disk, "the same model in memory and on disk");
    assert!(memory.contains("a time"), "{memory}");
}

#[test]
fn what_was_quantized_is_shown_with_the_model() {
    let plugins = PluginFolder::with(SHIPPED);
    let argument = format!("stories={}", model());
    let host = TestHost::serve(plugins.path(), &["--model", &argument, "--isq", "q8_0"]);
    let shown = host.client().get("/v1/models").ok();
    let dtypes = &shown["data"][0]["host"]["dtypes"];
    // Rows of 172 values are no whole blocks of 32.
    assert_eq!(dtypes, &json!({ "q8_0": 31, "f16": 5, "f32": 11 }), "{shown}");
    let body = json!({ "model": "stories", "prompt": "Once upon", "max_tokens": 4 });
    host.client().post("/v1/completions", &body).ok();
}

#[test]
fn a_wrong_recipe_is_refused_with_those_there_are() {
    let plugins = PluginFolder::with(SHIPPED);
    let model = model();
    let done = run_host(["run", &model, "x", "--isq", "q4x", "--plugins", text(plugins.path())]);
    assert!(!done.status.success());
    for word in ["`q4x`", "q4k", "q4_k_m", "hqq4"] {
        assert!(done.stderr.contains(word), "{} does not name {word}", done.stderr);
    }
}
