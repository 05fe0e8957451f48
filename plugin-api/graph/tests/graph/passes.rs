//! Passes: what the logits do not need goes, what something reads stays and keeps its place.

use crate::{tiny, weight};
use graph::{
    Activation, Expert, Graph, GraphError, LongRope, Node, Op, Weight, fold_rope_divisors, observe,
    simplify,
};

#[test]
fn simplify_drops_what_the_logits_do_not_need() {
    let mut graph = tiny();
    graph.weights.insert(1, weight("dead", &[4, 8]));
    for node in &mut graph.nodes {
        match &mut node.op {
            Op::Linear { weight, .. } | Op::RmsNorm { weight, .. } if *weight > 0 => *weight += 1,
            _ => {}
        }
    }
    graph.nodes.insert(1, Node { op: Op::Linear { weight: 1, bias: None }, inputs: vec![0] });
    graph.nodes.insert(2, Node { op: Op::Scale { by: 1.0 }, inputs: vec![0] });
    for node in &mut graph.nodes[3..] {
        node.inputs.iter_mut().for_each(|input| *input = if *input == 0 { 2 } else { *input + 2 });
    }
    graph.widths().expect("still valid");
    assert_eq!(simplify(&graph), tiny());
}

#[test]
fn simplify_keeps_what_a_rope_table_and_experts_read() {
    let mut graph = tiny();
    graph.weights.insert(1, weight("dead", &[8]));
    graph.weights.extend([weight("short", &[2]), weight("long", &[2]), weight("up", &[6, 8])]);
    graph.weights.extend([weight("down", &[8, 6]), weight("scores", &[1, 8])]);
    graph.rope_tables[0].divisors = Some(4);
    let frequencies = vec![1.0, 0.1];
    graph.rope_tables[0].long = Some(LongRope { above: 8, frequencies, divisors: Some(5) });
    graph.nodes[1].op = Op::Linear { weight: 2, bias: None };
    graph.nodes[6].op = Op::LayerNorm { weight: 3, bias: None, eps: 1e-5 };
    let experts = vec![Expert { gate: 6, up: 6, down: 7 }];
    let function = Activation::Silu;
    let moe = Op::Moe { experts, top_k: 1, function, normalize: false, scale: 1.0 };
    graph.nodes.insert(7, Node { op: Op::Linear { weight: 8, bias: None }, inputs: vec![6] });
    graph.nodes.insert(8, Node { op: moe, inputs: vec![6, 7] });
    graph.nodes[9].inputs = vec![8];
    graph.widths().expect("valid");

    let simple = simplify(&graph);
    simple.widths().expect("still valid");
    let roles: Vec<_> = simple.weights.iter().map(|weight| weight.role.as_str()).collect();
    assert_eq!(roles, ["embed", "q", "norm", "short", "long", "up", "down", "scores"]);
    assert_eq!(simple.rope_tables[0].divisors().collect::<Vec<_>>(), [3, 4]);
    assert_eq!(simple.nodes[8].op.weights(), [5, 5, 6]);
}

#[test]
fn rope_divisors_are_folded_into_the_frequencies() {
    let mut graph = tiny();
    graph.weights.extend([weight("short", &[2]), weight("long", &[2])]);
    graph.rope_tables[0].divisors = Some(3);
    let frequencies = vec![1.0, 0.1];
    graph.rope_tables[0].long = Some(LongRope { above: 8, frequencies, divisors: Some(4) });
    graph.widths().expect("valid");
    let read = |weight: &Weight| match weight.role.as_str() {
        "short" => Ok::<_, GraphError>(vec![1.0, 4.0]),
        _ => Ok(vec![2.0, 8.0]),
    };
    let mut folded = graph.clone();
    fold_rope_divisors(&mut folded, read).expect("positive");
    let table = &folded.rope_tables[0];
    assert_eq!(table.frequencies, [1.0, 0.1 / 4.0]);
    let long = LongRope { above: 8, frequencies: vec![0.5, 0.1 / 8.0], divisors: None };
    assert_eq!(table.long, Some(long));
    assert_eq!(table.divisors().count(), 0);
    assert_eq!(folded.weights.len(), 3);
    let zero_when_long = |weight: &Weight| {
        let second = if weight.role == "long" { 0.0 } else { 1.0 };
        Ok::<_, GraphError>(vec![1.0, second])
    };
    let error = fold_rope_divisors(&mut graph, zero_when_long).expect_err("a divisor of 0");
    assert!(error.to_string().contains("t.long: divisor 0 is not a positive number"), "{error}");
}

#[test]
fn an_observing_twin_answers_with_the_inputs_of_every_matrix() {
    let graph = tiny();
    let (twin, observed) = observe(&graph).expect("it has matrices");
    let twin = simplify(&twin);
    let widths = twin.widths().expect("valid");
    assert_eq!(widths.width.last(), Some(&16), "the input of q, and that of the output");
    let found: Vec<_> = observed.iter().map(|o| (o.weights.clone(), o.columns.clone())).collect();
    assert_eq!(found, [(vec![1], 0..8), (vec![0], 8..16)]);
    assert!(twin.nodes.iter().all(|node| node.op != Op::Linear { weight: 0, bias: None }));
    let json = twin.to_json().expect("finite");
    assert_eq!(Graph::from_json(&json).expect("a graph like any other"), twin);
}
