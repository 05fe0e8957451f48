//! Every op, against values worked out by hand.

use crate::model::Model;
use crate::runner::{Batch, Run, Runner, assert_near};
use graph::{Activation, Expert, LongRope, Op, Pooling, RopeStyle, RopeTable, ValueId};
use std::f32::consts::FRAC_PI_2;

/// Runs `rows` as one sequence through what `build` adds to their embedding.
fn run(rows: &[&[f32]], build: impl FnOnce(&mut Model) -> ValueId) -> Vec<Vec<f32>> {
    let mut model = Model::of_rows(rows);
    let last = build(&mut model);
    model.node(Op::SelectRows, &[last]);
    let tokens: Vec<u32> = (0..rows.len() as u32).collect();
    Runner::new(&model).step(&[Run { sequence: 0, first: 0, tokens: &tokens }])
}

fn check(rows: &[&[f32]], build: impl FnOnce(&mut Model) -> ValueId, expected: &[&[f32]]) {
    let expected: Vec<_> = expected.iter().map(|row| row.to_vec()).collect();
    assert_near(&run(rows, build), &expected, 1e-6);
}

#[test]
fn embeddings_are_rows_by_token_and_by_position() {
    check(&[&[1.0, 2.0], &[3.0, 4.0]], |_| 0, &[&[1.0, 2.0], &[3.0, 4.0]]);
    let positions = |m: &mut Model| {
        let values: Vec<f32> = (0..128).map(|value| value as f32).collect();
        let weight = m.weight(&[64, 2], &values);
        let position = m.node(Op::EmbedPosition { weight }, &[]);
        m.node(Op::Add, &[0, position])
    };
    check(&[&[0.5, 0.0], &[0.5, 0.0]], positions, &[&[0.5, 1.0], &[2.5, 3.0]]);
}

#[test]
fn linear_multiplies_by_rows_of_the_weight_and_adds_its_bias() {
    let build = |bias: Option<&'static [f32]>| {
        move |m: &mut Model| {
            let weight = m.weight(&[3, 2], &[1.0, 0.0, 0.0, 1.0, 2.0, -1.0]);
            let bias = bias.map(|bias| m.vector(bias));
            m.node(Op::Linear { weight, bias }, &[0])
        }
    };
    check(&[&[5.0, 7.0]], build(None), &[&[5.0, 7.0, 3.0]]);
    check(&[&[5.0, 7.0]], build(Some(&[1.0, 2.0, 3.0])), &[&[6.0, 9.0, 6.0]]);
}

#[test]
fn norms_divide_by_the_size_of_a_row_or_of_its_parts() {
    let rms = |groups: usize, weight: &'static [f32], weight_add: f32| {
        move |m: &mut Model| {
            let weight = m.vector(weight);
            m.node(Op::RmsNorm { weight, eps: 11.0, groups, weight_add }, &[0])
        }
    };
    // The mean square of 1 and 7 is 25; 11 more makes 36.
    check(&[&[1.0, 7.0]], rms(1, &[1.0, 2.0], 0.0), &[&[1.0 / 6.0, 14.0 / 6.0]]);
    check(&[&[1.0, 7.0]], rms(1, &[0.0, 1.0], 1.0), &[&[1.0 / 6.0, 14.0 / 6.0]]);
    let two = &[1.0 / 6.0, 14.0 / 6.0, 7.0 / 6.0, 2.0 / 6.0];
    check(&[&[1.0, 7.0, 7.0, 1.0]], rms(2, &[1.0, 2.0], 0.0), &[two]);
    let layer = |bias: Option<&'static [f32]>| {
        move |m: &mut Model| {
            let (weight, bias) = (m.vector(&[1.0, 2.0]), bias.map(|bias| m.vector(bias)));
            m.node(Op::LayerNorm { weight, bias, eps: 3.0 }, &[0])
        }
    };
    check(&[&[1.0, 3.0]], layer(None), &[&[-0.5, 1.0]]);
    check(&[&[1.0, 3.0]], layer(Some(&[0.0, 10.0])), &[&[-0.5, 11.0]]);
    check(&[&[3.0, 4.0]], |m| m.node(Op::Normalize { eps: 1.0 }, &[0]), &[&[0.6, 0.8]]);
    check(&[&[3.0, 4.0]], |m| m.node(Op::Normalize { eps: 10.0 }, &[0]), &[&[0.3, 0.4]]);
}

fn rope(
    heads: usize,
    style: RopeStyle,
    change: impl FnOnce(&mut RopeTable),
    frequencies: &[f32],
) -> impl FnOnce(&mut Model) -> ValueId {
    let frequencies = frequencies.to_vec();
    let mut table = RopeTable { frequencies, magnitude: 1.0, divisors: None, long: None };
    change(&mut table);
    move |m: &mut Model| {
        m.graph.rope_tables.push(table);
        m.node(Op::Rope { heads, table: 0, style }, &[0])
    }
}

