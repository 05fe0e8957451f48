//! llama.cpp's mixes: more bits for the tensors that a model is most sensitive to.
//!
//! Each mix has a dtype for most matrices and exceptions by kind and layer; the choices are those of
//! `llama_tensor_get_type_impl` in llama.cpp's `llama-quant.cpp`, so that a file written here has
//! the tensors' types of a file written there. A mix does not look at shapes: what does not fit is
//! replaced afterwards.

use crate::model::{Kind, Model};

/// One of llama.cpp's file types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mix {
    Q2K,
    Q3KS,
    Q3KM,
    Q3KL,
    Q4KS,
    Q4KM,
    Q5KS,
    Q5KM,
    Q6K,
    Q40,
    Q41,
    Q50,
    Q51,
    Iq4Nl,
    Iq4Xs,
}

/// Every mix by its name.
pub(crate) const MIXES: &[(&str, Mix)] = &[
    ("q2_k_m", Mix::Q2K),
    ("q3_k_s", Mix::Q3KS),
    ("q3_k_m", Mix::Q3KM),
    ("q3_k_l", Mix::Q3KL),
    ("q4_k_s", Mix::Q4KS),
    ("q4_k_m", Mix::Q4KM),
    ("q5_k_s", Mix::Q5KS),
    ("q5_k_m", Mix::Q5KM),
    ("q6_k_m", Mix::Q6K),
    ("q4_0_m", Mix::Q40),
    ("q4_1_m", Mix::Q41),
    ("q5_0_m", Mix::Q50),
    ("q5_1_m", Mix::Q51),
    ("iq4_nl_m", Mix::Iq4Nl),
    ("iq4_xs_m", Mix::Iq4Xs),
];

/// Experts in the one size of mixture that llama.cpp gives more bits.
const EIGHT_EXPERTS: usize = 8;
/// Layers and heads for each key of the one size whose values are a small part of it.
const LARGE_LAYERS: usize = 80;
const LARGE_HEADS_PER_KV: usize = 8;

/// One tensor for a mix.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    mix: Mix,
    model: &'a Model,
    /// Number of the layer.
    layer: usize,
    importance: bool,
}

/// The dtype that `mix` gives tensor `index` of the model; `importance` says whether there is an
/// importance matrix.
pub(crate) fn dtype(mix: Mix, model: &Model, index: usize, importance: bool) -> &'static str {
    let place = Place { mix, model, layer: model.layers[index].unwrap_or(0), importance };
    let default = mix.default();
    match model.kinds[index] {
        Kind::Output => "q6_k",
        Kind::Value | Kind::QueryKeyValue => place.value(),
        Kind::Key if model.expert_count == EIGHT_EXPERTS => "q8_0",
        Kind::Down => place.down(),
        Kind::AttentionOutput => place.attention_output(),
        Kind::Embedding
        | Kind::Query
        | Kind::Key
        | Kind::Gate
        | Kind::Up
        | Kind::Other
        | Kind::Exact
        | Kind::Kept => default,
    }
}

impl Mix {
    /// The dtype of most matrices.
    pub(crate) fn default(self) -> &'static str {
        match self {
            Self::Q2K => "q2_k",
            Self::Q3KS | Self::Q3KM | Self::Q3KL => "q3_k",
            Self::Q4KS | Self::Q4KM => "q4_k",
            Self::Q5KS | Self::Q5KM => "q5_k",
            Self::Q6K => "q6_k",
            Self::Q40 => "q4_0",
            Self::Q41 => "q4_1",
            Self::Q50 => "q5_0",
            Self::Q51 => "q5_1",
            Self::Iq4Nl => "iq4_nl",
            Self::Iq4Xs => "iq4_xs",
        }
    }
}

impl Place<'_> {
    /// The matrix of values, alone or with query and key.
    fn value(self) -> &'static str {
        let index = self.model.value_index.get(&self.layer).copied().unwrap_or(0);
        let grouped = self.model.heads_per_kv >= 4;
        let dtype = match self.mix {
            Mix::Q2K if grouped => "q4_k",
            Mix::Q2K => "q3_k",
            Mix::Q3KM if index < 2 => "q5_k",
            Mix::Q3KM => "q4_k",
            Mix::Q3KL => "q5_k",
            Mix::Iq4Nl | Mix::Iq4Xs if grouped => "q5_k",
            Mix::Q4KM | Mix::Q5KM if more_bits(index, self.model.value_index.len()) => "q6_k",
            Mix::Q4KS if index < 4 => "q5_k",
            mix => mix.default(),
        };
        let large =
            self.model.layer_count == LARGE_LAYERS && self.model.heads_per_kv == LARGE_HEADS_PER_KV;
        match dtype {
            _ if self.model.expert_count == EIGHT_EXPERTS => "q8_0",
            "q3_k" | "q4_k" if large => "q5_k",
            dtype => dtype,
        }
    }

    /// The matrix at the end of the feed-forward part.
    fn down(self) -> &'static str {
        let (layer, layers) = (self.layer, self.model.layer_count);
        let first_eighth = layer < layers / 8;
        match self.mix {
            Mix::Q2K => "q3_k",
            Mix::Q3KM if layer < layers / 16 => "q5_k",
            Mix::Q3KM => "q4_k",
            Mix::Q3KL => "q5_k",
            Mix::Q4KM | Mix::Q5KM if more_bits(layer, layers) => "q6_k",
            Mix::Iq4Nl | Mix::Iq4Xs if first_eighth && !self.importance => "q5_k",
            Mix::Q4KS if first_eighth => "q5_k",
            Mix::Q40 if first_eighth && self.importance => "q4_1",
            Mix::Q50 if first_eighth && self.importance => "q5_1",
            mix => mix.default(),
        }
    }

    fn attention_output(self) -> &'static str {
        if self.model.expert_count == EIGHT_EXPERTS {
            return match self.mix {
                Mix::Q2K
                | Mix::Q3KS
                | Mix::Q3KM
                | Mix::Q4KS
                | Mix::Q4KM
                | Mix::Iq4Nl
                | Mix::Iq4Xs => "q5_k",
                mix => mix.default(),
            };
        }
        match self.mix {
            Mix::Q2K => "q3_k",
            Mix::Q3KM => "q4_k",
            Mix::Q3KL => "q5_k",
            mix => mix.default(),
        }
    }
}

/// The layers that get more bits: the first and the last eighth, and every third between.
fn more_bits(layer: usize, layers: usize) -> bool {
    layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2
}
