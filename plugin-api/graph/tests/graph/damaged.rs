//! Graphs nobody vouches for: random ones, and good ones with a value replaced. Each is valid or
//! refused; a valid one can be drawn, simplified and written.

use crate::{every_op, tiny, weight};
use graph::{
    Activation, CacheSpec, Expert, Graph, LongRope, Node, Op, Output, RopeTable, Weight, simplify,
};
use proptest::prelude::*;
use serde_json::Value;

/// Whatever reads a graph must stand the JSON; answers whether it is a valid graph.
fn survives(json: &str) -> bool {
    let Ok(graph) = Graph::from_json(json) else { return false };
    graph.to_text().expect("a valid graph is drawn");
    graph.to_dot().expect("a valid graph is drawn");
    let simple = simplify(&graph);
    let widths = simple.widths().expect("a simpler graph is valid");
    assert_eq!(widths.width.last(), graph.widths().expect("valid").width.last());
    let json = graph.to_json().expect("a valid graph has finite numbers");
    assert_eq!(Graph::from_json(&json).expect("round trip"), graph);
    true
}

/// Sizes and indices that mostly fit each other.
fn small() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0_usize..9, 1 => Just(16), 1 => Just(usize::MAX)]
}

fn op() -> impl Strategy<Value = Op> {
    (prop::sample::select(every_op()), small(), small()).prop_map(|(mut op, first, second)| {
        match &mut op {
            Op::Embed { weight } | Op::EmbedPosition { weight } | Op::Bias { weight } => {
                *weight = first;
            }
            Op::Linear { weight, bias } | Op::LayerNorm { weight, bias, .. } => {
                (*weight, *bias) = (first, (second < 4).then_some(second));
            }
            Op::RmsNorm { weight, groups, .. } => (*weight, *groups) = (first, second),
            Op::Rope { heads, table, .. } => (*heads, *table) = (first, second),
            Op::Attention { heads, cache, .. } => (*heads, *cache) = (first, second),
            Op::Moe { experts, top_k, .. } => {
                let expert = Expert { gate: first, up: first, down: first };
                *experts = vec![expert; second.min(9)];
                *top_k = first;
            }
            _ => {}
        }
        op
    })
}

fn graph() -> impl Strategy<Value = Graph> {
    let shape = prop::collection::vec(small(), 0..4);
    let rows = prop::option::weighted(0.1, [small(), small()]);
    let weights = prop::collection::vec((shape, rows), 0..6);
    let nodes = prop::collection::vec((op(), prop::collection::vec(small(), 0..4)), 0..12);
    let caches = prop::collection::vec([small(), small()], 0..3);
    let tables = prop::collection::vec((0_usize..5, prop::option::of(small())), 0..3);
    let sizes = (small(), small(), any::<bool>());
    (weights, nodes, caches, tables, sizes).prop_map(
        |(weights, nodes, caches, tables, (vocab_size, context_length, vectors))| Graph {
            vocab_size,
            context_length,
            output: if vectors { Output::Embedding } else { Output::Logits },
            weights: weights
                .into_iter()
                .map(|(shape, rows)| Weight { rows, ..weight("any", &shape) })
                .collect(),
            nodes: nodes.into_iter().map(|(op, inputs)| Node { op, inputs }).collect(),
            caches: caches
                .into_iter()
                .map(|[kv_heads, head_dim]| CacheSpec { kv_heads, head_dim })
                .collect(),
            rope_tables: tables.into_iter().map(rope_table).collect(),
            ..tiny()
        },
    )
}

fn rope_table((pairs, divisors): (usize, Option<usize>)) -> RopeTable {
    let frequencies = vec![1.0; pairs];
    let long = LongRope { above: 4, frequencies: frequencies.clone(), divisors };
    RopeTable { frequencies, magnitude: 1.0, divisors, long: Some(long) }
}

/// A model with an op of every kind, valid.
fn rich() -> Graph {
    let mut graph = tiny();
    graph.weights.extend([weight("positions", &[16, 8]), weight("scores", &[1, 8])]);
    let (expert, function) = (Expert { gate: 1, up: 1, down: 1 }, Activation::Silu);
    let moe = Op::Moe { experts: vec![expert], top_k: 1, function, normalize: true, scale: 1.0 };
    let node = |op, inputs: &[usize]| Node { op, inputs: inputs.to_vec() };
    let added = [
        node(Op::EmbedPosition { weight: 3 }, &[]),
        node(Op::Add, &[4, 5]),
        node(Op::Bias { weight: 2 }, &[6]),
        node(Op::LayerNorm { weight: 2, bias: Some(2), eps: 1e-5 }, &[7]),
        node(Op::Linear { weight: 4, bias: None }, &[8]),
        node(Op::Activate { function: Activation::Sigmoid }, &[9]),
        node(Op::ScaleRows, &[8, 10]),
        node(moe, &[11, 10]),
        node(Op::Concat, &[12]),
        node(Op::SelectRows, &[13]),
        node(Op::Normalize { eps: 1e-12 }, &[14]),
        node(Op::Linear { weight: 0, bias: None }, &[15]),
    ];
    graph.nodes.truncate(5);
    graph.nodes.extend(added);
    graph
}

/// Places of a JSON value, in the order of [`replace`].
fn place_count(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(place_count).sum(),
        Value::Object(fields) => fields.values().map(place_count).sum(),
        _ => 0,
    }
}

/// Replaces the value at a place, counted depth first.
fn replace(value: &mut Value, place: &mut usize, by: &Value) {
    if *place == 0 {
        *value = by.clone();
    }
    *place = place.wrapping_sub(1);
    match value {
        Value::Array(list) => list.iter_mut().for_each(|inner| replace(inner, place, by)),
        Value::Object(fields) => fields.values_mut().for_each(|inner| replace(inner, place, by)),
        _ => {}
    }
}

fn replacement() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0_u64..20).prop_map(Value::from),
        Just(Value::from(u64::MAX)),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(Op::NAMES).prop_map(Value::from),
        Just(Value::Array(Vec::new())),
        Just(serde_json::json!([0, 8])),
    ]
}

#[test]
fn a_model_with_every_kind_of_op_is_valid() {
    assert!(survives(&rich().to_json().expect("finite")));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_random_graph_is_valid_or_refused(graph in graph()) {
        survives(&graph.to_json().expect("finite numbers"));
    }

    #[test]
    fn a_graph_with_a_value_replaced_is_valid_or_refused(
        place in any::<prop::sample::Index>(),
        by in replacement(),
    ) {
        let mut json = serde_json::to_value(rich()).expect("plain data");
        let mut place = place.index(place_count(&json));
        replace(&mut json, &mut place, &by);
        survives(&json.to_string());
    }
}
