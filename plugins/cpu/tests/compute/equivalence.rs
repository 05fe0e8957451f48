//! Two ways to say the same model give the same bits: a graph and its simplified form, a rounding
//! dtype and its dequantized weights, weights in memory and weights read on demand.

use crate::dtypes;
use crate::model::{CONTEXT, DecoderShape, Mixture, Model};
use crate::rng::Rng;
use crate::runner::{LIMITS, Runner, Setup, Wanted, bits, solo};
use graph::{Graph, Node, Op};
use plugin_api::{Compute, DtypeLookup, RowSource, WeightData};
use plugin_cpu::Cpu;
use std::ops::Range;

fn logits(model: &Model) -> Vec<Vec<u32>> {
    let tokens = Rng(9).tokens(40, model.graph.vocab_size);
    bits(&solo(model, Setup::PLAIN, &tokens, 16))
}

/// Puts a node that reads `input` at place `at`; later nodes that read `input` read it instead if
/// `replaces`.
fn insert(graph: &mut Graph, at: usize, op: Op, input: usize, replaces: bool) {
    graph.nodes.insert(at, Node { op, inputs: vec![input] });
    for node in &mut graph.nodes[at + 1..] {
        for read in &mut node.inputs {
            if replaces && *read == input {
                *read = at;
            } else if *read >= at {
                *read += 1;
            }
        }
    }
}

#[test]
fn a_simplified_graph_gives_the_same_bits() {
    let mut model = DecoderShape::SMALL.build();
    let expected = logits(&model);
    let dead = model.weight(&[24, DecoderShape::SMALL.width], "f32");
    insert(&mut model.graph, 1, Op::Scale { by: 1.0 }, 0, true);
    insert(&mut model.graph, 2, Op::Linear { weight: dead, bias: None }, 1, false);
    assert!(logits(&model) == expected, "the padded graph is the same model");

    let padded = model.graph.clone();
    model.graph = graph::simplify(&padded);
    assert_eq!(model.graph.nodes.len() + 2, padded.nodes.len());
    assert_eq!(model.graph.weights.len() + 1, padded.weights.len());
    let kept = |tensor: &str| padded.weights.iter().position(|weight| weight.tensor == tensor);
    let data = model
        .graph
        .weights
        .iter()
        .map(|weight| model.data[kept(&weight.tensor).expect("a pass only removes weights")]);
    model.data = data.collect();
    assert!(logits(&model) == expected, "the simplified graph is the same model");
}

#[test]
fn small_matrices_of_a_rounding_dtype_are_multiplied_exactly() {
    let mut model = DecoderShape { dtype: "q4_0", ..DecoderShape::SMALL }.build();
    let found = logits(&model);
    for (data, values) in model.data.iter_mut().zip(&model.values) {
        let bytes: Vec<u8> =
            values.iter().flat_map(|value| (*value as f32).to_le_bytes()).collect();
        *data = WeightData::new(bytes.leak(), "f32");
    }
    assert!(found == logits(&model));
}

#[test]
fn weights_that_are_read_on_demand_give_the_same_bits() {
    let mut model = DecoderShape { dtype: "q8_0", ..DecoderShape::SMALL }.build();
    // Positions, so that a table is read that no matrix shares.
    let weight = model.weight(&[CONTEXT, DecoderShape::SMALL.width], "f16");
    let capped = model.graph.nodes.len() - 1;
    let positions = model.node(Op::EmbedPosition { weight }, &[]);
    let positions = model.node(Op::SelectRows, &[positions]);
    let mixed = model.moe(positions, 40, Mixture { dtype: "octet", ..Mixture::SMALL });
    let logits = model.linear(mixed, DecoderShape::SMALL.vocab_size, "f32");
    model.node(Op::Add, &[capped, logits]);
    let expected = self::logits(&model);

    let data = model.data.clone();
    let read = |index: usize, rows: Range<usize>, dst: &mut [u8]| {
        let row_bytes = data[index].bytes.len() / row_count(&model.graph.weights[index].shape);
        dst.copy_from_slice(&data[index].bytes[rows.start * row_bytes..rows.end * row_bytes]);
        Ok(())
    };
    let mut options = Setup::PLAIN.options(&model, DtypeLookup::new(&dtypes::find));
    options.weights.iter_mut().for_each(|data| data.bytes = &[]);
    options.rows = RowSource::new(&read);
    let session = Cpu::create(options).expect("a session");
    let mut runner = Runner::of(session, &model, LIMITS, 1);
    let tokens = runner.add(&Rng(9).tokens(40, model.graph.vocab_size));
    assert!(bits(&runner.step(&[(tokens, 40, Wanted::Every)])) == expected);
}

fn row_count(shape: &[usize]) -> usize {
    shape[..shape.len() - 1].iter().product()
}
