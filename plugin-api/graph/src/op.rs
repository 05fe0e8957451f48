//! The opset: every operation a graph may use, with the meaning of its attributes.
//!
//! Operations are those of language models, not of a tensor library: a compute plugin can give
//! each its best kernel. Rows are independent in all of them but `attention`.

use crate::WeightId;
use serde::{Deserialize, Serialize};

/// One operation. Widths are checked by [`crate::Graph::widths`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// Row of the embedding matrix for each token of the step.
    Embed {
        /// Matrix `[vocab, width]`.
        weight: WeightId,
    },
    /// `x W^T + b`.
    Linear {
        /// Matrix `[output, input]`.
        weight: WeightId,
        /// Vector `[output]`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bias: Option<WeightId>,
    },
    /// `x / sqrt(mean(x^2) + eps) * (weight + weight_add)`, over each of `groups` equal parts of
    /// the row (Zhang and Sennrich, 2019; groups > 1 is a per-head norm).
    RmsNorm {
        /// Vector `[width / groups]`.
        weight: WeightId,
        /// Added to the mean square.
        eps: f32,
        /// Parts of the row, each with its own norm.
        #[serde(default = "one")]
        groups: usize,
        /// Added to the weight: 1 where checkpoints store `weight - 1` (Gemma).
        #[serde(default)]
        weight_add: f32,
    },
    /// Rotates each head by its row's position (Su et al., 2021).
    Rope {
        /// Heads in the row.
        heads: usize,
        /// Index into [`crate::Graph::rope_tables`]; its frequencies cover the first
        /// `2 * frequencies` values of a head, the rest passes unchanged.
        table: usize,
        /// Which values form a pair.
        style: RopeStyle,
    },
    /// Scaled dot-product attention over the sequence's cache; inputs are q, k, v. Stores this
    /// step's k and v first, then row at position p attends to positions `p - window + 1 ..= p`.
    Attention {
        /// Query heads; each of the cache's heads serves `heads / kv_heads` of them.
        heads: usize,
        /// Index into [`crate::Graph::caches`].
        cache: usize,
        /// Factor on the dot products.
        scale: f32,
        /// Positions a row sees, itself included; none is all of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        window: Option<usize>,
        /// `cap * tanh(x / cap)` on the scaled dot products.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        softcap: Option<f32>,
    },
    /// `a + b`.
    Add,
    /// `a * b`.
    Mul,
    /// `x * by`.
    Scale {
        /// The factor.
        by: f32,
    },
    /// `cap * tanh(x / cap)`.
    Softcap {
        /// The bound.
        cap: f32,
    },
    /// `f(x)`.
    Activate {
        /// Which function.
        function: Activation,
    },
    /// `f(gate) * up`; inputs are gate and up.
    Glu {
        /// Which function.
        function: Activation,
    },
    /// Keeps the rows whose logits are wanted; everything after it runs on those rows only.
    SelectRows,
}

/// Which two values of a head a rotation turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RopeStyle {
    /// `i` and `i + n/2` (GPT-NeoX, Hugging Face checkpoints).
    Neox,
    /// `2i` and `2i + 1` (the original paper, GGUF files of the Llama family).
    Interleaved,
}

/// An elementwise function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x * sigmoid(x)`.
    Silu,
    /// `x * Phi(x)`, exact.
    Gelu,
    /// The tanh approximation of [`Activation::Gelu`].
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

const fn one() -> usize {
    1
}

impl Op {
    /// Names on the wire, in the order of the variants.
    pub const NAMES: [&'static str; 12] = [
        "embed",
        "linear",
        "rms_norm",
        "rope",
        "attention",
        "add",
        "mul",
        "scale",
        "softcap",
        "activate",
        "glu",
        "select_rows",
    ];

    /// Whether this build's opset has an op of that name.
    #[must_use]
    pub fn is_known(name: &str) -> bool {
        Self::NAMES.contains(&name)
    }

    /// The op's name on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        let index = match self {
            Self::Embed { .. } => 0,
            Self::Linear { .. } => 1,
            Self::RmsNorm { .. } => 2,
            Self::Rope { .. } => 3,
            Self::Attention { .. } => 4,
            Self::Add => 5,
            Self::Mul => 6,
            Self::Scale { .. } => 7,
            Self::Softcap { .. } => 8,
            Self::Activate { .. } => 9,
            Self::Glu { .. } => 10,
            Self::SelectRows => 11,
        };
        Self::NAMES[index]
    }

    /// The weights the op reads.
    pub fn weights(&self) -> impl Iterator<Item = WeightId> {
        let (first, second) = match self {
            Self::Embed { weight } | Self::RmsNorm { weight, .. } => (Some(*weight), None),
            Self::Linear { weight, bias } => (Some(*weight), *bias),
            _ => (None, None),
        };
        first.into_iter().chain(second)
    }
}
