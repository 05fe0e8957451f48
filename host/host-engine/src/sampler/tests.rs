//! What is chosen from small rows whose shares were worked out by hand.

use super::extra_tests::dry;
use super::{Draw, Sampler};
use crate::sampling::SamplingParams;

const SEEDS: u64 = 20_000;

pub(super) fn draw_with(params: &SamplingParams, logits: &[f32], history: &[u32]) -> Option<u32> {
    let mut row = logits.to_vec();
    let draw = Draw {
        params,
        history,
        prompt_tokens: 2.min(history.len()),
        suppressed: &[],
        constrained: false,
    };
    let token = Sampler::default().sample(&mut row, &draw);
    let bits = |row: &[f32]| row.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&row), bits(logits), "the row is left as it was");
    token
}

/// Share of each token over many seeds.
fn shares(params: &SamplingParams, logits: &[f32]) -> Vec<f64> {
    let mut counts = vec![0_u32; logits.len()];
    for seed in 0..SEEDS {
        let params = SamplingParams { seed, ..params.clone() };
        counts[draw_with(&params, logits, &[]).expect("a finite logit") as usize] += 1;
    }
    counts.into_iter().map(|n| f64::from(n) / SEEDS as f64).collect()
}

pub(super) fn check_shares(params: &SamplingParams, probabilities: &[f64], expected: &[f64]) {
    let logits: Vec<f32> = probabilities.iter().map(|p| p.ln() as f32).collect();
    let found = shares(params, &logits);
    for (share, wanted) in found.iter().zip(expected) {
        // Five standard deviations at 20,000 draws; what is cut must never come.
        let close = (share - wanted).abs() < 0.018 && (*wanted > 0.0 || *share == 0.0);
        assert!(close, "{params:?}: {found:?}, wanted {expected:?}");
    }
}

pub(super) fn sampled() -> SamplingParams {
    SamplingParams { temperature: 1.0, ..SamplingParams::default() }
}

pub(super) const ROW: [f64; 5] = [0.1, 0.4, 0.2, 0.25, 0.05];

#[test]
fn plain_sampling_follows_the_probabilities() {
    check_shares(&sampled(), &ROW, &ROW);
    let cold = SamplingParams { temperature: 0.5, ..sampled() };
    let squares: f64 = ROW.iter().map(|p| p * p).sum();
    check_shares(&cold, &ROW, &ROW.map(|p| p * p / squares));
    let hot = SamplingParams { temperature: 1e30, ..sampled() };
    check_shares(&hot, &ROW, &[0.2; 5]);
}

#[test]
fn top_k_keeps_the_most_likely() {
    let top = |top_k| SamplingParams { top_k, ..sampled() };
    check_shares(&top(1), &ROW, &[0.0, 1.0, 0.0, 0.0, 0.0]);
    check_shares(&top(2), &ROW, &[0.0, 0.4 / 0.65, 0.0, 0.25 / 0.65, 0.0]);
    check_shares(&top(5), &ROW, &ROW);
    check_shares(&top(usize::MAX), &ROW, &ROW);
}

#[test]
fn top_p_keeps_the_fewest_that_reach_it() {
    let top = |top_p| SamplingParams { top_p, ..sampled() };
    check_shares(&top(0.0), &ROW, &[0.0, 1.0, 0.0, 0.0, 0.0]);
    check_shares(&top(0.39), &ROW, &[0.0, 1.0, 0.0, 0.0, 0.0]);
    check_shares(&top(0.6), &ROW, &[0.0, 0.4 / 0.65, 0.0, 0.25 / 0.65, 0.0]);
    check_shares(&top(0.84), &ROW, &[0.0, 0.4 / 0.85, 0.2 / 0.85, 0.25 / 0.85, 0.0]);
}

