//! The opset: every operation a graph may use, with the meaning of its attributes.
//!
//! Operations are those of language models, not of a tensor library: a compute plugin can give
//! each its best kernel. Rows are independent in all of them but `attention` and `pool`.

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
    /// Row of the matrix for each token's position: learned positions (BERT).
    EmbedPosition {
        /// Matrix `[positions, width]`, with a row for every position of the context.
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
    /// `(x - mean) / sqrt(variance + eps) * weight + bias` (Ba, Kiros and Hinton, 2016).
    LayerNorm {
        /// Vector `[width]`.
        weight: WeightId,
        /// Vector `[width]`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bias: Option<WeightId>,
        /// Added to the variance.
        eps: f32,
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
    /// step's k and v first. Then the row at position p attends to positions
    /// `p - window + 1 ..= p`, or without `causal` to every position of its sequence that is less
    /// than `window` away, on either side.
    Attention {
        /// Query heads; each of the cache's heads serves `heads / kv_heads` of them.
        heads: usize,
        /// Index into [`crate::Graph::caches`].
        cache: usize,
        /// Factor on the dot products.
        scale: f32,
        /// Whether a row sees no later position. A graph that says no needs every sequence whole
        /// in one step.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        causal: bool,
        /// Positions a row sees on a side, itself included; none is all of them.
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
    /// `x + bias`, the same vector on every row.
    Bias {
        /// Vector `[width]`.
        weight: WeightId,
    },
    /// `a * s`, where `s` has one value in a row.
    ScaleRows,
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
    /// A mixture of experts (Shazeer et al., 2017), each `down(f(gate x) * up x)`; inputs are x and
    /// a score for each expert. Of the softmax of a row's scores the `top_k` largest weigh the
    /// outputs of their experts; of equal ones the expert of the lower number is larger.
    Moe {
        /// The experts, in the order of the scores.
        experts: Vec<Expert>,
        /// Experts of a row.
        top_k: usize,
        /// `f`.
        function: Activation,
        /// Whether the weights are divided by their sum.
        normalize: bool,
        /// Factor on the weights.
        #[serde(default = "unity")]
        scale: f32,
    },
    /// The values of all inputs, one input after the other.
    Concat,
    /// Keeps the rows whose answers are wanted; everything after it runs on those rows only.
    SelectRows,
    /// As [`Op::SelectRows`], but a row becomes one value for its whole sequence. Every sequence
    /// must be whole in one step.
    Pool {
        /// How.
        how: Pooling,
    },
    /// `x / max(|x|, eps)`, `|x|` being the root of the sum of squares.
    Normalize {
        /// Least divisor.
        eps: f32,
    },
}

/// The matrices of one expert of [`Op::Moe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expert {
    /// Matrix `[inner, width]`.
    pub gate: WeightId,
    /// Matrix `[inner, width]`.
    pub up: WeightId,
    /// Matrix `[width, inner]`.
    pub down: WeightId,
}

/// How the rows of a sequence become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// The first of them (BERT's `[CLS]`).
    First,
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
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

const fn one() -> usize {
    1
}

const fn unity() -> f32 {
    1.0
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_yes(value: &bool) -> bool {
    *value
}

/// Gives each op its name on the wire.
macro_rules! names {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        impl Op {
            /// Names on the wire, in the order of the variants.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The op's name on the wire.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $name),+
                }
            }
        }
    };
}

names! {
    Embed = "embed",
    EmbedPosition = "embed_position",
    Linear = "linear",
    RmsNorm = "rms_norm",
    LayerNorm = "layer_norm",
    Rope = "rope",
    Attention = "attention",
    Add = "add",
    Mul = "mul",
    Bias = "bias",
    ScaleRows = "scale_rows",
    Scale = "scale",
    Softcap = "softcap",
    Activate = "activate",
    Glu = "glu",
    Moe = "moe",
    Concat = "concat",
    SelectRows = "select_rows",
    Pool = "pool",
    Normalize = "normalize",
}

impl Op {
    /// Whether this build's opset has an op of that name.
    #[must_use]
    pub fn is_known(name: &str) -> bool {
        Self::NAMES.contains(&name)
    }

    /// The weights the op reads.
    #[must_use]
    pub fn weights(&self) -> Vec<WeightId> {
        let mut weights = Vec::new();
        // One list of an op's weights serves reading and renumbering.
        self.clone().for_each_weight(|weight| weights.push(*weight));
        weights
    }

    /// Calls `change` with each weight the op reads.
    pub(crate) fn for_each_weight(&mut self, mut change: impl FnMut(&mut WeightId)) {
        match self {
            Self::Embed { weight }
            | Self::EmbedPosition { weight }
            | Self::RmsNorm { weight, .. }
            | Self::Bias { weight } => change(weight),
            Self::Linear { weight, bias } | Self::LayerNorm { weight, bias, .. } => {
                change(weight);
                bias.iter_mut().for_each(change);
            }
            Self::Moe { experts, .. } => {
                for Expert { gate, up, down } in experts {
                    [gate, up, down].into_iter().for_each(&mut change);
                }
            }
            Self::Rope { .. }
            | Self::Attention { .. }
            | Self::Add
            | Self::Mul
            | Self::ScaleRows
            | Self::Scale { .. }
            | Self::Softcap { .. }
            | Self::Activate { .. }
            | Self::Glu { .. }
            | Self::Concat
            | Self::SelectRows
            | Self::Pool { .. }
            | Self::Normalize { .. } => {}
        }
    }

    /// The weights the op multiplies as matrices, and could multiply in any dtype.
    #[must_use]
    pub fn matrices(&self) -> Vec<WeightId> {
        match self {
            Self::Linear { weight, .. } => vec![*weight],
            Self::Moe { .. } => self.weights(),
            _ => Vec::new(),
        }
    }
}
