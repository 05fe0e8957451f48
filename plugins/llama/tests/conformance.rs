//! The testkit's suite, and what the family's switches change.

use plugin_api::graph::Op;
use plugin_api::{Architecture, CheckpointInfo, CheckpointView};
use plugin_llama::Llama;
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
