//! Every op against the f64 executor.

use crate::model::{DecoderShape, Model};
use crate::reference;
use crate::rng::Rng;
use crate::runner::{Setup, solo};
use graph::{Activation, Op, RopeStyle, ValueId};

const FUNCTIONS: [Activation; 4] =
    [Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Relu];

fn round_f16(value: f64) -> f64 {
    let mut bytes = [0; 2];
    assert!(kernels::F16.quantize(&[value as f32], &mut bytes));
    let mut rounded = [0.0];
    kernels::F16.dequantize(&bytes, &mut rounded);
    f64::from(rounded[0])
}

/// Compares all logits of a random sequence with the reference.
fn compare(model: &Model, setup: Setup, count: usize, tolerance: f64) {
    let tokens = Rng(count as u64).tokens(count, model.graph.vocab_size);
    let round = if setup.kv_dtype == "f16" { round_f16 } else { |value| value };
    let expected = reference::logits(model, &tokens, round);
    let found = solo(model, setup, &tokens, count);
    assert_eq!(found.len(), expected.len());
    for (row, (found, expected)) in found.iter().zip(&expected).enumerate() {
        for (column, (found, expected)) in found.iter().zip(expected).enumerate() {
            let error = (f64::from(*found) - expected).abs();
            assert!(
                error <= tolerance * expected.abs().max(1.0),
                "row {row}, column {column}: {found} found, {expected} expected"
            );
        }
    }
}

/// A graph of an embedding of `width`, what `build` adds to it, and logits.
fn check(width: usize, build: impl FnOnce(&mut Model, ValueId) -> ValueId) {
    let mut model = Model::new(50);
    let embedded = model.embed(width);
    let last = build(&mut model, embedded);
    let model = model.finish(last);
    for count in [1, 2, 19] {
        compare(&model, Setup::PLAIN, count, 2e-5);
    }
}

#[test]
fn embed_and_linear() {
    check(32, |_, x| x);
    check(37, |m, x| m.linear(x, 45, "f32"));
    check(24, |m, x| m.linear(x, 1, "f32"));
}

#[test]
fn linear_adds_its_bias() {
    check(40, |m, x| m.linear_with_bias(x, 33));
}

#[test]
fn linear_takes_every_plain_dtype() {
    check(33, |m, x| m.linear(x, 20, "f16"));
    check(33, |m, x| m.linear(x, 20, "bf16"));
}

#[test]
fn linears_on_one_value_share_a_stage_with_different_inputs() {
    check(64, |m, x| {
        let a = m.linear(x, 30, "f32");
        let b = m.linear(x, 30, "octet");
        m.node(Op::Add, &[a, b])
    });
}

#[test]
fn linear_follows_linear() {
    check(48, |m, x| {
        let a = m.linear(x, 64, "octet");
        let b = m.linear(a, 31, "f32");
        let c = m.linear(x, 31, "f32");
        m.node(Op::Mul, &[b, c])
    });
}

#[test]
fn rms_norm_of_rows_and_of_heads() {
    check(40, |m, x| m.norm(x, 1));
    check(40, |m, x| m.norm(x, 5));
    check(40, |m, x| {
        let weight = m.weight(&[40], "f32");
        m.node(Op::RmsNorm { weight, eps: 1e-3, groups: 1, weight_add: 1.0 }, &[x])
    });
}

fn check_rope(style: RopeStyle, count: usize, magnitude: f32) {
    check(48, |m, x| {
        let table = m.rope_table(count);
        m.graph.rope_tables[table].magnitude = magnitude;
        m.node(Op::Rope { heads: 3, table, style }, &[x])
    });
}

#[test]
fn rope_rotates_all_or_part_of_a_head() {
    for style in [RopeStyle::Neox, RopeStyle::Interleaved] {
        check_rope(style, 8, 1.0);
        check_rope(style, 5, 1.0);
    }
}

#[test]
fn rope_scales_by_its_magnitude() {
    check_rope(RopeStyle::Neox, 8, 1.25);
}

#[test]
fn a_value_that_others_read_is_not_changed_in_place() {
    check(16, |m, x| {
        let scaled = m.node(Op::Scale { by: 3.0 }, &[x]);
        let capped = m.node(Op::Softcap { cap: 2.0 }, &[scaled]);
        let sum = m.node(Op::Add, &[scaled, capped]);
        let square = m.node(Op::Mul, &[sum, sum]);
        let table = m.rope_table(4);
        let turned = m.node(Op::Rope { heads: 2, table, style: RopeStyle::Neox }, &[x]);
        let product = m.node(Op::Mul, &[turned, square]);
        m.node(Op::Add, &[product, x])
    });
}

#[test]
fn sums_products_scales_and_caps() {
    check(20, |m, x| m.node(Op::Scale { by: -1.5 }, &[x]));
    check(20, |m, x| m.node(Op::Softcap { cap: 0.7 }, &[x]));
    check(20, |m, x| m.node(Op::Add, &[x, x]));
    check(20, |m, x| m.node(Op::Mul, &[x, x]));
}

