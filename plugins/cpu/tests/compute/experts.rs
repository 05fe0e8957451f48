//! Mixtures of experts against the f64 executor, what they take, and what is refused.

use crate::compare::{check, compare};
use crate::dtypes;
use crate::faults::creation_error;
use crate::model::{DecoderShape, Mixture, Model};
use crate::runner::{LIMITS, Setup};
use graph::{Activation, Expert, Op};
use plugin_api::{Compute, DtypeLookup, ErrorKind, SessionLimits};
use plugin_cpu::Cpu;

#[test]
fn mixtures_weigh_the_experts_they_choose() {
    for (count, top_k) in [(1, 1), (4, 1), (8, 3), (5, 5), (64, 8)] {
        for normalize in [false, true] {
            let mixture = Mixture { count, top_k, normalize, ..Mixture::SMALL };
            check(32, |m, x| m.moe(x, 40, mixture));
        }
    }
    check(32, |m, x| m.moe(x, 40, Mixture { scale: 2.5, ..Mixture::SMALL }));
}

#[test]
fn experts_take_dtypes_with_other_inputs_and_row_groups() {
    for dtype in ["f16", "octet"] {
        check(32, |m, x| m.moe(x, 44, Mixture { dtype, ..Mixture::SMALL }));
    }
}

#[test]
fn gate_up_and_down_may_have_different_dtypes() {
    for dtypes in [["f32", "octet", "f32"], ["octet", "f16", "octet"]] {
        check(32, |m, x| {
            let scores = m.linear(x, 4, "f32");
            let expert = |_| Expert {
                gate: m.weight(&[52, 32], dtypes[0]),
                up: m.weight(&[52, 32], dtypes[1]),
                down: m.weight(&[32, 52], dtypes[2]),
            };
            let experts = (0..4).map(expert).collect();
            let function = Activation::GeluTanh;
            m.node(
                Op::Moe { experts, top_k: 2, function, normalize: false, scale: 1.0 },
                &[x, scores],
            )
        });
    }
}

#[test]
fn scores_and_rows_that_others_read_are_not_changed() {
    check(32, |m, x| {
        let mixed = m.moe(x, 40, Mixture::SMALL);
        let scores = m.graph.nodes[mixed].inputs[1];
        let scores = m.linear(scores, 32, "f32");
        let sum = m.node(Op::Add, &[mixed, scores]);
        m.node(Op::Add, &[sum, x])
    });
    // Rows that are their own scores.
    check(16, |m, x| {
        let mixed = m.moe(x, 24, Mixture { count: 16, ..Mixture::SMALL });
        m.graph.nodes[mixed].inputs[1] = x;
        mixed
    });
}

#[test]
fn mixtures_follow_each_other_and_run_on_selected_rows() {
    let mut model = Model::new(50);
    let embedded = model.embed(32);
    let first = model.moe(embedded, 40, Mixture::SMALL);
    let second = model.moe(first, 24, Mixture { count: 5, top_k: 4, ..Mixture::SMALL });
    let selected = model.node(Op::SelectRows, &[second]);
    let third = model.moe(selected, 40, Mixture::SMALL);
    model.linear(third, 50, "f32");
    for count in [1, 19, 150] {
        compare(&model, Setup::PLAIN, count, 5e-5);
    }
}

#[test]
fn a_decoder_with_shared_and_chosen_experts_agrees_with_the_reference() {
    let model = DecoderShape { mixture: Some(Mixture::SMALL), ..DecoderShape::SMALL }.build();
    compare(&model, Setup::PLAIN, 60, 1e-4);
}

#[test]
fn experts_that_read_different_inputs_are_refused() {
    let mut model = Model::new(50);
    let embedded = model.embed(32);
    let mixed = model.moe(embedded, 40, Mixture::SMALL);
    let mut model = model.finish(mixed);
    let Op::Moe { experts, .. } = &model.graph.nodes[mixed].op else { panic!("a mixture") };
    let (first, other) = (experts[0].up, experts[5].up);
    // Both dtypes of this size hold f32.
    model.data[other].dtype = "octet";
    let error = creation_error(&model, Setup::PLAIN);
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    for part in [
        format!("weight weight {first} has dtype f32"),
        format!("weight weight {other} dtype octet"),
        "give the experts of a layer one dtype".to_owned(),
    ] {
        assert!(error.message().contains(&part), "{error}");
    }
}

#[test]
fn more_rows_of_experts_than_can_be_numbered_are_refused() {
    let model = DecoderShape { mixture: Some(Mixture::SMALL), ..DecoderShape::SMALL }.build();
    let limits = SessionLimits { batch_tokens_max: 1 << 31, ..LIMITS };
    let error = creation_error(&model, Setup { limits, ..Setup::PLAIN });
    assert!(error.message().contains("ask for smaller batches"), "{error}");
}

#[test]
fn an_estimate_counts_the_rows_of_experts() {
    let scratch = |top_k| {
        let mixture = Some(Mixture { top_k, ..Mixture::SMALL });
        let model = DecoderShape { mixture, ..DecoderShape::SMALL }.build();
        let options = Setup::PLAIN.options(&model, DtypeLookup::new(&dtypes::find));
        Cpu::estimate(&options).expect("valid").scratch
    };
    // While gate and up are multiplied, each choice has its input and both outputs.
    let choice_bytes = LIMITS.batch_tokens_max * 4 * (128 + 96 + 96);
    assert!(scratch(6) >= scratch(2) + 4 * choice_bytes as u64);
}
