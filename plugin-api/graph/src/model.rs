//! The graph itself: weights by role, KV caches, rope tables and nodes in execution order.
//!
//! It crosses the boundary as JSON, so it can be written from any language, stored and compared.
//! It holds names and shapes of weights, never their data.

use crate::{ChatConventions, GraphError, OPSET, Op};
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Index into [`Graph::weights`].
pub type WeightId = usize;
/// A value: the node that made it, by its place in [`Graph::nodes`].
pub type ValueId = usize;

/// A model described once, as data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// Opset the graph was written for.
    pub opset: Version,
    /// Architecture the graph came from, for people.
    pub architecture: String,
    /// Tokens in the vocabulary; the width of the last node if its rows are logits.
    pub vocab_size: usize,
    /// Most positions a sequence may hold.
    pub context_length: usize,
    /// What the last node's rows are.
    #[serde(default)]
    pub output: Output,
    /// Tensors the nodes use.
    pub weights: Vec<Weight>,
    /// KV caches the attention nodes use.
    pub caches: Vec<CacheSpec>,
    /// Frequency tables the rope nodes use.
    pub rope_tables: Vec<RopeTable>,
    /// Operations in execution order; the last one's value is the answer.
    pub nodes: Vec<Node>,
    /// What a GGUF file of the model says about it, if the architecture knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gguf: Option<GgufModel>,
    /// How models of the family write tool calls and thoughts.
    #[serde(default, skip_serializing_if = "ChatConventions::is_empty")]
    pub chat: ChatConventions,
}

/// The head of a GGUF file of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GgufModel {
    /// Its `general.architecture`.
    pub architecture: String,
    /// Hyper-parameters by their keys without the architecture before them.
    pub parameters: Map<String, Value>,
}

/// What a graph answers with, a row for each one wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// A score for each token of the vocabulary.
    #[default]
    Logits,
    /// A vector that stands for the text, of any width.
    Embedding,
}

/// A tensor of the checkpoint in the place where the model uses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weight {
    /// What it is in the model, such as `layers.0.attn_q`.
    pub role: String,
    /// Its name in this checkpoint.
    pub tensor: String,
    /// Row-major shape, outermost first: `[output, input]` for a matrix.
    pub shape: Vec<usize>,
    /// Where one tensor holds several matrices or vectors (Phi-3, stacked experts): the first of
    /// the tensor's rows that this one has, and the row after its last. A row is what the last
    /// dimension counts, so that a vector is one row and a stack of matrices has the rows of all.
    /// The host hands out these rows alone, and a compute plugin sees a weight like any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<[usize; 2]>,
    /// Its name in GGUF files, where the checkpoint names it otherwise; matrices that are one
    /// tensor there have one name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gguf: Option<String>,
}

/// Keys and values of one attention layer (or of several that share them).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheSpec {
    /// Heads of keys and of values.
    pub kv_heads: usize,
    /// Values in a head.
    pub head_dim: usize,
}

/// Inverse frequencies of a rotary embedding, with every scaling law already applied.
///
/// The SDK knows the laws (linear, llama3, yarn, longrope); a compute plugin only multiplies, so that all of
/// them agree to the bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RopeTable {
    /// One entry for each rotated pair: radians per position.
    pub frequencies: Vec<f32>,
    /// Factor on the cosines and sines (yarn's attention scaling), usually 1.
    pub magnitude: f32,
    /// A vector of the checkpoint that divides the frequencies (GGUF keeps llama3's law so). The
    /// host folds it in before a compute plugin sees the graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divisors: Option<WeightId>,
    /// What longer sequences use instead (longrope).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long: Option<LongRope>,
}

/// The frequencies of sequences above a length (LongRoPE, Ding et al., 2024).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LongRope {
    /// Tokens above which they are used, for every row of the sequence. A sequence that grows past
    /// it is computed again from its first token.
    pub above: usize,
    /// As many as the table has.
    pub frequencies: Vec<f32>,
    /// As [`RopeTable::divisors`], of these frequencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divisors: Option<WeightId>,
}

impl RopeTable {
    /// The vectors of the checkpoint that divide frequencies; none are left once the host has
    /// folded them in.
    pub fn divisors(&self) -> impl Iterator<Item = WeightId> {
        self.divisors.into_iter().chain(self.long.as_ref().and_then(|long| long.divisors))
    }

    /// The frequencies of each kind of sequence, with the vector that divides them.
    pub(crate) fn parts_mut(
        &mut self,
    ) -> impl Iterator<Item = (&mut Vec<f32>, &mut Option<WeightId>)> {
        let long = self.long.as_mut().map(|long| (&mut long.frequencies, &mut long.divisors));
        std::iter::once((&mut self.frequencies, &mut self.divisors)).chain(long)
    }
}

/// One operation and the values it reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// What to do.
    #[serde(flatten)]
    pub op: Op,
    /// The values it reads, each made by an earlier node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<ValueId>,
}

impl Graph {
    /// Reads a graph from JSON, checks its opset and validates it.
    ///
    /// # Errors
    /// Names the opset, the unknown op or the first node that does not fit.
    pub fn from_json(json: &str) -> Result<Self, GraphError> {
        let head: Head =
            serde_json::from_str(json).map_err(|e| GraphError::Syntax(e.to_string()))?;
        if head.opset.major != OPSET.major || head.opset.minor > OPSET.minor {
            return Err(GraphError::Opset { found: head.opset, expected: OPSET });
        }
        for (index, node) in head.nodes.iter().enumerate() {
            if !Op::is_known(&node.op) {
                return Err(GraphError::UnknownOp {
                    op: node.op.clone(),
                    node: index,
                    found: head.opset,
                    expected: OPSET,
                });
            }
        }
        let graph: Self =
            serde_json::from_str(json).map_err(|e| GraphError::Syntax(e.to_string()))?;
        graph.widths()?;
        Ok(graph)
    }

    /// Whether all tokens of a sequence must be in one step: rows look at later ones, or become
    /// one.
    #[must_use]
    pub fn needs_whole_sequences(&self) -> bool {
        self.nodes
            .iter()
            .any(|node| matches!(node.op, Op::Pool { .. } | Op::Attention { causal: false, .. }))
    }

    /// The length above which a sequence is computed with other frequencies, if there is one.
    #[must_use]
    pub fn long_above(&self) -> Option<usize> {
        self.rope_tables.iter().find_map(|table| Some(table.long.as_ref()?.above))
    }

    /// Positions that the model has learned one by one, if it has: there are no others.
    #[must_use]
    pub fn learned_positions(&self) -> Option<usize> {
        self.nodes.iter().find_map(|node| match node.op {
            Op::EmbedPosition { weight } => self.weights.get(weight)?.shape.first().copied(),
            _ => None,
        })
    }

    /// Writes the graph as JSON.
    ///
    /// # Errors
    /// A number that JSON has no word for (an infinite scale).
    pub fn to_json(&self) -> Result<String, GraphError> {
        serde_json::to_string(self).map_err(|e| GraphError::Syntax(e.to_string()))
    }
}

/// The part of a graph that can be read even when its ops are from the future.
#[derive(Deserialize)]
struct Head {
    opset: Version,
    #[serde(default)]
    nodes: Vec<NodeHead>,
}

#[derive(Deserialize)]
struct NodeHead {
    op: String,
}