#[test]
fn activations_alone_and_behind_a_linear() {
    for function in FUNCTIONS {
        check(21, |m, x| m.node(Op::Activate { function }, &[x]));
        check(24, |m, x| {
            let hidden = m.linear_with_bias(x, 70);
            m.node(Op::Activate { function }, &[hidden])
        });
    }
}

#[test]
fn gated_units_fused_and_not() {
    for function in FUNCTIONS {
        check(24, |m, x| {
            let (gate, up) = (m.linear_with_bias(x, 70), m.linear_with_bias(x, 70));
            m.node(Op::Glu { function }, &[gate, up])
        });
        check(24, |m, x| {
            let (up, gate) = (m.linear(x, 70, "f32"), m.linear(x, 70, "octet"));
            m.node(Op::Glu { function }, &[gate, up])
        });
        check(24, |m, x| {
            let (gate, up) = (m.linear(x, 24, "f32"), m.linear(x, 24, "f32"));
            let gated = m.node(Op::Glu { function }, &[gate, up]);
            let other = m.node(Op::Glu { function }, &[x, up]);
            let same = m.node(Op::Glu { function }, &[gate, gate]);
            let sum = m.node(Op::Add, &[gated, other]);
            m.node(Op::Add, &[sum, same])
        });
    }
}

#[test]
fn a_gated_unit_is_cut_where_the_row_groups_of_both_matrices_end() {
    check(64, |m, x| {
        let (gate, up) = (m.linear(x, 700, "f32"), m.linear(x, 700, "octet"));
        let gated = m.node(Op::Glu { function: Activation::Silu }, &[gate, up]);
        m.linear(gated, 20, "f32")
    });
}

struct Heads {
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    window: Option<usize>,
    softcap: Option<f32>,
}

fn attention_model(shape: &Heads) -> Model {
    let &Heads { heads, kv_heads, head_dim, window, softcap } = shape;
    let mut model = Model::new(50);
    let embedded = model.embed(24);
    let q = model.linear(embedded, heads * head_dim, "f32");
    let k = model.linear(embedded, kv_heads * head_dim, "f32");
    let v = model.linear(embedded, kv_heads * head_dim, "f32");
    let cache = model.cache(kv_heads, head_dim);
    let op = Op::Attention { heads, cache, scale: 0.9, window, softcap };
    let attended = model.node(op, &[q, k, v]);
    model.finish(attended)
}

fn check_attention(shape: &Heads, count: usize) {
    let model = attention_model(shape);
    compare(&model, Setup::PLAIN, count, 2e-5);
    compare(&model, Setup { kv_dtype: "f16", ..Setup::PLAIN }, count, 2e-5);
}

#[test]
fn attention_groups_query_heads() {
    for (heads, kv_heads, head_dim) in [(1, 1, 16), (4, 4, 8), (6, 2, 32), (7, 1, 20), (8, 4, 5)] {
        let shape = Heads { heads, kv_heads, head_dim, window: None, softcap: None };
        check_attention(&shape, 1);
        check_attention(&shape, 41);
    }
}

#[test]
fn attention_windows_end_at_and_across_block_borders() {
    for window in [1, 2, 7, 8, 9, 16, 30, 100] {
        let shape =
            Heads { heads: 4, kv_heads: 2, head_dim: 16, window: Some(window), softcap: None };
        check_attention(&shape, 45);
    }
}

#[test]
fn attention_caps_its_scores() {
    let shape = Heads { heads: 4, kv_heads: 2, head_dim: 16, window: None, softcap: Some(1.5) };
    check_attention(&shape, 30);
}

#[test]
fn a_decoder_agrees_with_the_reference() {
    for style in [RopeStyle::Neox, RopeStyle::Interleaved] {
        let model = DecoderShape { window: Some(11), style, ..DecoderShape::SMALL }.build();
        compare(&model, Setup::PLAIN, 60, 5e-5);
    }
}

#[test]
fn a_decoder_in_block_dtypes_is_near_the_reference() {
    for dtype in ["q8_0", "q4_0"] {
        let model = DecoderShape { dtype, ..DecoderShape::SMALL }.build();
        compare(&model, Setup::PLAIN, 30, 0.1);
    }
}

#[test]
fn rows_may_be_selected_before_layers_without_attention() {
    let mut model = Model::new(50);
    let embedded = model.embed(24);
    let selected = model.node(Op::SelectRows, &[embedded]);
    let hidden = model.linear_with_bias(selected, 40);
    let normed = model.norm(hidden, 2);
    let back = model.linear(normed, 24, "f32");
    let sum = model.node(Op::Add, &[selected, back]);
    model.linear(sum, 50, "f32");
    compare(&model, Setup::PLAIN, 9, 2e-5);
}

#[test]
fn logits_may_be_selected_last() {
    let mut model = Model::new(50);
    let embedded = model.embed(24);
    let logits = model.linear(embedded, 50, "f32");
    model.node(Op::SelectRows, &[logits]);
    compare(&model, Setup::PLAIN, 9, 2e-5);
}
