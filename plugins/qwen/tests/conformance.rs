//! The testkit's suite, and what tells the generations apart.

use plugin_api::graph::Op;
use plugin_api::{Architecture, CheckpointInfo, CheckpointView};
use plugin_qwen::{Qwen2, Qwen3};
use plugin_testkit::{DecoderCheckpoint, architecture};

/// Widths of the testkit's decoder.
fn widths() -> [usize; 3] {
    let info = DecoderCheckpoint::hf("-").info();
    let rows = |name: &str| {
        let found = info.tensors.iter().find(|tensor| tensor.name.ends_with(name));
        found.expect("the testkit's decoder has it").shape[0]
    };
    [rows("q_proj.weight"), rows("k_proj.weight"), rows("v_proj.weight")]
}

fn qwen2() -> DecoderCheckpoint {
    let [q, k, v] = widths();
    DecoderCheckpoint::hf("Qwen2ForCausalLM")
        .layer_tensor("self_attn.q_proj.bias", &[q])
        .layer_tensor("self_attn.k_proj.bias", &[k])
        .layer_tensor("self_attn.v_proj.bias", &[v])
}

fn qwen3() -> DecoderCheckpoint {
    let info = DecoderCheckpoint::hf("-").info();
    let heads = info.config["num_attention_heads"].as_u64().expect("a count");
    let head_dim = widths()[0] / usize::try_from(heads).expect("a small count");
    DecoderCheckpoint::hf("Qwen3ForCausalLM")
        .layer_tensor("self_attn.q_norm.weight", &[head_dim])
        .layer_tensor("self_attn.k_norm.weight", &[head_dim])
}

fn windows(info: &CheckpointInfo) -> Vec<Option<usize>> {
    let graph = Qwen2::build(&CheckpointView::new(info.clone())).expect("a graph");
    let window = |op: &Op| match op {
        Op::Attention { window, .. } => Some(*window),
        _ => None,
    };
    graph.nodes.iter().filter_map(|node| window(&node.op)).collect()
}

#[test]
fn both_generations_conform() {
    architecture::<Qwen2>(&qwen2().info());
    architecture::<Qwen3>(&qwen3().info());
}

#[test]
fn layers_from_the_switch_on_see_a_window() {
    let sliding = qwen2().config("sliding_window", 8.into()).config("max_window_layers", 2.into());
    assert_eq!(windows(&sliding.info()), [None; 3], "not asked for");
    let sliding = sliding.config("use_sliding_window", true.into());
    assert_eq!(windows(&sliding.info()), [None, None, Some(8)]);
}

#[test]
fn the_older_generation_needs_its_biases_and_the_newer_its_norms() {
    let plain = DecoderCheckpoint::hf("-").info();
    let error = Qwen2::build(&CheckpointView::new(plain.clone())).expect_err("no bias");
    assert!(error.message().contains("self_attn.q_proj.bias"), "{error}");
    let error = Qwen3::build(&CheckpointView::new(plain)).expect_err("no norm");
    assert!(error.message().contains("self_attn.q_norm.weight"), "{error}");
}