#[test]
fn rope_turns_pairs_of_a_head_by_position() {
    let x: &[f32] = &[1.0, 2.0, 3.0, 4.0, 9.0];
    let quarter = [FRAC_PI_2, 0.0];
    let neox = rope(1, RopeStyle::Neox, |_| {}, &quarter);
    check(&[x, x], neox, &[x, &[-3.0, 2.0, 1.0, 4.0, 9.0]]);
    let interleaved = rope(1, RopeStyle::Interleaved, |_| {}, &quarter);
    check(&[x, x], interleaved, &[x, &[-2.0, 1.0, 3.0, 4.0, 9.0]]);
    let louder = rope(1, RopeStyle::Neox, |table| table.magnitude = 2.0, &quarter);
    check(&[x], louder, &[&[2.0, 4.0, 6.0, 8.0, 9.0]]);
    let x: &[f32] = &[1.0, 2.0, 3.0, 4.0];
    let heads = rope(2, RopeStyle::Neox, |_| {}, &[FRAC_PI_2]);
    check(&[x, x], heads, &[x, &[-2.0, 1.0, -4.0, 3.0]]);
    check(&[x, x], rope(1, RopeStyle::Neox, |_| {}, &[]), &[x, x]);
}

#[test]
fn rope_of_a_long_sequence_has_frequencies_of_its_own() {
    let x: &[f32] = &[1.0, 2.0];
    let long = || {
        let long = Some(LongRope { above: 2, frequencies: vec![0.0], divisors: None });
        rope(1, RopeStyle::Neox, |table| table.long = long, &[FRAC_PI_2])
    };
    check(&[x, x], long(), &[x, &[-2.0, 1.0]]);
    check(&[x, x, x], long(), &[x, x, x]);
}

const PLAIN: Op =
    Op::Attention { heads: 1, cache: 0, scale: 1.0, causal: true, window: None, softcap: None };

