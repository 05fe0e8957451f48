//! The testkit's suite, and the two twists of the family.

use plugin_api::graph::Op;
use plugin_api::{Activation, Architecture, CheckpointInfo, CheckpointView, Graph};
use plugin_hello::Hello;
use plugin_testkit::{DecoderCheckpoint, architecture};

fn checkpoint() -> DecoderCheckpoint {
    DecoderCheckpoint::hf("HelloForCausalLM")
}

fn graph(info: &CheckpointInfo) -> Graph {
    Hello::build(&CheckpointView::new(info.clone())).expect("a graph")
}

#[test]
fn it_conforms() {
    architecture::<Hello>(&checkpoint().info());
    architecture::<Hello>(&checkpoint().config("embedding_multiplier", 2.5.into()).info());
}

#[test]
fn embeddings_are_multiplied() {
    let scale = |info: &CheckpointInfo| {
        graph(info).nodes.iter().find_map(|node| match node.op {
            Op::Scale { by } => Some(by),
            _ => None,
        })
    };
    assert_eq!(scale(&checkpoint().info()), Some(48f32.sqrt()), "the square root of the width");
    let given = checkpoint().config("embedding_multiplier", 2.5.into());
    assert_eq!(scale(&given.info()), Some(2.5));
    let silly = CheckpointView::new(checkpoint().config("embedding_multiplier", 0.into()).info());
    let error = Hello::build(&silly).expect_err("a multiplier of 0 erases the input");
    assert_eq!(error.message(), "embedding_multiplier is 0, from 1e-6 to 1e6 expected");
}

#[test]
fn the_gate_is_gelu() {
    let gates = graph(&checkpoint().info())
        .nodes
        .iter()
        .filter(|node| matches!(node.op, Op::Glu { function: Activation::GeluTanh }))
        .count();
    assert_eq!(gates, 3, "one for each layer");
}
