//! From the weights of a graph to the tensors of a file: names, shapes, and what llama.cpp stores
//! otherwise.
//!
//! Matrices that are one tensor in GGUF (stacked experts, fused projections) are laid one above the
//! other in the order of the graph. Of the families whose rotation llama.cpp runs in the order of
//! the original paper, the rows of queries and keys change places; norms that a graph adds to are
//! stored with the sum.

use super::head;
use crate::tensor_types::{self, TensorType};
use plugin_api::graph::{Graph, Op, RopeStyle, RopeTable, Weight, WeightId};
use plugin_api::{Error, Export};
use std::collections::BTreeMap;

/// Architectures whose files have rows in the order of the original rotation.
const INTERLEAVED: [&str; 1] = ["llama"];

/// One tensor of the file.
#[derive(Debug)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) tensor_type: TensorType,
    /// Innermost first.
    pub(super) dimensions: Vec<u64>,
    pub(super) content: Content,
}

/// Where its bytes come from.
#[derive(Debug)]
pub(super) enum Content {
    /// Weights one above the other, with their rows.
    Weights { parts: Vec<(WeightId, usize)>, order: Order, add: f32 },
    /// Numbers of the graph.
    Values(Vec<f32>),
}

/// In which order rows are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    AsTheyAre,
    /// Of each head of so many rows (of a vector: values), number `i` of the first half beside
    /// number `i` of the second.
    Interleaved {
        head: usize,
    },
}

impl Tensor {
    /// Bytes of its data.
    pub(super) fn bytes(&self) -> Result<u64, Error> {
        self.tensor_type.bytes(&self.dimensions, &self.name)
    }

    /// Bytes of a row.
    pub(super) fn row_bytes(&self) -> Result<usize, Error> {
        let row = self.dimensions.get(..1).unwrap_or_default();
        let bytes = self.tensor_type.bytes(row, &self.name)?;
        usize::try_from(bytes).map_err(|_| Error::invalid("a row is larger than memory can be"))
    }
}

/// The tensors of the file, in the order of the graph.
pub(super) fn tensors(export: &Export) -> Result<Vec<Tensor>, Error> {
    let graph = &export.graph;
    if export.tensors.len() != graph.weights.len() {
        return Err(Error::failed("the list of dtypes is not as long as that of the weights"));
    }
    let architecture = head::architecture(export)?;
    let stored = Stored::of(graph, architecture);
    let mut by_name: BTreeMap<&str, usize> = BTreeMap::new();
    let mut tensors: Vec<Tensor> = Vec::new();
    for (index, weight) in graph.weights.iter().enumerate() {
        let name = weight.gguf.as_deref().unwrap_or(&weight.tensor);
        let tensor_type = tensor_types::named(&export.tensors[index].dtype).ok_or_else(|| {
            Error::unsupported(format!(
                "{name}: a GGUF file has no type {}; choose a recipe of ggml's types",
                export.tensors[index].dtype
            ))
        })?;
        match by_name.get(name) {
            Some(&place) => join(&mut tensors[place], index, weight, tensor_type)?,
            None => {
                by_name.insert(name, tensors.len());
                tensors.push(stored.tensor(index, weight, name, tensor_type));
            }
        }
    }
    tensors.extend(rope_tensors(export)?);
    Ok(tensors)
}

/// What the file stores otherwise than the graph has it.
struct Stored {
    heads: BTreeMap<WeightId, usize>,
    add: BTreeMap<WeightId, f32>,
    experts: Vec<WeightId>,
}

impl Stored {
    fn of(graph: &Graph, architecture: &str) -> Self {
        let mut stored = Self { heads: BTreeMap::new(), add: BTreeMap::new(), experts: Vec::new() };
        for node in &graph.nodes {
            match &node.op {
                Op::RmsNorm { weight, weight_add, .. } if *weight_add != 0.0 => {
                    stored.add.insert(*weight, *weight_add);
                }
                Op::Moe { .. } => stored.experts.extend(node.op.weights()),
                Op::Rope { heads, style: RopeStyle::Neox, .. }
                    if INTERLEAVED.contains(&architecture) =>
                {
                    let mut value = node.inputs[0];
                    while let Op::RmsNorm { .. } = graph.nodes[value].op {
                        value = graph.nodes[value].inputs[0];
                    }
                    let weights = graph.nodes[value].op.weights();
                    stored.heads.extend(weights.into_iter().map(|weight| (weight, *heads)));
                }
                _ => {}
            }
        }
        stored
    }

