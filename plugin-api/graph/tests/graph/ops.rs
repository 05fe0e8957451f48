//! What each operation asks of its inputs and weights.

use crate::{check_refused, tiny, weight};
use graph::{Activation, Expert, Graph, LongRope, Node, Op, Output, Pooling};

/// Puts `op` between the selected rows and their norm; `inputs` are values of [`tiny`], of which 5
/// is selected and 8 wide.
fn insert(graph: &mut Graph, op: Op, inputs: &[usize]) {
    graph.nodes.insert(6, Node { op, inputs: inputs.to_vec() });
    for node in &mut graph.nodes[7..] {
        node.inputs.iter_mut().for_each(|input| *input += 1);
    }
}

/// A column of one value for each selected row, as node 6.
fn insert_column(graph: &mut Graph) {
    graph.weights.push(weight("column", &[1, 8]));
    insert(graph, Op::Linear { weight: graph.weights.len() - 1, bias: None }, &[5]);
}

fn check_valid(change: impl FnOnce(&mut Graph)) -> Graph {
    let mut graph = tiny();
    change(&mut graph);
    graph.widths().expect("valid");
    graph
}

#[test]
fn norms_need_a_weight_as_wide_as_the_row() {
    let layer = |weight, bias| Op::LayerNorm { weight, bias, eps: 1e-5 };
    check_valid(|g| g.nodes[6].op = layer(2, None));
    check_valid(|g| g.nodes[6].op = layer(2, Some(2)));
    check_refused(|g| g.nodes[6].op = layer(1, None), "(layer_norm): a vector expected");
    check_refused(|g| g.nodes[6].op = layer(2, Some(9)), "no weight 9");
    check_refused(
        |g| {
            g.weights.push(weight("bias", &[4]));
            g.nodes[6].op = layer(2, Some(3));
        },
        "length of the bias: 8 expected, 4 found",
    );
    check_refused(
        |g| g.nodes[6].op = Op::LayerNorm { weight: 2, bias: None, eps: f32::NAN },
        "eps is NaN",
    );
    let grouped = |groups| Op::RmsNorm { weight: 2, eps: 1e-5, groups, weight_add: 0.0 };
    check_refused(|g| g.nodes[6].op = grouped(0), "8 cannot be split into 0");
    check_refused(|g| g.nodes[6].op = grouped(2), "length of the weight: 4 expected, 8");
}

#[test]
fn learned_positions_cover_the_context() {
    let positions = |g: &mut Graph, rows: usize| {
        g.weights.push(weight("positions", &[rows, 8]));
        g.nodes[1] = Node { op: Op::EmbedPosition { weight: 3 }, inputs: vec![] };
    };
    check_valid(|g| positions(g, 16));
    check_valid(|g| positions(g, 17));
    check_refused(|g| positions(g, 15), "15 rows, one for each of 16 positions expected");
    check_refused(
        |g| {
            positions(g, 16);
            g.nodes[1].inputs = vec![0];
        },
        "0 inputs expected, 1 found",
    );
}

#[test]
fn a_vector_is_added_to_every_row() {
    check_valid(|g| insert(g, Op::Bias { weight: 2 }, &[5]));
    check_refused(|g| insert(g, Op::Bias { weight: 1 }, &[5]), "(bias): a vector expected");
    check_refused(|g| insert(g, Op::Bias { weight: 2 }, &[5, 5]), "1 inputs expected, 2");
    // A vector among the rows of a matrix is one row of it.
    check_valid(|g| {
        g.weights[2].rows = Some([1, 2]);
        insert(g, Op::Bias { weight: 2 }, &[5]);
    });
}

#[test]
fn rows_are_scaled_by_one_value_each() {
    check_valid(|g| {
        insert_column(g);
        g.nodes.insert(7, Node { op: Op::ScaleRows, inputs: vec![5, 6] });
        g.nodes[8].inputs = vec![7];
        g.nodes[9].inputs = vec![8];
    });
    check_refused(
        |g| insert(g, Op::ScaleRows, &[5, 5]),
        "width of the second input: 1 expected, 8",
    );
    check_refused(|g| insert(g, Op::ScaleRows, &[5]), "2 inputs expected, 1 found");
}

fn moe(experts: &[[usize; 3]], top_k: usize) -> Op {
    let experts = experts.iter().map(|&[gate, up, down]| Expert { gate, up, down }).collect();
    Op::Moe { experts, top_k, function: Activation::Silu, normalize: true, scale: 1.0 }
}

