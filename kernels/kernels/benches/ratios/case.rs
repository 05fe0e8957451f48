//! What is measured, and the names under which ratios are stored.
//!
//! A test reads this file too and holds the baseline against it, so it knows nothing of clocks.

use kernels::Dtype;
use kernels::attention::KvDtype;

/// One kernel and the shape it is measured with.
#[derive(Clone, Copy)]
pub(crate) enum Case {
    Matmul { dtype: &'static Dtype, tokens: usize },
    Attention { kv: KvDtype, phase: Phase },
    Row(RowOp),
    Input(&'static Dtype),
}

#[derive(Clone, Copy)]
pub(crate) enum Phase {
    Decode,
    Prefill,
}

/// An operation on rows between two matrix products.
#[derive(Clone, Copy)]
pub(crate) enum RowOp {
    Softmax,
    Softcap,
    SiluGlu,
    GeluTanhGlu,
    RmsNorm,
    LayerNorm,
    RopeNeox,
}

const ROW_OPS: [RowOp; 7] = [
    RowOp::Softmax,
    RowOp::Softcap,
    RowOp::SiluGlu,
    RowOp::GeluTanhGlu,
    RowOp::RmsNorm,
    RowOp::LayerNorm,
    RowOp::RopeNeox,
];

/// Every case.
pub(crate) fn all() -> Vec<Case> {
    let dtypes = || kernels::all();
    let matmuls =
        dtypes().flat_map(|dtype| [1, 8, 128].map(|tokens| Case::Matmul { dtype, tokens }));
    let attentions = [KvDtype::F32, KvDtype::F16, KvDtype::Bf16, KvDtype::Q8_0]
        .into_iter()
        .flat_map(|kv| [Phase::Decode, Phase::Prefill].map(|phase| Case::Attention { kv, phase }));
    let inputs = ["f32", "i8x32"]
        .into_iter()
        .filter_map(|format| dtypes().find(|dtype| dtype.input_format == format).map(Case::Input));
    matmuls.chain(attentions).chain(ROW_OPS.map(Case::Row)).chain(inputs).collect()
}

impl Case {
    pub(crate) fn name(&self) -> String {
        match self {
            Case::Matmul { dtype, tokens } => format!("matmul/{}/{tokens}", dtype.name),
            Case::Attention { kv, phase } => {
                let phase = match phase {
                    Phase::Decode => "decode",
                    Phase::Prefill => "prefill",
                };
                format!("attention/{}/{phase}", format!("{kv:?}").to_lowercase())
            }
            Case::Row(op) => {
                let name = match op {
                    RowOp::Softmax => "softmax",
                    RowOp::Softcap => "softcap",
                    RowOp::SiluGlu => "silu_glu",
                    RowOp::GeluTanhGlu => "gelu_tanh_glu",
                    RowOp::RmsNorm => "rms_norm",
                    RowOp::LayerNorm => "layer_norm",
                    RowOp::RopeNeox => "rope_neox",
                };
                format!("row/{name}")
            }
            Case::Input(dtype) => format!("input/{}", dtype.input_format),
        }
    }
}