#[test]
fn top_p_counts_within_top_k() {
    // Of 0.4 and 0.25 renormalised, the first holds 0.615.
    let params = SamplingParams { top_k: 2, top_p: 0.6, ..sampled() };
    check_shares(&params, &ROW, &[0.0, 1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn min_p_is_relative_to_the_most_likely() {
    let min = |min_p| SamplingParams { min_p, ..sampled() };
    let expected = [0.0, 0.4 / 0.85, 0.2 / 0.85, 0.25 / 0.85, 0.0];
    check_shares(&min(0.4), &ROW, &expected);
    check_shares(&min(1.0), &ROW, &[0.0, 1.0, 0.0, 0.0, 0.0]);
    let all = SamplingParams { top_k: 4, top_p: 0.99, min_p: 0.4, ..sampled() };
    check_shares(&all, &ROW, &expected);
    let nucleus = SamplingParams { top_p: 0.99, min_p: 0.4, ..sampled() };
    check_shares(&nucleus, &ROW, &expected);
}

#[test]
fn a_wide_nucleus_is_found_in_a_flat_row() {
    // 5,000 equal logits: top-p 0.5 keeps the 2,500 lowest ids, more than the first looks hold.
    let params = SamplingParams { top_p: 0.5, ..sampled() };
    let logits = vec![0.5_f32; 5_000];
    let mut highest = 0;
    for seed in 0..400 {
        let params = SamplingParams { seed, ..params.clone() };
        highest = highest.max(draw_with(&params, &logits, &[]).expect("a finite logit"));
    }
    assert!((2_300..2_500).contains(&highest), "{highest}");
}

#[test]
fn greedy_takes_the_lowest_of_equal_logits() {
    let greedy = SamplingParams::default();
    assert_eq!(draw_with(&greedy, &[1.0, 3.0, 3.0, 2.0], &[]), Some(1));
    assert_eq!(draw_with(&greedy, &[f32::NAN, f32::NEG_INFINITY, -9.0], &[]), Some(2));
}

#[test]
fn nothing_finite_chooses_nothing() {
    for params in [SamplingParams::default(), sampled()] {
        assert_eq!(draw_with(&params, &[f32::NAN, f32::NEG_INFINITY], &[]), None);
    }
}

#[test]
fn extreme_logits_and_temperatures_still_choose() {
    let rows = [[f32::INFINITY, 0.0, 1.0], [3e38, -3e38, f32::NAN], [-3e38, -3e38, -3e38]];
    for row in rows {
        for temperature in [0.0, 1e-45, 1.0, f32::MAX] {
            for (top_k, top_p, typical_p) in
                [(0, 1.0, 1.0), (2, 1.0, 1.0), (0, 0.9, 1.0), (0, 1.0, 0.5), (2, 0.9, 0.0)]
            {
                let params = SamplingParams {
                    temperature,
                    top_k,
                    top_p,
                    typical_p,
                    xtc_probability: 0.5,
                    ..SamplingParams::default()
                };
                let token = draw_with(&params, &row, &[]).expect("a finite logit");
                assert!(!row[token as usize].is_nan(), "{params:?} {row:?}");
            }
        }
    }
}

/// Greedy choice with penalties over prompt `[0, 1]` and the given completion.
fn check_penalty(params: &SamplingParams, completion: &[u32], logits: &[f32], expected: u32) {
    let history = [&[0, 1], completion].concat();
    assert_eq!(draw_with(params, logits, &history), Some(expected), "{params:?}");
}

#[test]
fn penalties_move_the_choice() {
    let none = SamplingParams::default();
    check_penalty(&none, &[2], &[2.0, 1.0, 1.5], 0);
    let repetition = SamplingParams { repetition_penalty: 2.0, ..none.clone() };
    check_penalty(&repetition, &[], &[2.0, 1.0, 1.5], 2);
    check_penalty(&repetition, &[2], &[-1.0, -1.1, -1.2, -1.9], 3);
    // Presence and frequency look at the completion only, frequency at each time.
    let presence = SamplingParams { presence_penalty: 1.0, ..none.clone() };
    check_penalty(&presence, &[], &[2.0, 1.9, 0.0], 0);
    check_penalty(&presence, &[0, 0, 0], &[2.0, 0.9, 0.0], 0);
    let frequency = SamplingParams { frequency_penalty: 1.0, ..none };
    check_penalty(&frequency, &[0, 0, 0], &[2.0, -0.9, -2.0], 1);
}

#[test]
fn bias_and_suppression_move_the_choice() {
    let params = SamplingParams { logit_bias: vec![(1, 5.0), (0, -5.0)], ..Default::default() };
    assert_eq!(draw_with(&params, &[3.0, 1.0, 2.0], &[]), Some(1));
    let draw = Draw {
        params: &SamplingParams::default(),
        history: &[],
        prompt_tokens: 0,
        suppressed: &[0, 7],
        constrained: false,
    };
    assert_eq!(Sampler::default().sample(&mut [3.0, 1.0, 2.0], &draw), Some(2));
}

#[test]
fn buffers_carry_nothing_from_one_draw_to_the_next() {
    let mut sampler = Sampler::default();
    let rows = [vec![1.0, 2.0, 3.0, 0.5], vec![0.5, 0.1, 0.4, 0.3]];
    let several = [
        SamplingParams { repetition_penalty: 1.5, frequency_penalty: 0.5, ..sampled() },
        SamplingParams { top_k: 2, logit_bias: vec![(3, 2.0)], ..sampled() },
        SamplingParams { top_p: 0.8, ..sampled() },
        SamplingParams { typical_p: 0.5, xtc_probability: 0.5, ..sampled() },
        SamplingParams { typical_p: 0.5, top_k: 3, dry: Some(dry(1.0)), ..sampled() },
        sampled(),
    ];
    for seed in 0..200 {
        for params in &several {
            let params = SamplingParams { seed, ..params.clone() };
            for row in &rows {
                let draw = Draw {
                    params: &params,
                    history: &[1, 2, 2, 3],
                    prompt_tokens: 2,
                    suppressed: &[],
                    constrained: false,
                };
                let reused = sampler.sample(&mut row.clone(), &draw);
                assert_eq!(reused, draw_with(&params, row, &[1, 2, 2, 3]));
            }
        }
    }
}
