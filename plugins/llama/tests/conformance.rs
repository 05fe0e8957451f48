//! The testkit's suite, and what the family's switches change.

use plugin_api::graph::Op;
use plugin_api::{Architecture, CheckpointInfo, CheckpointView};
use plugin_llama::{Llama, Phi3};
use plugin_testkit::{DecoderCheckpoint, architecture};

fn checkpoint() -> DecoderCheckpoint {
    DecoderCheckpoint::hf("LlamaForCausalLM")
}

fn windows(info: &CheckpointInfo) -> Vec<Option<usize>> {
    let graph = Llama::build(&CheckpointView::new(info.clone())).expect("a graph");
    let window = |op: &Op| match op {
        Op::Attention { window, .. } => Some(*window),
        _ => None,
    };
    graph.nodes.iter().filter_map(|node| window(&node.op)).collect()
}

#[test]
fn it_conforms() {
    architecture::<Llama>(&checkpoint().info());
    architecture::<Phi3>(&phi3());
}

/// The testkit's decoder with tensors joined as Phi-3 has them.
fn phi3() -> CheckpointInfo {
    let info = DecoderCheckpoint::hf("-").info();
    let rows = |name: &str| {
        let found = info.tensors.iter().find(|tensor| tensor.name.ends_with(name));
        found.expect("the testkit's decoder has it").shape[0]
    };
    let [q, k, v] = ["q_proj", "k_proj", "v_proj"].map(|name| rows(&format!("{name}.weight")));
    let [gate, up, width] =
        ["gate_proj", "up_proj", "down_proj"].map(|name| rows(&format!("{name}.weight")));
    let mut info = DecoderCheckpoint::hf("Phi3ForCausalLM")
        .layer_tensor("self_attn.qkv_proj.weight", &[q + k + v, width])
        .layer_tensor("mlp.gate_up_proj.weight", &[gate + up, width])
        .info();
    let apart = [".q_proj.", ".k_proj.", ".v_proj.", ".gate_proj.", ".up_proj."];
    info.tensors.retain(|tensor| !apart.iter().any(|name| tensor.name.contains(name)));
    info
}

#[test]
fn joined_tensors_are_shared_out_by_rows() {
    let graph = Phi3::build(&CheckpointView::new(phi3())).expect("a graph");
    let rows = |name: &str| -> Vec<_> {
        let named = graph.weights.iter().filter(|weight| weight.tensor.contains(name));
        named.take(3).map(|weight| (weight.role.as_str(), weight.rows)).collect()
    };
    let expected = [
        ("layers.0.attn_q", Some([0, 48])),
        ("layers.0.attn_k", Some([48, 64])),
        ("layers.0.attn_v", Some([64, 80])),
    ];
    assert_eq!(rows("qkv_proj"), expected);
    let expected = [("layers.0.ffn_gate", Some([0, 80])), ("layers.0.ffn_up", Some([80, 160]))];
    assert_eq!(rows("layers.0.mlp.gate_up_proj"), expected);
}

#[test]
fn a_window_applies_to_every_layer() {
    assert_eq!(windows(&checkpoint().info()), [None; 3]);
    let mistral = checkpoint().config("sliding_window", 8.into());
    assert_eq!(windows(&mistral.info()), [Some(8); 3]);
}

#[test]
fn biases_are_asked_for_where_the_configuration_says() {
    let biased = checkpoint().config("attention_bias", true.into()).info();
    let error = Llama::build(&CheckpointView::new(biased)).expect_err("there is no bias tensor");
    assert!(error.message().contains("self_attn.q_proj.bias"), "{error}");
}
