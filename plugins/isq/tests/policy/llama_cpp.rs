//! Every mix gives every tensor the type that llama.cpp's own quantizer gives it.
//!
//! The choices were written down from llama.cpp itself (`tests/data/recipes`): 14 models of several
//! families, sizes, row lengths and numbers of experts.

use crate::{matrix, plan};
use plugin_api::{QuantizeTensor, Recipe};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// llama.cpp's file types and the recipes that stand for them.
const RECIPES: &[(&str, &str)] = &[
    ("Q2_K", "q2_k_m"),
    ("Q3_K_S", "q3_k_s"),
    ("Q3_K_M", "q3_k_m"),
    ("Q3_K_L", "q3_k_l"),
    ("Q4_K_S", "q4_k_s"),
    ("Q4_K_M", "q4_k_m"),
    ("Q5_K_S", "q5_k_s"),
    ("Q5_K_M", "q5_k_m"),
    ("Q6_K", "q6_k_m"),
    ("Q8_0", "q8_0"),
    ("Q4_0", "q4_0_m"),
    ("Q4_1", "q4_1_m"),
    ("Q5_0", "q5_0_m"),
    ("Q5_1", "q5_1_m"),
    ("IQ4_NL", "iq4_nl_m"),
    ("IQ4_XS", "iq4_xs_m"),
];

/// Roles by the part of a tensor's name in GGUF files.
const ROLES: &[(&str, &str)] = &[
    ("token_embd", "embed"),
    ("ffn_gate_inp", "expert_scores"),
    ("ffn_gate_exps", "expert_gate"),
    ("ffn_up_exps", "expert_up"),
    ("ffn_down_exps", "expert_down"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/recipes")
}

/// One model of the set.
struct Model(Value);

impl Model {
    fn number(&self, key: &str) -> usize {
        self.0[key].as_u64().expect("a number") as usize
    }

    /// The matrices as a quantizer is asked about them, each with its name in GGUF files.
    fn tensors(&self) -> Vec<(String, QuantizeTensor)> {
        let shapes = self.0["tensors"].as_object().expect("shapes of layer 0");
        let mut tensors = Vec::new();
        for layer in 0..self.number("layers") {
            for (name, shape) in shapes {
                let shape: Vec<usize> = serde_json::from_value(shape.clone()).expect("a shape");
                match name.strip_prefix("blk.0.") {
                    Some(part) => self.layer(&mut tensors, layer, part, &shape),
                    None if layer == 0 => self.push(&mut tensors, name, None, &shape),
                    None => {}
                }
            }
        }
        tensors
    }

    fn layer(
        &self,
        tensors: &mut Vec<(String, QuantizeTensor)>,
        layer: usize,
        part: &str,
        shape: &[usize],
    ) {
        let name = format!("blk.{layer}.{part}");
        if part != "attn_qkv.weight" {
            return self.push(tensors, &name, Some(layer), shape);
        }
        let head = shape[0] / (self.number("heads") + 2 * self.number("kv_heads"));
        let parts = [("attn_q", "heads"), ("attn_k", "kv_heads"), ("attn_v", "kv_heads")];
        for (role, heads) in parts {
            let rows = head * self.number(heads);
            let mut tensor = matrix(&format!("layers.{layer}.{role}"), [rows, shape[1]]);
            tensor.name.clone_from(&name);
            tensors.push((name.clone(), tensor));
        }
    }

    fn push(
        &self,
        tensors: &mut Vec<(String, QuantizeTensor)>,
        name: &str,
        layer: Option<usize>,
        shape: &[usize],
    ) {
        if shape.len() < 2 {
            return;
        }
        let part = name.trim_end_matches(".weight").rsplit('.').next().expect("a name");
        let known = ROLES.iter().find(|(gguf, _)| *gguf == part);
        let part = known.map_or(part, |(_, role)| role);
        let role = layer.map_or(part.to_owned(), |layer| format!("layers.{layer}.{part}"));
        if let &[experts, rows, columns] = shape {
            for expert in 0..experts {
                let mut tensor = matrix(&format!("{role}.{expert}"), [rows, columns]);
                tensor.name = name.to_owned();
                tensors.push((name.to_owned(), tensor));
            }
            return;
        }
        let mut tensor = matrix(&role, [shape[0], shape[1]]);
        tensor.embedding = part == "embed";
        tensor.matrix = part != "embed" || self.0["tied"] == true;
        tensors.push((name.to_owned(), tensor));
    }

    /// The type llama.cpp gives a tensor in a mix.
    fn expected(&self, mix: &str, name: &str) -> String {
        let name = name.trim_end_matches(".weight");
        let (layer, part) = match name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) {
            Some((layer, part)) => (layer.parse().ok(), part),
            None => (None::<usize>, name),
        };
        let recipe = &self.0["recipes"][mix];
        let others = recipe["others"].as_object().expect("exceptions by type");
        let holds = |layers: &Value| {
            let layers = layers.as_str().expect("layers");
            layer.is_none_or(|layer| numbers(layers).contains(&layer))
        };
        let other = others.iter().find(|(_, parts)| parts.get(part).is_some_and(holds));
        let default = recipe["default"].as_str().expect("a type");
        other.map_or(default, |(dtype, _)| dtype).to_lowercase()
    }
}

/// The numbers of `0-1,5`.
fn numbers(text: &str) -> BTreeSet<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        first.parse::<usize>().expect("a layer")..=last.parse().expect("a layer")
    };
    text.split(',').filter(|part| !part.is_empty()).flat_map(range).collect()
}

fn check(file: &Path, mix: &str, recipe: &str) -> Vec<String> {
    let text = std::fs::read_to_string(file).expect("the set is complete");
    let model = Model(serde_json::from_str(&text).expect("JSON"));
    let (names, tensors): (Vec<_>, Vec<_>) = model.tensors().into_iter().unzip();
    let roles: Vec<String> = tensors.iter().map(|tensor| tensor.role.clone()).collect();
    let plan = plan(Recipe::Name(recipe.to_owned()), tensors).expect("a known recipe");
    let mut problems = Vec::new();
    for ((name, role), found) in names.iter().zip(&roles).zip(plan) {
        let found = found.unwrap_or_else(|| "f32".to_owned());
        let expected = if role.ends_with("expert_scores") {
            "f32".to_owned()
        } else {
            model.expected(mix, name)
        };
        if found != expected {
            let file = file.file_name().expect("a file").to_string_lossy();
            problems.push(format!("{file} {recipe} {name} ({role}): {expected}, found {found}"));
        }
    }
    problems
}

#[test]
fn every_mix_gives_each_tensor_the_type_llama_cpp_gives_it() {
    let files: Vec<PathBuf> = std::fs::read_dir(folder())
        .expect("the set is there")
        .map(|entry| entry.expect("a file").path())
        .collect();
    assert!(files.len() >= 14, "{} models", files.len());
    let mut problems = Vec::new();
    for file in &files {
        for (mix, recipe) in RECIPES {
            problems.extend(check(file, mix, recipe));
        }
    }
    let shown: Vec<_> = problems.iter().take(20).collect();
    assert!(problems.is_empty(), "{} tensors differ, such as {shown:#?}", problems.len());
}
