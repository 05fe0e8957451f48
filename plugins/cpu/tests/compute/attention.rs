//! Attention against the f64 executor: to earlier positions, and to both sides.

use crate::compare::compare;
use crate::model::Model;
use crate::runner::Setup;
use graph::Op;

struct Heads {
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    causal: bool,
    window: Option<usize>,
    softcap: Option<f32>,
}

fn attention_model(shape: &Heads) -> Model {
    let &Heads { heads, kv_heads, head_dim, causal, window, softcap } = shape;
    let mut model = Model::new(50);
    let embedded = model.embed(24);
    let q = model.linear(embedded, heads * head_dim, "f32");
    let k = model.linear(embedded, kv_heads * head_dim, "f32");
    let v = model.linear(embedded, kv_heads * head_dim, "f32");
    let cache = model.cache(kv_heads, head_dim);
    let op = Op::Attention { heads, cache, scale: 0.9, causal, window, softcap };
    let attended = model.node(op, &[q, k, v]);
    model.finish(attended)
}

fn check_attention(shape: &Heads, count: usize) {
    let model = attention_model(shape);
    compare(&model, Setup::PLAIN, count, 2e-5);
    for (kv_dtype, tolerance) in [("f16", 2e-5), ("bf16", 2e-5), ("q8_0", 2e-2)] {
        compare(&model, Setup { kv_dtype, ..Setup::PLAIN }, count, tolerance);
    }
}

const HEADS: Heads =
    Heads { heads: 4, kv_heads: 2, head_dim: 16, causal: true, window: None, softcap: None };

#[test]
fn attention_groups_query_heads() {
    for (heads, kv_heads, head_dim) in [(1, 1, 16), (4, 4, 8), (6, 2, 32), (7, 1, 20), (8, 4, 5)] {
        for causal in [true, false] {
            let shape = Heads { heads, kv_heads, head_dim, causal, ..HEADS };
            check_attention(&shape, 1);
            check_attention(&shape, 41);
        }
    }
}

#[test]
fn attention_windows_end_at_and_across_block_borders() {
    for window in [1, 2, 7, 8, 9, 16, 30, 100, usize::MAX] {
        for causal in [true, false] {
            check_attention(&Heads { causal, window: Some(window), ..HEADS }, 45);
        }
    }
}

#[test]
fn attention_caps_its_scores() {
    for causal in [true, false] {
        check_attention(&Heads { causal, softcap: Some(1.5), ..HEADS }, 30);
    }
}