/// Attention in which query, key and value are the row itself.
fn attend(op: Op) -> impl FnOnce(&mut Model) -> ValueId {
    move |m: &mut Model| {
        m.cache(1, 1);
        m.node(op, &[0, 0, 0])
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

#[test]
fn attention_weighs_the_positions_a_row_sees() {
    let rows: [&[f32]; 2] = [&[0.0], &[1.0]];
    check(&rows, attend(PLAIN), &[&[0.0], &[sigmoid(1.0)]]);
    let op = |scale: f32, softcap: Option<f32>, window: Option<usize>, causal: bool| {
        attend(Op::Attention { heads: 1, cache: 0, scale, causal, window, softcap })
    };
    check(&rows, op(3.0, None, None, true), &[&[0.0], &[sigmoid(3.0)]]);
    check(&rows, op(1.0, Some(0.5), None, true), &[&[0.0], &[sigmoid(0.5 * 2_f32.tanh())]]);
    check(&rows, op(1.0, None, Some(1), true), &[&[0.0], &[1.0]]);
    check(&rows, op(1.0, None, None, false), &[&[0.5], &[sigmoid(1.0)]]);
    let three: [&[f32]; 3] = [&[0.0], &[1.0], &[0.0]];
    let e = 1_f32.exp();
    check(&three, op(1.0, None, Some(2), false), &[&[0.5], &[e / (2.0 + e)], &[0.5]]);
    check(&three, op(1.0, None, Some(2), true), &[&[0.0], &[sigmoid(1.0)], &[0.5]]);
}

#[test]
fn neighbouring_query_heads_share_a_kv_head() {
    let build = |m: &mut Model| {
        // Queries x0, 0, x1, 0.
        let weight = m.weight(&[4, 2], &[1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
        let q = m.node(Op::Linear { weight, bias: None }, &[0]);
        let cache = m.cache(2, 1);
        let (scale, causal, window, softcap) = (1.0, true, None, None);
        m.node(Op::Attention { heads: 4, cache, scale, causal, window, softcap }, &[q, 0, 0])
    };
    let expected: &[f32] = &[sigmoid(1.0), 0.5, 2.0 * sigmoid(4.0), 1.0];
    check(&[&[0.0, 0.0], &[1.0, 2.0]], build, &[&[0.0; 4], expected]);
}

/// Experts of one inner value, each given as gate, up and down, and the matrix of the scores.
fn moe(
    experts: &[[f32; 3]],
    [weight, bias]: [&[f32]; 2],
    [top_k, scale]: [usize; 2],
    normalize: bool,
) -> impl FnOnce(&mut Model) -> ValueId {
    let (experts, weight, bias) = (experts.to_vec(), weight.to_vec(), bias.to_vec());
    move |m: &mut Model| {
        let matrix = m.weight(&[experts.len(), 1], &weight);
        let bias = Some(m.vector(&bias));
        let scores = m.node(Op::Linear { weight: matrix, bias }, &[0]);
        let expert = |expert: &[f32; 3]| {
            let [gate, up, down] = expert.map(|value| m.weight(&[1, 1], &[value]));
            Expert { gate, up, down }
        };
        let experts = experts.iter().map(expert).collect();
        let (function, scale) = (Activation::Relu, scale as f32);
        m.node(Op::Moe { experts, top_k, function, normalize, scale }, &[0, scores])
    }
}

#[test]
fn a_mixture_adds_the_best_experts_of_a_row() {
    let experts = [[1.0, 1.0, 1.0], [1.0, 1.0, 10.0], [1.0, 1.0, 100.0]];
    // Shares of a quarter, a half and a quarter; of the equal ones the first counts.
    let scores: [&[f32]; 2] = [&[0.0; 3], &[0.0, 2_f32.ln(), 0.0]];
    check(&[&[2.0]], moe(&experts, scores, [2, 1], false), &[&[21.0]]);
    check(&[&[2.0]], moe(&experts, scores, [2, 2], false), &[&[42.0]]);
    check(&[&[2.0]], moe(&experts, scores, [2, 1], true), &[&[28.0]]);
    check(&[&[2.0]], moe(&experts, scores, [3, 1], true), &[&[121.0]]);
    let experts = [[1.0, 1.0, 1.0], [-1.0, 1.0, 10.0]];
    let by_sign: [&[f32]; 2] = [&[5.0, -5.0], &[0.0; 2]];
    let rows: [&[f32]; 3] = [&[1.0], &[-1.0], &[2.0]];
    check(&rows, moe(&experts, by_sign, [1, 1], true), &[&[1.0], &[-10.0], &[4.0]]);
}

#[test]
fn sums_products_and_bounds() {
    let x: &[f32] = &[2.0, -3.0];
    check(&[x], |m| m.node(Op::Add, &[0, 0]), &[&[4.0, -6.0]]);
    check(&[x], |m| m.node(Op::Mul, &[0, 0]), &[&[4.0, 9.0]]);
    check(&[x], |m| m.node(Op::Scale { by: 0.5 }, &[0]), &[&[1.0, -1.5]]);
    let capped: &[f32] = &[2.0 * 1_f32.tanh(), -2.0 * 1.5_f32.tanh()];
    check(&[x], |m| m.node(Op::Softcap { cap: 2.0 }, &[0]), &[capped]);
    let bias = |m: &mut Model| {
        let weight = m.vector(&[1.0, 10.0]);
        m.node(Op::Bias { weight }, &[0])
    };
    check(&[x, x], bias, &[&[3.0, 7.0], &[3.0, 7.0]]);
    let scaled = |m: &mut Model| {
        let weight = m.weight(&[1, 2], &[1.0, 1.0]);
        let sum = m.node(Op::Linear { weight, bias: None }, &[0]);
        let scaled = m.node(Op::ScaleRows, &[0, sum]);
        m.node(Op::Concat, &[scaled, sum, 0])
    };
    let expected: [&[f32]; 2] = [&[-2.0, 3.0, -1.0, 2.0, -3.0], &[2.0, 2.0, 2.0, 1.0, 1.0]];
    check(&[x, &[1.0, 1.0]], scaled, &expected);
}

#[test]
fn activations_alone_and_as_gates() {
    for (function, expected) in [
        (Activation::Silu, [0.731_058_6, -0.268_941_42]),
        (Activation::Gelu, [0.841_344_8, -0.158_655_25]),
        (Activation::GeluTanh, [0.841_192, -0.158_808]),
        (Activation::Relu, [1.0, 0.0]),
        (Activation::Sigmoid, [0.731_058_6, 0.268_941_42]),
    ] {
        let x: &[f32] = &[1.0, -1.0];
        check(&[x], |m| m.node(Op::Activate { function }, &[0]), &[&expected]);
        let glu = |m: &mut Model| {
            let up = m.node(Op::Scale { by: 3.0 }, &[0]);
            m.node(Op::Glu { function }, &[0, up])
        };
        check(&[x], glu, &[&[3.0 * expected[0], -3.0 * expected[1]]]);
    }
}

#[test]
fn rows_are_selected_or_pooled() {
    let rows: [&[f32]; 3] = [&[1.0, 0.0], &[2.0, 6.0], &[6.0, 0.0]];
    let last = |op: Op, wanted: &[u32]| {
        let mut model = Model::of_rows(&rows);
        model.node(op, &[0]);
        let runs = [(0, [0, 1, 2].as_slice()), (1, &[1, 1])];
        let runs = runs.map(|(sequence, tokens)| Run { sequence, first: 0, tokens });
        let mut batch = Batch::of(&runs);
        batch.logit_rows = wanted.to_vec();
        Runner::new(&model).run(&batch).expect("a valid batch")
    };
    let expect = |found: Vec<Vec<f32>>, expected: &[[f32; 2]]| {
        assert_near(&found, &expected.iter().map(|row| row.to_vec()).collect::<Vec<_>>(), 1e-6);
    };
    expect(last(Op::SelectRows, &[1, 2, 4]), &[[2.0, 6.0], [6.0, 0.0], [2.0, 6.0]]);
    expect(last(Op::Pool { how: Pooling::Mean }, &[2, 3]), &[[3.0, 2.0], [2.0, 6.0]]);
    expect(last(Op::Pool { how: Pooling::First }, &[2, 4]), &[[1.0, 0.0], [2.0, 6.0]]);
}
