//! Stored logits of transformers, for checkpoints in Hugging Face's form.

use crate::checkpoints::Checkpoint;
use crate::prompts::Prompts;
use safetensors::SafeTensors;
use serde_json::Value;

/// A prompt with logits of some of its rows.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) prompt: Prompts,
    pub(crate) rows: Vec<usize>,
    pub(crate) logits: Vec<Vec<f32>>,
}

/// The stored cases of a checkpoint, if it has any.
pub(crate) fn cases(checkpoint: &Checkpoint) -> Option<Vec<Case>> {
    if !checkpoint.path.is_dir() {
        return None;
    }
    let facts = std::fs::read_to_string(checkpoint.model.join("golden.json")).ok()?;
    let bytes = std::fs::read(checkpoint.model.join("golden.safetensors")).ok()?;
    let facts: Value = serde_json::from_str(&facts).expect("stored facts are JSON");
    let tensors = SafeTensors::deserialize(&bytes).expect("stored logits are whole");
    let case = |case: &Value| {
        let tensor = tensors.tensor(case["logits"].as_str()?).expect("the logits of a case");
        let (values, _) = tensor.data().as_chunks::<4>();
        let values: Vec<f32> = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Some(Case {
            name: case["id"].as_str()?.to_owned(),
            prompt: Prompts::one(numbers(&case["ids"]).map(|id| id as u32).collect()),
            rows: numbers(&case["logits_positions"]).map(|row| row as usize).collect(),
            logits: values.chunks(tensor.shape()[1]).map(<[f32]>::to_vec).collect(),
        })
    };
    Some(facts["cases"].as_array()?.iter().filter_map(case).collect())
}

fn numbers(list: &Value) -> impl Iterator<Item = u64> {
    list.as_array().into_iter().flatten().filter_map(Value::as_u64)
}
