//! Importance matrices: made here, written in llama.cpp's form, and worth their while.
//!
//! They are tried on a small model that was trained: the inputs of a random one are all alike, so
//! that nothing is more important than anything else.

use crate::divergence::row_divergence;
use crate::model::{Model, Plugins};
use host_model::{Calibration, Importance, LoadOptions, calibrate};
use serde_json::Value;
use std::fs::File;
use std::path::Path;
use support::{Scratch, data};

/// Stories that the model has told: those to calibrate with, and those to measure with.
fn stories() -> (String, Vec<Vec<u32>>) {
    let text = std::fs::read_to_string(data("tinyllama-stories260K/golden_greedy.json"));
    let golden: Value = serde_json::from_str(&text.expect("the golden set")).expect("JSON");
    let stories = golden.as_array().expect("stories");
    let (calibrate, measure) = stories.split_at(stories.len() - 2);
    let story = |story: &Value| story["greedy_text"].as_str().expect("a story").to_owned();
    let tokens = |story: &Value| {
        let list = |key: &str| story[key].as_array().expect("tokens").clone();
        let all = [list("prompt_ids_with_bos"), list("greedy_ids")].concat();
        all.iter().map(|id| id.as_u64().expect("a token") as u32).collect()
    };
    (calibrate.iter().map(story).collect(), measure.iter().map(tokens).collect())
}

fn calibrated(plugins: &Plugins, path: &Path, text: &str, file: &Path) {
    let calibration = Calibration { chunk_tokens: 64, chunks_max: 64 };
    let options = LoadOptions::default();
    let made = calibrate(&plugins.registry, path, &options, (text, calibration), &|_, _| {});
    let made = made.expect("the model is calibrated");
    let mut to = File::create(file).expect("the folder is ours");
    made.importance.write(&mut to, made.chunks as i32).expect("it is written");
    let read = Importance::read(&plugins.registry, file).expect("it is read");
    assert_eq!(read.names().collect::<Vec<_>>(), made.importance.names().collect::<Vec<_>>());
}

/// Mean divergence of one model from another over some sequences.
fn divergence(full: &mut Model, quantized: &mut Model, sequences: &[Vec<u32>]) -> f64 {
    let (mut sum, mut rows) = (0.0, 0);
    for tokens in sequences {
        let (expected, found) = (full.logits(tokens), quantized.logits(tokens));
        let vocab = expected.len() / tokens.len();
        for (expected, found) in expected.chunks(vocab).zip(found.chunks(vocab)) {
            sum += row_divergence(expected, found);
            rows += 1;
        }
    }
    sum / f64::from(rows)
}

#[test]
fn an_importance_matrix_brings_a_quantized_model_nearer_to_the_full_one() {
    let (plugins, scratch) = (Plugins::load(), Scratch::new());
    let (path, file) = (data("tinyllama-stories260K/hf"), scratch.join("imatrix.dat"));
    let (text, sequences) = stories();
    calibrated(&plugins, &path, &text, &file);
    let mut full = plugins.model(&path, None, None);
    let (mut ratios, mut lines) = (Vec::new(), String::new());
    for recipe in ["q4_0", "q4_1", "q5_0", "iq4_nl"] {
        let mut of = |imatrix| {
            divergence(&mut full, &mut plugins.model(&path, Some(recipe), imatrix), &sequences)
        };
        let (without, with) = (of(None), of(Some(file.as_path())));
        lines += &format!("{recipe}: {with:.5} with, {without:.5} without\n");
        ratios.push((with / without).ln());
    }
    // One dtype alone may be lucky without.
    let mean = (ratios.iter().sum::<f64>() / ratios.len() as f64).exp();
    assert!(mean < 0.97, "{mean} times the divergence without an importance matrix:\n{lines}");
}

/// A file in the newer form, for matrices of four columns: their sums of squares over 8 tokens.
fn newer_file(matrices: &[(&str, [f32; 4])]) -> Vec<u8> {
    fn text(to: &mut Vec<u8>, text: &str) {
        to.extend((text.len() as u64).to_le_bytes());
        to.extend(text.as_bytes());
    }
    const TEXT: u32 = 8;
    let tensors: Vec<(String, &[f32])> = matrices
        .iter()
        .flat_map(|(name, sums)| {
            [(format!("{name}.in_sum2"), &sums[..]), (format!("{name}.counts"), &[8.0][..])]
        })
        .collect();
    let mut file = b"GGUF".to_vec();
    file.extend(3_u32.to_le_bytes());
    file.extend((tensors.len() as u64).to_le_bytes());
    file.extend(1_u64.to_le_bytes());
    text(&mut file, "general.type");
    file.extend(TEXT.to_le_bytes());
    text(&mut file, "imatrix");
    let mut data = Vec::new();
    for (name, values) in &tensors {
        text(&mut file, name);
        let dimensions = [values.len() as u64, 1];
        file.extend((dimensions.len() as u32).to_le_bytes());
        file.extend(dimensions.iter().flat_map(|dimension| dimension.to_le_bytes()));
        file.extend(0_u32.to_le_bytes());
        file.extend((data.len() as u64).to_le_bytes());
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        data.resize(data.len().next_multiple_of(32), 0);
    }
    file.resize(file.len().next_multiple_of(32), 0);
    file.extend(data);
    file
}

#[test]
fn both_forms_of_file_say_the_same() {
    let (plugins, scratch) = (Plugins::load(), Scratch::new());
    let path = scratch.join("newer.gguf");
    let matrices = [("blk.0.attn_q.weight", [8.0, 16.0, 0.0, 4.0]), ("output.weight", [8.0; 4])];
    std::fs::write(&path, newer_file(&matrices)).expect("the folder is ours");
    let newer = Importance::read(&plugins.registry, &path).expect("a newer file");
    let older_path = scratch.join("older.dat");
    let mut to = File::create(&older_path).expect("the folder is ours");
    newer.write(&mut to, 8).expect("it is written");
    let older = Importance::read(&plugins.registry, &older_path).expect("an older file");
    assert_eq!(newer, older);
    assert_eq!(newer.names().collect::<Vec<_>>(), ["blk.0.attn_q.weight", "output.weight"]);
    std::fs::write(&path, newer_file(&[("a", [f32::NAN; 4])])).expect("the folder is ours");
    let error = Importance::read(&plugins.registry, &path).expect_err("no number").to_string();
    assert!(error.contains("a.in_sum2"), "{error}");
}