    fn tensor(
        &self,
        index: WeightId,
        weight: &Weight,
        name: &str,
        tensor_type: TensorType,
    ) -> Tensor {
        let mut dimensions: Vec<u64> = weight.shape.iter().rev().map(|&n| n as u64).collect();
        if self.experts.contains(&index) {
            dimensions.push(1);
        }
        let rows = row_count(weight);
        let head = self.heads.get(&index).and_then(|heads| weight.shape[0].checked_div(*heads));
        let order = head.map_or(Order::AsTheyAre, |head| Order::Interleaved { head });
        let add = self.add.get(&index).copied().unwrap_or(0.0);
        let content = Content::Weights { parts: vec![(index, rows)], order, add };
        Tensor { name: name.to_owned(), tensor_type, dimensions, content }
    }
}

/// Rows of a weight; a vector has one.
fn row_count(weight: &Weight) -> usize {
    weight.shape.split_last().map_or(1, |(_, outer)| outer.iter().product())
}

/// Lays a further weight under the rows of its tensor.
fn join(
    tensor: &mut Tensor,
    index: WeightId,
    weight: &Weight,
    tensor_type: TensorType,
) -> Result<(), Error> {
    let differ = |what: String| Error::invalid(format!("{}: {what}", tensor.name));
    if tensor.tensor_type != tensor_type {
        let (one, other) = (tensor.tensor_type.name, tensor_type.name);
        return Err(differ(format!(
            "{one} and {other} for parts of one tensor, one type expected"
        )));
    }
    let columns = weight.shape.last().map(|&n| n as u64);
    if columns != tensor.dimensions.first().copied() || tensor.dimensions.len() < 2 {
        return Err(differ(format!("a part of shape {:?} does not fit", weight.shape)));
    }
    let rows = row_count(weight);
    // The last dimension counts experts, or rows.
    let counts_experts = tensor.dimensions.len() == 3;
    if let Some(last) = tensor.dimensions.last_mut() {
        *last += if counts_experts { 1 } else { rows as u64 };
    }
    if let Content::Weights { parts, .. } = &mut tensor.content {
        parts.push((index, rows));
    }
    Ok(())
}

/// The tensors that say how rope frequencies are divided, where the file has no key for it.
fn rope_tensors(export: &Export) -> Result<Vec<Tensor>, Error> {
    let (Some(model), Some(table)) = (&export.graph.gguf, export.graph.rope_tables.first()) else {
        return Ok(Vec::new());
    };
    let law = model.parameters.get("rope.scaling.type").and_then(|law| law.as_str());
    let base = model.parameters.get("rope.freq_base").and_then(serde_json::Value::as_f64);
    let base = base.unwrap_or(10_000.0);
    let lists = match (&table.long, law) {
        (Some(long), _) => vec![
            ("rope_factors_long.weight", divisors(table, &long.frequencies, base)),
            ("rope_factors_short.weight", divisors(table, &table.frequencies, base)),
        ],
        (None, Some("llama3")) if table.divisors.is_none() => {
            vec![("rope_freqs.weight", divisors(table, &table.frequencies, base))]
        }
        _ => Vec::new(),
    };
    let tensor_type = tensor_types::named("f32").ok_or_else(|| Error::failed("no type f32"))?;
    let tensor = |(name, values): (&str, Vec<f32>)| Tensor {
        name: name.to_owned(),
        tensor_type,
        dimensions: vec![values.len() as u64],
        content: Content::Values(values),
    };
    Ok(lists.into_iter().map(tensor).collect())
}

/// What the plain frequencies are divided by to give these.
fn divisors(table: &RopeTable, frequencies: &[f32], base: f64) -> Vec<f32> {
    let rotated = 2 * table.frequencies.len();
    let plain = |pair: usize| base.powf(-2.0 * pair as f64 / rotated as f64);
    let divisor = |(pair, frequency): (usize, &f32)| (plain(pair) / f64::from(*frequency)) as f32;
    frequencies.iter().enumerate().map(divisor).collect()
}
