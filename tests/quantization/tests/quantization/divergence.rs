//! How far a quantized model's distribution is from the full model's, beside llama.cpp's quantizer.
//!
//! The sharp measure is the error of each tensor, which the kernels' tests hold; this one shows that
//! the whole path (plan, blocks, products) adds nothing to it. Equally good quantizers scatter by
//! some per cent.

use crate::model::{Model, Plugins};
use safetensors::SafeTensors;
use serde_json::Value;
use std::path::Path;
use support::shared;

/// Of llama.cpp's divergence for the same type.
const RATIO_MAX: f64 = 1.15;

/// The reference set of one model: sequences and the full model's logits.
pub(crate) struct Reference {
    sequences: Vec<Vec<u32>>,
    logits: Vec<Vec<f32>>,
    golden: Value,
}

impl Reference {
    pub(crate) fn read(folder: &Path) -> Self {
        let read = |name: &str| std::fs::read(folder.join(name)).expect("the set is complete");
        let golden: Value = serde_json::from_slice(&read("golden.json")).expect("JSON");
        let ids = golden["kl_set"]["ids"].as_array().expect("sequences");
        let sequence = |ids: &Value| -> Vec<u32> {
            let ids = ids.as_array().expect("a list of tokens");
            ids.iter().map(|id| id.as_u64().expect("a token") as u32).collect()
        };
        let sequences: Vec<Vec<u32>> = ids.iter().map(sequence).collect();
        let bytes = read("kl_logits.safetensors");
        let tensors = SafeTensors::deserialize(&bytes).expect("the kit's own file");
        let mut all: Vec<f32> = Vec::new();
        let mut names = tensors.names();
        names.sort();
        for name in names {
            let (values, _) = tensors.tensor(name).expect("it is listed").data().as_chunks();
            all.extend(values.iter().map(|value| f32::from_le_bytes(*value)));
        }
        let rows: usize = sequences.iter().map(Vec::len).sum();
        let vocab = all.len() / rows;
        let mut rest = all.as_slice();
        let mut take = |sequence: &Vec<u32>| {
            let (taken, left) = rest.split_at(sequence.len() * vocab);
            rest = left;
            taken.to_vec()
        };
        Self { logits: sequences.iter().map(&mut take).collect(), sequences, golden }
    }

    /// Mean divergence of a model from the reference over all positions.
    pub(crate) fn divergence(&self, model: &mut Model) -> f64 {
        let (mut sum, mut rows) = (0.0, 0);
        for (tokens, expected) in self.sequences.iter().zip(&self.logits) {
            let found = model.logits(tokens);
            let vocab = expected.len() / tokens.len();
            for (expected, found) in expected.chunks(vocab).zip(found.chunks(vocab)) {
                sum += row_divergence(expected, found);
                rows += 1;
            }
        }
        sum / f64::from(rows)
    }
}

/// Sum of p (ln p - ln q), p being the softmax of the first row and q that of the second.
pub(crate) fn row_divergence(expected: &[f32], found: &[f32]) -> f64 {
    let normalizer = |row: &[f32]| {
        let most = row.iter().fold(f64::NEG_INFINITY, |most, x| most.max(f64::from(*x)));
        most + row.iter().map(|x| (f64::from(*x) - most).exp()).sum::<f64>().ln()
    };
    let (p_sum, q_sum) = (normalizer(expected), normalizer(found));
    let term = |(p, q): (&f32, &f32)| {
        let (p, q) = (f64::from(*p) - p_sum, f64::from(*q) - q_sum);
        p.exp() * (p - q)
    };
    expected.iter().zip(found).map(term).sum()
}

fn check(model: &str, recipes: &[(&str, &str)]) {
    let Some(folder) = shared(&format!("models/{model}"), "divergence of quantized models") else {
        return;
    };
    let (plugins, reference) = (Plugins::load(), Reference::read(&folder));
    let path = folder.join("hf");
    let full = reference.divergence(&mut plugins.model(&path, None, None));
    assert!(full < 1e-6, "{model} in full precision: {full}");
    let mut problems = Vec::new();
    for (recipe, golden) in recipes {
        let file = &reference.golden["gguf"][golden];
        let expected = file["dequantized_weights_f32"]["kl_mean"].as_f64().expect("a figure");
        let found = reference.divergence(&mut plugins.model(&path, Some(recipe), None));
        let line = format!("{model} {recipe}: {found:.5}, llama.cpp {expected:.5}");
        let _closed = std::io::Write::write_all(
            &mut std::io::stderr().lock(),
            format!("{line}, {:.3} times\n", found / expected).as_bytes(),
        );
        if found > RATIO_MAX * expected {
            problems.push(line);
        }
    }
    assert!(problems.is_empty(), "further than {RATIO_MAX} times: {problems:#?}");
}

#[test]
fn quantized_qwen_is_as_near_to_the_full_model_as_llama_cpp_makes_it() {
    check(
        "qwen2-kq",
        &[
            ("q8_0", "Q8_0-pure"),
            ("q6k", "Q6_K-pure"),
            ("q5k", "Q5_K-pure"),
            ("q4k", "Q4_K-pure"),
            ("q3k", "Q3_K-pure"),
            ("q2k", "Q2_K-pure"),
            ("q4_0", "Q4_0-pure"),
            ("q4_k_m", "Q4_K_M"),
            ("q5_k_m", "Q5_K_M"),
            ("iq4_xs_m", "IQ4_XS"),
        ],
    );
}

#[test]
fn quantized_gemma_is_as_near_to_the_full_model_as_llama_cpp_makes_it() {
    check(
        "gemma2-kq",
        &[
            ("q8_0", "Q8_0-pure"),
            ("q6k", "Q6_K-pure"),
            ("q5k", "Q5_K-pure"),
            ("q4k", "Q4_K-pure"),
            ("q4_0", "Q4_0-pure"),
            ("q4_k_m", "Q4_K_M"),
        ],
    );
}
