//! A written file and the model quantized in memory give the same bits.

use crate::model::Plugins;
use host_model::{LoadOptions, export};
use std::path::Path;
use support::{Scratch, data, shared};

/// What another order of sums may change in a logit.
const STORED_OTHERWISE: f32 = 1e-4;

/// Some tokens that every vocabulary of the set has.
fn tokens() -> Vec<u32> {
    (0..70).map(|index| 5 + (index * 37) % 200).collect()
}

/// Writes and compares; the largest difference of a logit may be `tolerance`.
fn check(plugins: &Plugins, checkpoint: &Path, recipe: &str, tolerance: f32) {
    let scratch = Scratch::new();
    let file = scratch.join("model.gguf");
    let options = LoadOptions { isq: Some(recipe.to_owned()), ..LoadOptions::default() };
    let written = export(&plugins.registry, checkpoint, &options, &file, &|_, _| {});
    written.unwrap_or_else(|error| panic!("{} {recipe}: {error}", checkpoint.display()));
    let memory = plugins.model(checkpoint, Some(recipe), None).logits(&tokens());
    let disk = plugins.model(&file, None, None).logits(&tokens());
    let pairs = memory.iter().zip(&disk);
    let most = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let name = checkpoint.display();
    assert!(most <= tolerance, "{name} {recipe}: file and memory differ by {most:e}");
}

/// Files of the Llama family store the values of a head in another order, so sums over them are
/// made in another order too, and longrope is stored as divisors, which round; all others have the
/// same bits.
fn tolerance(model: &str) -> f32 {
    let stored_otherwise = ["llama", "mistral", "phi3"].iter().any(|name| model.contains(name));
    if stored_otherwise { STORED_OTHERWISE } else { 0.0 }
}

#[test]
fn a_written_file_gives_the_bits_of_the_model_in_memory() {
    let plugins = Plugins::load();
    for recipe in ["q8_0", "q4k", "q4_k_m", "f16"] {
        check(&plugins, &data("qwen3-untied/hf"), recipe, 0.0);
    }
    for model in ["mistral-swa", "tinyllama-stories260K", "starcoder2"] {
        check(&plugins, &data(&format!("{model}/hf")), "q8_0", tolerance(model));
    }
}

#[test]
fn every_family_can_be_written() {
    let plugins = Plugins::load();
    let models = [
        "qwen2-kq",
        "gemma2-kq",
        "gemma3-plain",
        "llama3-rope",
        "qwen3-kq",
        "qwen3-moe",
        "phi3-longrope",
    ];
    for model in models {
        if let Some(folder) = shared(&format!("models/{model}/hf"), "files of all families") {
            check(&plugins, &folder, "q4_k_m", tolerance(model));
        }
    }
}

#[test]
fn what_is_quantized_already_is_quantized_again() {
    let plugins = Plugins::load();
    for model in ["qwen2-awq", "qwen2-gptq", "qwen2-gptq-act-order", "qwen3-fp8"] {
        check(&plugins, &data(&format!("{model}/hf")), "q8_0", 0.0);
    }
}

#[test]
fn a_file_is_written_again_from_a_file() {
    let plugins = Plugins::load();
    if let Some(file) = shared("models/llama3-rope/gguf/llama3-rope-BF16.gguf", "files of files") {
        check(&plugins, &file, "q4_0", 0.0);
    }
}

#[test]
fn nothing_is_overwritten_and_no_half_file_is_left() {
    let (plugins, scratch) = (Plugins::load(), Scratch::new());
    let checkpoint = data("qwen3-untied/hf");
    let write = |name: &str, recipe: &str| {
        let options = LoadOptions { isq: Some(recipe.to_owned()), ..LoadOptions::default() };
        let file = scratch.join(name);
        let outcome = export(&plugins.registry, &checkpoint, &options, &file, &|_, _| {});
        outcome.map(drop).map_err(|error| error.to_string())
    };
    write("a.gguf", "q8_0").expect("the first is written");
    let before = std::fs::read(scratch.join("a.gguf")).expect("it is there");
    let error = write("a.gguf", "q4k").expect_err("it exists");
    assert!(error.contains("the file exists"), "{error}");
    assert!(std::fs::read(scratch.join("a.gguf")).expect("it is there") == before);
    let error = write("b.bin", "q4k").expect_err("nobody writes it");
    assert!(error.contains("use .gguf"), "{error}");
    let error = write("c.gguf", "hqq4").expect_err("GGUF has no such type");
    assert!(error.contains("no type hqq4"), "{error}");
    let mixed = data("qwen2-moe/hf");
    let options = LoadOptions::default();
    let file = scratch.join("e.gguf");
    let error = export(&plugins.registry, &mixed, &options, &file, &|_, _| {});
    let error = error.expect_err("dense layers among those with experts").to_string();
    assert!(error.contains("layers have experts"), "{error}");
    let error = write("d.gguf", "q4q").expect_err("no such recipe");
    assert!(error.contains("`q4q`") && error.contains("q4k"), "{error}");
    let left = std::fs::read_dir(scratch.path()).expect("the folder is ours").count();
    assert_eq!(left, 1, "only the first file is there");
}
