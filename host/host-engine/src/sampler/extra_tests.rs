//! Typical, XTC and DRY beside the other ways to choose, and that they are not there when off.

use std::sync::Arc;

use proptest::prelude::*;

use super::tests::{ROW, check_shares, draw_with, sampled};
use crate::dry::{Breakers, Dry};
use crate::sampling::SamplingParams;

pub(super) fn dry(multiplier: f32) -> Dry {
    let breakers = Arc::new(Breakers::default());
    Dry { multiplier, base: 2.0, allowed_length: 2, last_n: 64, breakers }
}

#[test]
fn typical_drops_the_most_likely_too() {
    // The surprises are 2.30, 0.92, 1.61, 1.39 and 3.00, the entropy is 1.42.
    let typical = |typical_p| SamplingParams { typical_p, ..sampled() };
    check_shares(&typical(0.2), &ROW, &[0.0, 0.0, 0.0, 1.0, 0.0]);
    check_shares(&typical(0.4), &ROW, &[0.0, 0.0, 0.2 / 0.45, 0.25 / 0.45, 0.0]);
    check_shares(&typical(0.6), &ROW, &[0.0, 0.4 / 0.85, 0.2 / 0.85, 0.25 / 0.85, 0.0]);
    // The others look at what it left: of 0.2 and 0.25 the second holds 0.56.
    let nucleus = SamplingParams { top_p: 0.5, ..typical(0.4) };
    check_shares(&nucleus, &ROW, &[0.0, 0.0, 0.0, 1.0, 0.0]);
    let min_p = SamplingParams { min_p: 0.9, ..typical(0.4) };
    check_shares(&min_p, &ROW, &[0.0, 0.0, 0.0, 1.0, 0.0]);
    // Of 0.4 and 0.25 renormalised the entropy is 0.67 and the surprises are 0.49 and 0.96.
    let top_k = SamplingParams { top_k: 2, ..typical(0.5) };
    check_shares(&top_k, &ROW, &[0.0, 1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn xtc_leaves_the_last_of_the_top() {
    let xtc = |xtc_probability, xtc_threshold| SamplingParams {
        xtc_probability,
        xtc_threshold,
        ..sampled()
    };
    let all_but_two = [0.1 / 0.35, 0.0, 0.2 / 0.35, 0.0, 0.05 / 0.35];
    check_shares(&xtc(1.0, 0.15), &ROW, &all_but_two);
    check_shares(&xtc(1.0, 0.3), &ROW, &ROW);
    check_shares(&xtc(1.0, 0.6), &ROW, &ROW);
    check_shares(&xtc(0.0, 0.15), &ROW, &ROW);
    let half: Vec<f64> = ROW.iter().zip(all_but_two).map(|(a, b)| (a + b) / 2.0).collect();
    check_shares(&xtc(0.5, 0.15), &ROW, &half);
    // Of what the others left: 0.4 and 0.25 are 0.62 and 0.38 of it.
    let top_k = SamplingParams { top_k: 2, ..xtc(1.0, 0.35) };
    check_shares(&top_k, &ROW, &[0.0, 0.0, 0.0, 1.0, 0.0]);
}

#[test]
fn dry_moves_the_choice() {
    let logits = [0.0, 0.0, 3.0, 2.5, 0.0];
    // The history is a prompt of two tokens and the completion, and repeats `0 1`, then 2 follows.
    let history = [0, 1, 2, 4, 0, 1];
    let with = |dry| SamplingParams { dry, ..SamplingParams::default() };
    assert_eq!(draw_with(&with(None), &logits, &history), Some(2));
    assert_eq!(draw_with(&with(Some(dry(0.4))), &logits, &history), Some(2));
    assert_eq!(draw_with(&with(Some(dry(0.6))), &logits, &history), Some(3));
    let short = Dry { last_n: 5, ..dry(0.6) };
    assert_eq!(draw_with(&with(Some(short)), &logits, &history), Some(2));
    // What alone is allowed is chosen, whatever the penalty.
    let (no, huge) = (f32::NEG_INFINITY, Dry { base: f32::MAX, ..dry(f32::MAX) });
    assert_eq!(draw_with(&with(Some(huge)), &[no, no, 3.0, no, no], &history), Some(2));
}

/// Every way to choose, each with settings under which it changes nothing.
fn without_effect() -> impl Strategy<Value = (f32, f32, f32, Option<Dry>)> {
    let repeats_nothing = Dry { allowed_length: 100, ..dry(9.0) };
    let dry = prop_oneof![Just(None), Just(Some(dry(0.0))), Just(Some(repeats_nothing))];
    let xtc = prop_oneof![(Just(0.0_f32), 0.0_f32..=1.0), (0.0_f32..=1.0, 0.51_f32..=1.0)];
    (Just(1.0_f32), xtc, dry)
        .prop_map(|(typical, (probability, threshold), dry)| (typical, probability, threshold, dry))
}

proptest! {
    #[test]
    fn what_is_off_changes_no_token(
        logits in prop::collection::vec(-5.0_f32..5.0, 3..200),
        history in prop::collection::vec(0_u32..3, 2..40),
        (top_k, top_p, min_p) in (0_usize..8, 0.1_f32..=1.0, 0.0_f32..0.3),
        (typical_p, xtc_probability, xtc_threshold, dry) in without_effect(),
        (temperature, seed) in (0.0_f32..2.0, any::<u64>()),
    ) {
        let plain = SamplingParams { temperature, top_k, top_p, min_p, seed, ..Default::default() };
        let extra =
            SamplingParams { typical_p, xtc_probability, xtc_threshold, dry, ..plain.clone() };
        prop_assert_eq!(
            draw_with(&extra, &logits, &history),
            draw_with(&plain, &logits, &history)
        );
    }
}
