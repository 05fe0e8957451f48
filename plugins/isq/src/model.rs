//! What a request says about the model: the kind and layer of each tensor, and how many layers,
//! experts and heads there are.
//!
//! All of it follows from roles and shapes, so it holds for architectures nobody has heard of.

use plugin_api::{QuantizeRequest, QuantizeTensor};
use std::collections::{BTreeMap, BTreeSet};

/// What a tensor does, as far as a recipe cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The embedding, not used as output matrix.
    Embedding,
    /// The output matrix; the embedding where it serves as one.
    Output,
    Query,
    Key,
    Value,
    /// Query, key and value in one tensor.
    QueryKeyValue,
    AttentionOutput,
    Gate,
    Up,
    Down,
    /// Another matrix.
    Other,
    /// A small matrix that chooses among experts: never quantized.
    Exact,
    /// No matrix: norms and biases.
    Kept,
}

/// The facts of a model.
#[derive(Debug)]
pub(crate) struct Model {
    /// Of each tensor of the request.
    pub(crate) kinds: Vec<Kind>,
    /// Layer of each tensor of the request.
    pub(crate) layers: Vec<Option<usize>>,
    pub(crate) layer_count: usize,
    /// Experts of a layer; 0 without any.
    pub(crate) expert_count: usize,
    /// Query heads for each head of keys and values.
    pub(crate) heads_per_kv: usize,
    /// Layers in order of their number that have a matrix of values, counted from 0.
    pub(crate) value_index: BTreeMap<usize, usize>,
}

impl Model {
    pub(crate) fn of(request: &QuantizeRequest) -> Self {
        let tensors = &request.tensors;
        let fused = fused(tensors);
        let kinds: Vec<Kind> = tensors.iter().map(|tensor| kind(tensor, &fused)).collect();
        let layers: Vec<_> = tensors.iter().map(|tensor| layer(&tensor.role)).collect();
        let expert =
            |tensor: &QuantizeTensor| part(&tensor.role).strip_prefix("expert_down.")?.parse().ok();
        let experts = tensors.iter().filter_map(expert).max().map_or(0, |last: usize| last + 1);
        let with_values: BTreeSet<usize> = kinds
            .iter()
            .zip(&layers)
            .filter(|(kind, _)| matches!(kind, Kind::Value | Kind::QueryKeyValue))
            .filter_map(|(_, layer)| *layer)
            .collect();
        Self {
            layer_count: layers.iter().flatten().max().map_or(0, |last| last + 1),
            expert_count: experts,
            heads_per_kv: heads_per_kv(tensors),
            value_index: with_values.into_iter().enumerate().map(|(i, layer)| (layer, i)).collect(),
            kinds,
            layers,
        }
    }
}

/// Tensors that hold query, key and value of one layer.
fn fused(tensors: &[QuantizeTensor]) -> BTreeSet<&str> {
    let of = |part_name: &str| -> BTreeSet<&str> {
        let found = tensors.iter().filter(|tensor| part(&tensor.role) == part_name);
        found.map(|tensor| tensor.name.as_str()).collect()
    };
    of("attn_q").intersection(&of("attn_v")).copied().collect()
}

fn kind(tensor: &QuantizeTensor, fused: &BTreeSet<&str>) -> Kind {
    match (tensor.embedding, tensor.matrix) {
        (true, true) => return Kind::Output,
        (true, false) => return Kind::Embedding,
        (false, false) => return Kind::Kept,
        (false, true) => {}
    }
    let name = part(&tensor.role).split('.').next().unwrap_or_default();
    match name {
        "output" => Kind::Output,
        "attn_q" | "attn_k" | "attn_v" if fused.contains(tensor.name.as_str()) => {
            Kind::QueryKeyValue
        }
        "attn_q" => Kind::Query,
        "attn_k" => Kind::Key,
        "attn_v" => Kind::Value,
        "attn_output" => Kind::AttentionOutput,
        "ffn_gate" | "expert_gate" | "shared_gate" => Kind::Gate,
        "ffn_up" | "expert_up" | "shared_up" => Kind::Up,
        "ffn_down" | "expert_down" | "shared_down" => Kind::Down,
        "expert_scores" | "shared_scale" => Kind::Exact,
        _ => Kind::Other,
    }
}

/// The layer in a role such as `layers.3.attn_q`.
fn layer(role: &str) -> Option<usize> {
    role.strip_prefix("layers.")?.split_once('.')?.0.parse().ok()
}

/// A role without its layer.
pub(crate) fn part(role: &str) -> &str {
    let after = |rest: &'_ str| rest.split_once('.').map(|(_, part)| part.len());
    let length = role.strip_prefix("layers.").and_then(after);
    length.map_or(role, |length| &role[role.len() - length..])
}

fn heads_per_kv(tensors: &[QuantizeTensor]) -> usize {
    let rows = |part_name: &str| {
        let found = tensors.iter().find(|tensor| part(&tensor.role) == part_name);
        found.and_then(|tensor| tensor.shape.first().copied()).unwrap_or(0)
    };
    rows("attn_q").checked_div(rows("attn_k")).unwrap_or(1)
}
