//! Validation, passes and the JSON form of a graph.

use graph::{
    Activation, CacheSpec, Graph, GraphError, Node, OPSET, Op, Output, RopeStyle, RopeTable,
    Weight, fold_rope_divisors, simplify,
};

/// A one-layer model without a feed-forward part: vocabulary 10, width 8, 2 heads of 4.
fn tiny() -> Graph {
    let weight = |role: &str, shape: &[usize]| Weight {
        role: role.to_owned(),
        tensor: format!("t.{role}"),
        shape: shape.to_vec(),
        rows: None,
        gguf: None,
    };
    let node = |op, inputs: &[usize]| Node { op, inputs: inputs.to_vec() };
    let linear = |weight| Op::Linear { weight, bias: None };
    let rope = Op::Rope { heads: 2, table: 0, style: RopeStyle::Neox };
    let attention =
        Op::Attention { heads: 2, cache: 0, scale: 0.5, causal: true, window: None, softcap: None };
    Graph {
        opset: OPSET,
        architecture: "tiny".to_owned(),
        vocab_size: 10,
        context_length: 16,
        output: Output::Logits,
        weights: vec![weight("embed", &[10, 8]), weight("q", &[8, 8]), weight("norm", &[8])],
        caches: vec![CacheSpec { kv_heads: 2, head_dim: 4 }],
        rope_tables: vec![RopeTable {
            frequencies: vec![1.0, 0.1],
            magnitude: 1.0,
            divisors: None,
            long: None,
        }],
        nodes: vec![
            node(Op::Embed { weight: 0 }, &[]),
            node(linear(1), &[0]),
            node(rope, &[1]),
            node(attention, &[2, 2, 1]),
            node(Op::Add, &[0, 3]),
            node(Op::SelectRows, &[4]),
            node(Op::RmsNorm { weight: 2, eps: 1e-5, groups: 1, weight_add: 0.0 }, &[5]),
            node(linear(0), &[6]),
        ],
        gguf: None,
    }
}

fn check_refused(change: impl FnOnce(&mut Graph), expected: &str) {
    let mut graph = tiny();
    change(&mut graph);
    let message = graph.widths().expect_err("the graph is wrong").to_string();
    assert!(message.contains(expected), "`{message}` does not say `{expected}`");
}

#[test]
fn a_valid_graph_has_a_width_for_every_value() {
    let widths = tiny().widths().expect("valid");
    assert_eq!(widths.width, [8, 8, 8, 8, 8, 8, 8, 10]);
    assert_eq!(widths.selected, [false, false, false, false, false, true, true, true]);
}

#[test]
fn what_does_not_fit_is_refused_by_node() {
    check_refused(|g| g.nodes[1].inputs = vec![1], "node 1 (linear): input 1 is not made");
    check_refused(|g| g.nodes[4].inputs = vec![0], "2 inputs expected, 1 found");
    check_refused(|g| g.weights[1].shape = vec![8, 7], "columns of the weight: 8 expected, 7");
    check_refused(|g| g.weights[1].shape = vec![8], "a matrix expected");
    check_refused(|g| g.weights[2].shape = vec![4], "length of the weight: 8 expected, 4");
    check_refused(|g| g.weights[2].shape = vec![0], "weight norm: shape [0]");
    check_refused(|g| g.weights[1].rows = Some([4, 11]), "rows Some([4, 11]) of a tensor, 8");
    check_refused(|g| g.weights[1].rows = Some([9, 1]), "rows Some([9, 1]) of a tensor, 8");
    check_refused(|g| g.caches[0].kv_heads = 3, "2 cannot be split into 3");
    check_refused(|g| g.caches[0].kv_heads = 0, "cache 0: 0 heads");
    check_refused(|g| g.caches[0].head_dim = usize::MAX, "cache 0");
    check_refused(|g| g.caches.clear(), "no cache 0");
    check_refused(|g| g.rope_tables.clear(), "no rope table 0");
    check_refused(
        |g| g.rope_tables[0].frequencies = vec![1.0; 3],
        "rotates 6 values of a head of 4",
    );
    check_refused(|g| g.vocab_size = 11, "rows of the embedding: 11 expected, 10");
    check_refused(|g| g.context_length = 0, "context_length is 0");
    check_refused(|g| g.nodes.truncate(5), "no select_rows or pool");
    check_refused(|g| g.nodes.clear(), "no select_rows or pool");
    check_refused(|g| g.nodes[4].inputs = vec![0, 9], "not made by an earlier node");
    check_refused(|g| g.nodes[6].op = Op::Scale { by: f32::NAN }, "by is NaN");
    check_refused(
        |g| g.nodes.insert(6, Node { op: Op::SelectRows, inputs: vec![5] }),
        "rows are selected already",
    );
}

