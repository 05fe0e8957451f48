//! What the file says about the model: architecture, hyper-parameters, and which types its tensors
//! have.
//!
//! A checkpoint with another naming scheme has its parameters from the architecture plugin, which
//! read each of them under both names; a GGUF file keeps its own.

use super::keys::Keys;
use super::tensors::Tensor;
use plugin_api::graph::{Graph, Node, Op};
use plugin_api::{Error, Export, Scheme};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Version of the block layouts.
const QUANTIZATION_VERSION: u32 = 2;
/// Keys of a file that are not its successor's.
const OWN: [&str; 5] = [
    "tokenizer.",
    "split.",
    "general.file_type",
    "general.quantization_version",
    "general.alignment",
];

/// Numbers of `general.file_type` by the type of most bytes.
const FILE_TYPES: [(&str, u32); 20] = [
    ("f32", 0),
    ("f16", 1),
    ("q4_0", 2),
    ("q4_1", 3),
    ("q8_0", 7),
    ("q5_0", 8),
    ("q5_1", 9),
    ("q2_k", 10),
    ("q3_k", 12),
    ("q4_k", 15),
    ("q5_k", 17),
    ("q6_k", 18),
    ("iq2_xxs", 19),
    ("iq3_xxs", 23),
    ("iq4_nl", 25),
    ("iq3_s", 26),
    ("iq4_xs", 30),
    ("bf16", 32),
    ("tq1_0", 36),
    ("tq2_0", 37),
];
/// The type of files of no listed kind.
const FILE_TYPE_OTHER: u32 = 1024;

/// `general.architecture` of the file.
pub(super) fn architecture(export: &Export) -> Result<&str, Error> {
    match (&export.graph.gguf, export.checkpoint.scheme) {
        (Some(model), _) => Ok(&model.architecture),
        (None, Scheme::Gguf) => Ok(&export.checkpoint.architecture),
        (None, _) => Err(Error::unsupported(format!(
            "the plugin of architecture {} does not say what a GGUF file of it looks like",
            export.checkpoint.architecture
        ))),
    }
}

/// All keys but those of the vocabulary.
pub(super) fn keys(export: &Export, tensors: &[Tensor]) -> Result<Keys, Error> {
    let architecture = architecture(export)?;
    check_experts(&export.graph)?;
    let mut keys = Keys::default();
    keys.text("general.architecture", architecture);
    if let Some(name) = &export.checkpoint.name {
        keys.text("general.name", name);
    }
    keys.unsigned("general.file_type", file_type(tensors));
    keys.unsigned("general.quantization_version", QUANTIZATION_VERSION);
    for (key, value) in parameters(export, architecture) {
        keys.json(&key, &value)?;
    }
    if let Some(template) = &export.chat_template {
        keys.text("tokenizer.chat_template", template);
    }
    Ok(keys)
}

/// A file has no word for layers without experts among layers with them.
fn check_experts(graph: &Graph) -> Result<(), Error> {
    let is_moe = |node: &&Node| matches!(node.op, Op::Moe { .. });
    let is_attention = |node: &&Node| matches!(node.op, Op::Attention { .. });
    let [with, all] = [
        graph.nodes.iter().filter(is_moe).count(),
        graph.nodes.iter().filter(is_attention).count(),
    ];
    if with > 0 && with < all {
        return Err(Error::unsupported(format!(
            "{with} of {all} layers have experts: a GGUF file can only say all of them or none"
        )));
    }
    Ok(())
}

fn parameters(export: &Export, architecture: &str) -> Map<String, Value> {
    let mut parameters = Map::new();
    match &export.graph.gguf {
        Some(model) => {
            for (key, value) in &model.parameters {
                parameters.insert(format!("{architecture}.{key}"), whole(key, value));
            }
            // Readers take a head of values to be as long as the width has room for.
            let [keys, values] =
                ["key", "value"].map(|what| format!("{architecture}.attention.{what}_length"));
            if let Some(length) = parameters.get(&keys).cloned() {
                parameters.entry(values).or_insert(length);
            }
            parameters.extend(longrope(&export.graph, architecture));
        }
        None => {
            let said = ["general.architecture", "general.name"];
            for (key, value) in &export.checkpoint.config {
                if !said.contains(&key.as_str()) && !OWN.iter().any(|own| key.starts_with(own)) {
                    parameters.insert(key.clone(), value.clone());
                }
            }
        }
    }
    if has_divisors(&export.graph, &parameters, architecture) {
        parameters.retain(|key, _| !key.starts_with(&format!("{architecture}.rope.scaling.")));
    }
    parameters
}

/// Of longrope the length above which the long list is used, and the factor on cosines and sines.
fn longrope(graph: &Graph, architecture: &str) -> Vec<(String, Value)> {
    let Some(table) = graph.rope_tables.first() else { return Vec::new() };
    let Some(long) = &table.long else { return Vec::new() };
    let key = |what: &str| format!("{architecture}.rope.scaling.{what}");
    vec![
        (key("original_context_length"), long.above.into()),
        (key("attn_factor"), table.magnitude.into()),
    ]
}

/// Lengths and counts are whole numbers in every reader, whatever the law that was read says.
fn whole(key: &str, value: &Value) -> Value {
    match value.as_f64() {
        Some(number) if number.fract() == 0.0 && key.ends_with("_length") => (number as u64).into(),
        _ => value.clone(),
    }
}

/// Whether the law of the rope is written as a tensor of divisors: GGUF has no word for Llama 3's.
pub(super) fn has_divisors(
    graph: &Graph,
    parameters: &Map<String, Value>,
    architecture: &str,
) -> bool {
    let law = parameters.get(&format!("{architecture}.rope.scaling.type"));
    law.and_then(Value::as_str) == Some("llama3")
        && graph.rope_tables.first().is_some_and(|table| table.divisors.is_none())
}

/// The type of most bytes.
fn file_type(tensors: &[Tensor]) -> u32 {
    let mut bytes: BTreeMap<&str, u64> = BTreeMap::new();
    for tensor in tensors {
        *bytes.entry(tensor.tensor_type.name).or_default() += tensor.bytes().unwrap_or(0);
    }
    let most = bytes.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(name, _)| name);
    let known = FILE_TYPES.iter().find(|(name, _)| Some(*name) == most);
    known.map_or(FILE_TYPE_OTHER, |(_, number)| *number)
}