#[test]
fn experts_have_one_shape_and_a_score_each() {
    let mixture = |g: &mut Graph, op: Op| {
        insert_column(g);
        g.weights.extend([weight("up", &[6, 8]), weight("down", &[8, 6]), weight("odd", &[7, 8])]);
        g.nodes.insert(7, Node { op, inputs: vec![5, 6] });
        g.nodes[8].inputs = vec![7];
        g.nodes[9].inputs = vec![8];
    };
    let (up, down, odd) = (4, 5, 6);
    let graph = check_valid(|g| mixture(g, moe(&[[up, up, down]], 1)));
    assert_eq!(graph.nodes[7].op.matrices(), [up, up, down]);
    let check = |experts: &[[usize; 3]], top_k: usize, expected: &str| {
        check_refused(|g| mixture(g, moe(experts, top_k)), expected);
    };
    check(&[[up, up, down]; 2], 1, "(moe): scores: 2 expected, 1 found");
    check(&[], 1, "scores: 0 expected, 1 found");
    check(&[[up, up, down]], 0, "0 experts a row out of 1");
    check(&[[up, up, down]], 2, "2 experts a row out of 1");
    check(&[[up, odd, down]], 1, "up of an expert: shape [6, 8] expected, [7, 8]");
    check(&[[up, up, up]], 1, "down of an expert: shape [8, 6] expected, [6, 8]");
    check(&[[up, up, 2]], 1, "a matrix expected, shape [8] found");
    check(&[[up, up, 99]], 1, "no weight 99");
    check_refused(
        |g| {
            let Op::Moe { experts, .. } = moe(&[[up, up, down]], 1) else { unreachable!("a moe") };
            let (function, scale) = (Activation::Silu, f32::INFINITY);
            mixture(g, Op::Moe { experts, top_k: 1, function, normalize: false, scale });
        },
        "scale is inf",
    );
}

#[test]
fn concatenated_values_are_as_wide_as_their_sum() {
    let graph = check_valid(|g| {
        g.weights.push(weight("wide", &[8, 24]));
        insert(g, Op::Concat, &[5, 5, 5]);
        g.nodes.insert(7, Node { op: Op::Linear { weight: 3, bias: None }, inputs: vec![6] });
        g.nodes[8].inputs = vec![7];
        g.nodes[9].inputs = vec![8];
    });
    assert_eq!(graph.widths().expect("valid").width[6], 24);
    check_refused(|g| insert(g, Op::Concat, &[]), "(concat): 1 inputs expected, 0 found");
    check_refused(|g| insert(g, Op::Concat, &[4, 5]), "mixes selected rows with all rows");
}

#[test]
fn an_embedding_is_pooled_once_and_as_wide_as_it_likes() {
    let pooled = |g: &mut Graph| {
        g.output = Output::Embedding;
        g.nodes[5].op = Op::Pool { how: Pooling::Mean };
        g.nodes[7].op = Op::Normalize { eps: 1e-12 };
    };
    let graph = check_valid(pooled);
    assert!(graph.needs_whole_sequences());
    assert_eq!(graph.widths().expect("valid").width.last(), Some(&8));
    check_refused(
        |g| {
            pooled(g);
            g.output = Output::Logits;
        },
        "the last node has width 8, the vocabulary 10",
    );
    check_refused(
        |g| {
            pooled(g);
            g.nodes[6] = Node { op: Op::Pool { how: Pooling::First }, inputs: vec![5] };
        },
        "node 6 (pool): rows are selected already",
    );
    check_refused(
        |g| {
            pooled(g);
            g.nodes[7].op = Op::Normalize { eps: f32::INFINITY };
        },
        "eps is inf",
    );
    check_refused(
        |g| {
            pooled(g);
            g.nodes.swap(3, 5);
            g.nodes[3].inputs = vec![2];
            g.nodes[5].inputs = vec![3, 3, 3];
        },
        "mixes selected rows with all rows",
    );
}

#[test]
fn attention_to_both_sides_needs_whole_sequences() {
    let change = |g: &mut Graph, value: Option<usize>, cap: Option<f32>| {
        if let Op::Attention { causal, window, softcap, .. } = &mut g.nodes[3].op {
            (*causal, *window, *softcap) = (false, value, cap);
        }
    };
    assert!(!tiny().needs_whole_sequences());
    assert!(check_valid(|g| change(g, Some(5), None)).needs_whole_sequences());
    check_refused(|g| change(g, Some(0), None), "a window of 0 positions");
    check_refused(|g| change(g, None, Some(f32::NAN)), "softcap is NaN");
}

#[test]
fn longer_sequences_have_as_many_frequencies_at_one_length() {
    let long = |above, frequencies: &[f32], divisors| {
        Some(LongRope { above, frequencies: frequencies.to_vec(), divisors })
    };
    assert_eq!(tiny().long_above(), None);
    let graph = check_valid(|g| g.rope_tables[0].long = long(8, &[0.5, 0.05], None));
    assert_eq!(graph.long_above(), Some(8));
    check_refused(
        |g| g.rope_tables[0].long = long(8, &[0.5], None),
        "rope table 0: 2 frequencies, but 1 for long sequences",
    );
    check_refused(
        |g| g.rope_tables[0].long = long(8, &[0.5, f32::INFINITY], None),
        "rope table 0: inf is among its numbers",
    );
    check_refused(|g| g.rope_tables[0].magnitude = f32::NAN, "NaN is among its numbers");
    check_refused(
        |g| g.rope_tables[0].long = long(8, &[0.5, 0.05], Some(2)),
        "rope table 0: 2 divisors expected, shape Some([8]) found",
    );
    check_refused(|g| g.rope_tables[0].divisors = Some(7), "2 divisors expected, shape None found");
    check_refused(
        |g| {
            g.rope_tables[0].long = long(8, &[0.5, 0.05], None);
            g.rope_tables.push(g.rope_tables[0].clone());
            g.rope_tables[1].long = long(9, &[0.5, 0.05], None);
        },
        "rope tables change at different lengths: [8, 9]",
    );
}
