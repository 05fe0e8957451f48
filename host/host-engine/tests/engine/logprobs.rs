//! Logprobs through the engine: of the completion, and of the prompt over chunks.

use host_engine::{EngineLimits, SamplingParams, SequenceId, SequenceRequest, TokenLogprobs};

use crate::harness::{LIMITS, Run, request, solo};
use crate::model::hashed;

fn naive(history: &[u32]) -> Vec<f64> {
    let mut logits = vec![0.0; LIMITS.vocab_size];
    hashed(history, &mut logits);
    let sum: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
    logits.iter().map(|&x| f64::from(x) - sum.ln()).collect()
}

fn check(found: &TokenLogprobs, history: &[u32], token: u32, top_count: usize) {
    let expected = naive(history);
    let close = |token: u32, logprob: f32| {
        assert!((expected[token as usize] - f64::from(logprob)).abs() < 1e-5, "{found:?}");
    };
    assert_eq!(found.token, token);
    close(token, found.logprob);
    assert_eq!(found.top.len(), top_count);
    let mut order: Vec<u32> = (0..LIMITS.vocab_size as u32).collect();
    order.sort_by(|&a, &b| expected[b as usize].total_cmp(&expected[a as usize]));
    for (top, wanted) in found.top.iter().zip(order) {
        assert_eq!(top.token, wanted);
        close(top.token, top.logprob);
    }
}

fn scored(prompt: &[u32]) -> SequenceRequest {
    SequenceRequest {
        logprobs: Some(3),
        prompt_logprobs: true,
        ignore_eos: true,
        ..request(0, prompt, 6)
    }
}

#[test]
fn logprobs_describe_the_raw_logits_whatever_the_sampling() {
    let sampling = SamplingParams {
        temperature: 2.0,
        repetition_penalty: 1.3,
        logit_bias: vec![(4, 3.0)],
        seed: 9,
        ..SamplingParams::default()
    };
    for sampling in [SamplingParams::default(), sampling] {
        let request = SequenceRequest { sampling, ..scored(&[4, 9, 2]) };
        let outcome = solo(LIMITS, hashed, &request);
        let history = [&request.prompt, &outcome.tokens[..]].concat();
        assert_eq!(outcome.tokens.len(), 6);
        for (index, &token) in outcome.tokens.iter().enumerate() {
            let found = outcome.logprobs[index].as_ref().expect("logprobs were asked for");
            check(found, &history[..3 + index], token, 3);
        }
    }
}

#[test]
fn prompt_logprobs_cover_each_token_but_the_first_once() {
    let prompt: Vec<u32> = (0..50).map(|i| 2 + i * 7 % 22).collect();
    // Two sequences at most make 32 rows a step: the prompt needs chunks for its rows, and in the
    // second run for its tokens.
    for batch_tokens_max in [64, 7] {
        let limits = EngineLimits { batch_tokens_max, sequences_max: 2, ..LIMITS };
        let mut run = Run::with(limits, hashed, &[scored(&prompt)]);
        run.drain(100);
        let outcome = run.outcome(0);
        assert_eq!(outcome.prompt_logprobs.len(), 49);
        for (index, found) in outcome.prompt_logprobs.iter().enumerate() {
            check(found, &prompt[..=index], prompt[index + 1], 3);
        }
        assert_eq!(outcome.tokens.len(), 6);
    }
}

#[test]
fn prompts_share_the_rows_of_a_step() {
    // Far more tokens than rows fit a step; the model checks that the rows stay within bounds.
    let limits = EngineLimits { batch_tokens_max: 400, sequences_max: 6, ..LIMITS };
    let requests: Vec<_> = (0..6)
        .map(|id| SequenceRequest { id: SequenceId(id), ..scored(&[4 + id as u32; 30]) })
        .collect();
    let mut run = Run::with(EngineLimits { block_count: 100, ..limits }, hashed, &requests);
    let (stats, _) = run.step();
    assert_eq!(run.engine.model().last.logit_rows.len(), limits.logit_rows_max());
    assert_eq!(stats.sequences, 6, "each has a share");
    run.drain(100);
    for request in &requests {
        assert_eq!(run.outcome(request.id.0), &solo(limits, hashed, request));
    }
}

#[test]
fn a_prompt_can_be_scored_without_a_completion() {
    let request = SequenceRequest { tokens_max: 0, logprobs: None, ..scored(&[4, 9, 2]) };
    let outcome = solo(LIMITS, hashed, &request);
    assert_eq!((outcome.prompt_logprobs.len(), outcome.tokens.len()), (2, 0));
    check(&outcome.prompt_logprobs[1], &[4, 9], 2, 0);
    assert_eq!(solo(LIMITS, hashed, &scored(&[4])).prompt_logprobs, []);
}

#[test]
fn prompt_logprobs_are_not_repeated_after_preemption() {
    let limits = EngineLimits { block_size: 2, block_count: 12, batch_tokens_max: 9, ..LIMITS };
    let requests: Vec<_> = (0..4)
        .map(|id| {
            let prompt = [4 + id as u32; 5];
            SequenceRequest { id: SequenceId(id), tokens_max: 9, ..scored(&prompt) }
        })
        .collect();
    let mut run = Run::with(limits, hashed, &requests);
    run.drain(500);
    assert!(run.preemptions > 0);
    for request in &requests {
        assert_eq!(run.outcome(request.id.0), &solo(limits, hashed, request));
    }
}
