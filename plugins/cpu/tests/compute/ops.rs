//! Every op against the f64 executor.

use crate::compare::{check, compare};
use crate::model::{CONTEXT, DecoderShape, Model};
use crate::runner::Setup;
use graph::{Activation, LongRope, Op, RopeStyle};

const FUNCTIONS: [Activation; 5] = [
    Activation::Silu,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Relu,
    Activation::Sigmoid,
];

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
fn rope_of_a_long_sequence_has_other_frequencies() {
    let mut model = Model::new(50);
    let embedded = model.embed(48);
    let table = model.rope_table(8);
    let frequencies = (0..8).map(|i| 1.0 / (3 + i) as f32).collect();
    model.graph.rope_tables[table].long = Some(LongRope { above: 10, frequencies, divisors: None });
    model.graph.rope_tables[table].magnitude = 1.2;
    let turned = model.node(Op::Rope { heads: 3, table, style: RopeStyle::Neox }, &[embedded]);
    let model = model.finish(turned);
    for count in [1, 9, 10, 11, 12, 40] {
        compare(&model, Setup::PLAIN, count, 2e-5);
    }
}

#[test]
fn layer_norm_with_and_without_bias() {
    for with_bias in [false, true] {
        check(40, |m, x| {
            let weight = m.weight(&[40], "f32");
            let bias = with_bias.then(|| m.weight(&[40], "f32"));
            m.node(Op::LayerNorm { weight, bias, eps: 1e-5 }, &[x])
        });
    }
}

#[test]
fn embeddings_of_positions_are_added() {
    check(24, |m, x| {
        let weight = m.weight(&[CONTEXT, 24], "f16");
        let positions = m.node(Op::EmbedPosition { weight }, &[]);
        m.node(Op::Add, &[x, positions])
    });
}

#[test]
fn biases_row_factors_and_unit_lengths() {
    check(20, |m, x| {
        let weight = m.weight(&[20], "f32");
        m.node(Op::Bias { weight }, &[x])
    });
    check(20, |m, x| m.node(Op::Normalize { eps: 1e-12 }, &[x]));
    check(20, |m, x| m.node(Op::Normalize { eps: 100.0 }, &[x]));
    check(20, |m, x| {
        let factor = m.linear(x, 1, "f32");
        m.node(Op::ScaleRows, &[x, factor])
    });
    check(1, |m, x| m.node(Op::ScaleRows, &[x, x]));
}

#[test]
fn values_are_joined_one_after_another() {
    check(20, |m, x| {
        let (a, b) = (m.linear(x, 7, "f32"), m.linear(x, 33, "f32"));
        m.node(Op::Concat, &[a, x, b, a])
    });
    check(20, |m, x| m.node(Op::Concat, &[x]));
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