#[test]
fn json_keeps_the_whole_graph() {
    let mut graph = tiny();
    graph.weights[1].rows = Some([16, 24]);
    let json = graph.to_json().expect("finite");
    assert_eq!(Graph::from_json(&json).expect("round trip"), graph);
}

#[test]
fn every_op_name_is_the_one_on_the_wire() {
    let ops = [
        Op::Embed { weight: 0 },
        Op::Scale { by: 2.0 },
        Op::Softcap { cap: 3.0 },
        Op::Activate { function: Activation::Relu },
        Op::Glu { function: Activation::Silu },
        Op::Mul,
    ];
    for op in ops {
        let json = serde_json::to_value(&op).expect("plain data");
        assert_eq!(json["op"], op.name());
        assert!(Op::is_known(op.name()));
    }
}

#[test]
fn an_unknown_op_is_refused_by_name_with_both_opsets() {
    let json = tiny().to_json().expect("finite").replace("select_rows", "fold_space");
    let error = Graph::from_json(&json).expect_err("unknown op");
    let GraphError::UnknownOp { op, node: 5, .. } = &error else { panic!("{error}") };
    assert_eq!(op, "fold_space");
    assert!(error.to_string().contains("1.0.0"), "{error}");
}

#[test]
fn a_newer_opset_is_refused_and_an_unknown_field_is_not() {
    let newer = tiny().to_json().expect("finite").replace("\"1.0.0\"", "\"1.7.0\"");
    assert!(matches!(Graph::from_json(&newer), Err(GraphError::Opset { .. })));
    let extra = tiny().to_json().expect("finite").replacen('{', "{\"note\":1,", 1);
    assert!(Graph::from_json(&extra).is_ok());
    assert!(matches!(Graph::from_json("[1]"), Err(GraphError::Syntax(_))));
}

#[test]
fn simplify_drops_what_the_logits_do_not_need() {
    let mut graph = tiny();
    graph.weights.insert(
        1,
        Weight { role: "dead".into(), tensor: "d".into(), shape: vec![4, 8], rows: None },
    );
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
fn rope_divisors_are_folded_into_the_frequencies() {
    let mut graph = tiny();
    graph.weights.push(Weight {
        role: "div".into(),
        tensor: "f".into(),
        shape: vec![2],
        rows: None,
    });
    graph.rope_tables[0].divisors = Some(3);
    graph.widths().expect("valid");
    let read = |weight: &Weight| {
        assert_eq!(weight.tensor, "f");
        Ok::<_, GraphError>(vec![1.0, 4.0])
    };
    let mut folded = graph.clone();
    fold_rope_divisors(&mut folded, read).expect("positive");
    assert_eq!(folded.rope_tables[0].frequencies, [1.0, 0.1 / 4.0]);
    assert_eq!(folded.weights.len(), 3);
    let zero = |_: &Weight| Ok::<_, GraphError>(vec![1.0, 0.0]);
    assert!(fold_rope_divisors(&mut graph, zero).is_err());
}

#[test]
fn text_and_dot_show_every_node() {
    let graph = tiny();
    let text = graph.to_text().expect("valid");
    assert_eq!(text.lines().count(), 1 + graph.nodes.len());
    assert!(text.contains("%3    [rows, 8] = attention(%2, %2, %1) 2 heads, cache 0"), "{text}");
    let dot = graph.to_dot().expect("valid");
    assert_eq!(dot.matches("label=").count(), graph.nodes.len());
    assert!(dot.contains("n2 -> n3"));
}
