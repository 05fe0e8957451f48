//! Validation, passes and the JSON form of a graph.
//!
//! Here are the model that the tests change, and what concerns a graph as a whole; the files of
//! this folder hold the operations, the passes and damaged graphs.

mod damaged;
mod ops;
mod passes;

use graph::{
    Activation, CacheSpec, Expert, Graph, GraphError, LongRope, Node, OPSET, Op, Output, Pooling,
    RopeStyle, RopeTable, Weight,
};

fn weight(role: &str, shape: &[usize]) -> Weight {
    let (role, tensor) = (role.to_owned(), format!("t.{role}"));
    Weight { role, tensor, shape: shape.to_vec(), rows: None, gguf: None }
}

/// A one-layer model without a feed-forward part: vocabulary 10, width 8, 2 heads of 4.
fn tiny() -> Graph {
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
        chat: graph::ChatConventions::default(),
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
    check_refused(|g| g.weights[2].rows = Some([0, 8]), "rows Some([0, 8]) of a tensor, 1");
    check_refused(|g| g.weights[2].shape = vec![usize::MAX, 3, 8], "weight norm: shape");
    check_refused(|g| g.weights[2].shape = vec![1, 1, 1, 8], "weight norm: shape");
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
    graph.weights.push(weight("long", &[2]));
    graph.rope_tables[0].long =
        Some(LongRope { above: 8, frequencies: vec![0.5, 0.05], divisors: Some(3) });
    let json = graph.to_json().expect("finite");
    assert_eq!(Graph::from_json(&json).expect("round trip"), graph);
}

#[test]
fn every_op_name_is_the_one_on_the_wire() {
    let every = every_op();
    assert_eq!(every.iter().map(Op::name).collect::<Vec<_>>(), Op::NAMES);
    for op in every {
        let json = serde_json::to_value(&op).expect("plain data");
        assert_eq!(json["op"], op.name());
        assert!(Op::is_known(op.name()));
        assert_eq!(serde_json::from_value::<Op>(json).expect("round trip"), op);
    }
}

/// One of each, in the order of the opset.
fn every_op() -> Vec<Op> {
    let function = Activation::Silu;
    let expert = Expert { gate: 1, up: 1, down: 1 };
    vec![
        Op::Embed { weight: 0 },
        Op::EmbedPosition { weight: 0 },
        Op::Linear { weight: 1, bias: Some(2) },
        Op::RmsNorm { weight: 2, eps: 1e-5, groups: 1, weight_add: 1.0 },
        Op::LayerNorm { weight: 2, bias: Some(2), eps: 1e-5 },
        Op::Rope { heads: 2, table: 0, style: RopeStyle::Interleaved },
        Op::Attention {
            heads: 2,
            cache: 0,
            scale: 0.5,
            causal: false,
            window: Some(3),
            softcap: Some(50.0),
        },
        Op::Add,
        Op::Mul,
        Op::Bias { weight: 2 },
        Op::ScaleRows,
        Op::Scale { by: 2.0 },
        Op::Softcap { cap: 3.0 },
        Op::Activate { function: Activation::Relu },
        Op::Glu { function },
        Op::Moe { experts: vec![expert], top_k: 1, function, normalize: true, scale: 2.0 },
        Op::Concat,
        Op::SelectRows,
        Op::Pool { how: Pooling::Mean },
        Op::Normalize { eps: 1e-12 },
    ]
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
fn text_and_dot_show_every_node() {
    let graph = tiny();
    let text = graph.to_text().expect("valid");
    assert_eq!(text.lines().count(), 1 + graph.nodes.len());
    assert!(text.contains("%3    [rows, 8] = attention(%2, %2, %1) 2 heads, cache 0"), "{text}");
    let dot = graph.to_dot().expect("valid");
    assert_eq!(dot.matches("label=").count(), graph.nodes.len());
    assert!(dot.contains("n2 -> n3"));
}
