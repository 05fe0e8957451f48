//! The standard names of a decoder's tensors in both naming schemes.
//!
//! An architecture plugin lists only its exceptions; `{}` stands for the layer, and `{expert}` for
//! the expert where each has a tensor of its own.

use crate::{CheckpointView, Scheme};

/// Role in the graph, name in Hugging Face checkpoints, name in GGUF files.
const STANDARD: &[[&str; 3]] = &[
    ["embed", "model.embed_tokens.weight", "token_embd.weight"],
    ["output_norm", "model.norm.weight", "output_norm.weight"],
    ["output", "lm_head.weight", "output.weight"],
    ["output_norm_bias", "model.norm.bias", "output_norm.bias"],
    ["rope_divisors", "-", "rope_freqs.weight"],
    ["rope_short_divisors", "-", "rope_factors_short.weight"],
    ["rope_long_divisors", "-", "rope_factors_long.weight"],
    ["attn_norm", "model.layers.{}.input_layernorm.weight", "blk.{}.attn_norm.weight"],
    ["attn_norm_bias", "model.layers.{}.input_layernorm.bias", "blk.{}.attn_norm.bias"],
    ["attn_q", "model.layers.{}.self_attn.q_proj.weight", "blk.{}.attn_q.weight"],
    ["attn_k", "model.layers.{}.self_attn.k_proj.weight", "blk.{}.attn_k.weight"],
    ["attn_v", "model.layers.{}.self_attn.v_proj.weight", "blk.{}.attn_v.weight"],
    ["attn_qkv", "model.layers.{}.self_attn.qkv_proj.weight", "blk.{}.attn_qkv.weight"],
    ["attn_q_bias", "model.layers.{}.self_attn.q_proj.bias", "blk.{}.attn_q.bias"],
    ["attn_k_bias", "model.layers.{}.self_attn.k_proj.bias", "blk.{}.attn_k.bias"],
    ["attn_v_bias", "model.layers.{}.self_attn.v_proj.bias", "blk.{}.attn_v.bias"],
    ["attn_q_norm", "model.layers.{}.self_attn.q_norm.weight", "blk.{}.attn_q_norm.weight"],
    ["attn_k_norm", "model.layers.{}.self_attn.k_norm.weight", "blk.{}.attn_k_norm.weight"],
    ["attn_output", "model.layers.{}.self_attn.o_proj.weight", "blk.{}.attn_output.weight"],
    ["attn_output_bias", "model.layers.{}.self_attn.o_proj.bias", "blk.{}.attn_output.bias"],
    [
        "attn_post_norm",
        "model.layers.{}.post_attention_layernorm.weight",
        "blk.{}.post_attention_norm.weight",
    ],
    ["ffn_norm", "model.layers.{}.post_attention_layernorm.weight", "blk.{}.ffn_norm.weight"],
    ["ffn_norm_bias", "model.layers.{}.post_attention_layernorm.bias", "blk.{}.ffn_norm.bias"],
    ["ffn_gate", "model.layers.{}.mlp.gate_proj.weight", "blk.{}.ffn_gate.weight"],
    ["ffn_up", "model.layers.{}.mlp.up_proj.weight", "blk.{}.ffn_up.weight"],
    ["ffn_down", "model.layers.{}.mlp.down_proj.weight", "blk.{}.ffn_down.weight"],
    ["ffn_gate_up", "model.layers.{}.mlp.gate_up_proj.weight", "blk.{}.ffn_up.weight"],
    ["ffn_gate_bias", "model.layers.{}.mlp.gate_proj.bias", "blk.{}.ffn_gate.bias"],
    ["ffn_up_bias", "model.layers.{}.mlp.up_proj.bias", "blk.{}.ffn_up.bias"],
    ["ffn_down_bias", "model.layers.{}.mlp.down_proj.bias", "blk.{}.ffn_down.bias"],
    [
        "ffn_post_norm",
        "model.layers.{}.post_feedforward_layernorm.weight",
        "blk.{}.post_ffw_norm.weight",
    ],
    ["expert_scores", "model.layers.{}.mlp.gate.weight", "blk.{}.ffn_gate_inp.weight"],
    [
        "expert_gate",
        "model.layers.{}.mlp.experts.{expert}.gate_proj.weight",
        "blk.{}.ffn_gate_exps.weight",
    ],
    [
        "expert_up",
        "model.layers.{}.mlp.experts.{expert}.up_proj.weight",
        "blk.{}.ffn_up_exps.weight",
    ],
    [
        "expert_down",
        "model.layers.{}.mlp.experts.{expert}.down_proj.weight",
        "blk.{}.ffn_down_exps.weight",
    ],
    [
        "shared_scale",
        "model.layers.{}.mlp.shared_expert_gate.weight",
        "blk.{}.ffn_gate_inp_shexp.weight",
    ],
    [
        "shared_gate",
        "model.layers.{}.mlp.shared_expert.gate_proj.weight",
        "blk.{}.ffn_gate_shexp.weight",
    ],
    ["shared_up", "model.layers.{}.mlp.shared_expert.up_proj.weight", "blk.{}.ffn_up_shexp.weight"],
    [
        "shared_down",
        "model.layers.{}.mlp.shared_expert.down_proj.weight",
        "blk.{}.ffn_down_shexp.weight",
    ],
];

/// Stands for the name of a tensor that a scheme has not.
const NO_NAME: &str = "-";

/// The embedding's name in Hugging Face checkpoints without the model's own.
const INNER_EMBED: &str = "embed_tokens.weight";

/// Name that a GGUF file has for the tensor with that role, if it has one.
pub(crate) fn gguf_name(
    exceptions: &[[&'static str; 3]],
    role: &str,
    layer: Option<usize>,
) -> Option<String> {
    Some(name_in(exceptions, Scheme::Gguf, role, layer)).filter(|name| name != NO_NAME)
}

/// Name of the tensor with that role in a scheme, exceptions first.
fn name_in(
    exceptions: &[[&'static str; 3]],
    scheme: Scheme,
    role: &str,
    layer: Option<usize>,
) -> String {
    let names = exceptions.iter().chain(STANDARD).find(|names| names[0] == role);
    let [_, hf, gguf] = names.copied().unwrap_or(["", NO_NAME, NO_NAME]);
    let name = match scheme {
        Scheme::Hf => hf,
        Scheme::Gguf => gguf,
    };
    layer.map_or_else(|| name.to_owned(), |layer| name.replace("{}", &layer.to_string()))
}

/// Name of the tensor with that role in the checkpoint.
pub(crate) fn tensor_name(
    exceptions: &[[&'static str; 3]],
    checkpoint: &CheckpointView,
    role: &str,
    layer: Option<usize>,
) -> String {
    let name = name_in(exceptions, checkpoint.scheme(), role, layer);
    // A model saved without its output matrix lacks the first part of every name.
    let first = "model.";
    let has = |name: &str| checkpoint.tensor(&checkpoint.tensor_name(name)).is_some();
    match name.strip_prefix(first) {
        Some(rest) if has(INNER_EMBED) && !has(&format!("{first}{INNER_EMBED}")) => {
            checkpoint.tensor_name(rest)
        }
        _ => checkpoint.tensor_name(&name),
    }
}
