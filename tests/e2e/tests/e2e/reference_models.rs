//! Numeric correctness: every checkpoint answers as two other implementations did.

use crate::golden::Golden;
use crate::text;
use std::path::Path;
use support::{PluginFolder, SHIPPED, TestHost, data, shared};

/// Tensor types that the shipped plugins serve.
const TYPES: &[&str] = &[
    "F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K", "Q5_1", "Q5_0", "Q4_1",
    "Q4_0", "IQ4_NL", "IQ4_XS",
];

fn check(folder: &Path, models: &[&str], expected_count: usize) {
    let golden: Vec<_> =
        models.iter().flat_map(|model| Golden::all(folder, model, TYPES)).collect();
    assert_eq!(golden.len(), expected_count, "{golden:?}");
    let plugins = PluginFolder::with(SHIPPED);
    // The stored values come from runs with a float cache.
    let mut arguments = vec!["--kv-dtype".to_owned(), "f32".to_owned()];
    arguments.extend(["--kv-memory", "64"].map(str::to_owned));
    for model in &golden {
        arguments.push("--model".to_owned());
        arguments.push(format!("{}={}", model.id, text(&model.path)));
    }
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let host = TestHost::serve(plugins.path(), &arguments);
    let client = host.client();
    let differences: Vec<_> =
        golden.iter().flat_map(|golden| golden.differences(&client)).collect();
    assert!(differences.is_empty(), "{}\n", differences.join("\n"));
}

#[test]
fn the_golden_set_answers_as_stored() {
    check(&data(""), &["llama3-rope", "mistral-swa", "qwen2-kq", "qwen3-untied"], 5);
}

#[test]
fn layer_norm_and_a_plain_mlp_answer_as_stored() {
    check(&data(""), &["starcoder2"], 3);
}

#[test]
fn shared_experts_answer_as_stored() {
    check(&data(""), &["qwen2-moe", "qwen2-moe-sparse"], 2);
}

#[test]
fn four_bit_checkpoints_answer_as_their_dequantized_weights() {
    check(&data(""), &["qwen2-awq", "qwen2-gptq", "qwen2-gptq-act-order"], 3);
}

#[test]
fn fp8_checkpoints_answer_as_their_dequantized_weights() {
    check(&data(""), &["qwen3-fp8", "qwen3-fp8-channel"], 2);
}

#[test]
fn the_reference_set_answers_as_stored() {
    let Some(folder) = shared("models", "fifteen reference models in all their files") else {
        return;
    };
    let models = [
        "gemma2-kq",
        "gemma2-qpas",
        "gemma3-plain",
        "gemma3-text",
        "gemma3-vlm",
        "llama3-rope",
        "mistral-swa",
        "phi3-longrope",
        "qwen2-kq",
        "qwen2-odd",
        "qwen2-swa",
        "qwen3-kq",
        "qwen3-moe",
        "qwen3-moe-mixed",
        "qwen3-untied",
    ];
    check(&folder, &models, 15 + 21);
}
