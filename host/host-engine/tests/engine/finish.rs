//! How sequences end: stop tokens, length, cancellation, and rows without a finite logit.

use host_engine::{
    EngineLimits, FinishReason, SamplingParams, SequenceError, SequenceId, SequenceRequest,
    SequenceUsage,
};

use crate::harness::{End, LIMITS, Outcome, Run, request, solo};
use crate::model::{EOS, POISON, Rule, counting, ending, hashed};

fn check(rule: Rule, request: &SequenceRequest, tokens: &[u32], reason: FinishReason) -> Outcome {
    let outcome = solo(LIMITS, rule, request);
    assert_eq!(outcome.tokens, tokens);
    let stop_token = (reason == FinishReason::Stop).then_some(EOS);
    let usage = SequenceUsage {
        prompt_tokens: request.prompt.len(),
        cached_tokens: 0,
        completion_tokens: tokens.len() + usize::from(stop_token.is_some()),
    };
    assert_eq!(outcome.end, Some(End::Finished { reason, stop_token, usage }));
    outcome
}

#[test]
fn the_stop_token_ends_the_completion_and_is_counted() {
    check(ending, &request(0, &[5], 9), &[], FinishReason::Stop);
}

#[test]
fn stop_tokens_wait_for_tokens_min() {
    let request = SequenceRequest { tokens_min: 3, ..request(0, &[5], 9) };
    check(ending, &request, &[2, 2, 2], FinishReason::Stop);
}

#[test]
fn ignore_eos_makes_stop_tokens_ordinary() {
    let request = SequenceRequest { ignore_eos: true, tokens_min: 2, ..request(0, &[5], 3) };
    check(ending, &request, &[EOS, EOS, EOS], FinishReason::Length);
}

#[test]
fn tokens_max_ends_the_completion() {
    check(counting, &request(0, &[5, 6], 3), &[7, 8, 9], FinishReason::Length);
    check(counting, &request(0, &[5], 1), &[6], FinishReason::Length);
}

#[test]
fn no_token_is_sampled_when_none_is_asked_for() {
    check(counting, &request(0, &[5, 6], 0), &[], FinishReason::Length);
}

#[test]
fn a_full_context_ends_the_completion() {
    let outcome = solo(LIMITS, counting, &request(0, &[5; 60], usize::MAX));
    assert_eq!(outcome.tokens, [6, 7, 8, 9]);
    assert_eq!(outcome.reason(), Some(FinishReason::Length));
}

#[test]
fn a_full_cache_ends_the_completion() {
    // Eight slots; the last token of a sequence needs none.
    let limits = EngineLimits { block_count: 2, ..LIMITS };
    let outcome = solo(limits, counting, &request(0, &[5; 6], 100));
    assert_eq!(outcome.tokens, [6, 7, 8]);
    assert_eq!(outcome.reason(), Some(FinishReason::Length));
}

#[test]
fn rows_of_nan_fail_their_sequence_only() {
    for temperature in [0.0, 0.8] {
        let sampling = SamplingParams { temperature, ..SamplingParams::default() };
        let good = SequenceRequest { sampling, ignore_eos: true, ..request(0, &[5, 6], 5) };
        let bad = SequenceRequest { id: SequenceId(1), prompt: vec![POISON, 7], ..good.clone() };
        let mut run = Run::with(LIMITS, hashed, &[good.clone(), bad]);
        run.drain(20);
        assert_eq!(run.outcome(0), &solo(LIMITS, hashed, &good));
        let error = SequenceError::NoFiniteLogits { position: 2 };
        assert!(error.to_string().contains("the model returned no finite logits"), "{error}");
        assert_eq!(run.outcome(1).end, Some(End::Failed(error)));
        run.assert_empty();
    }
}

#[test]
fn cancel_frees_blocks_at_once_and_is_reported_once() {
    let mut run = Run::with(LIMITS, counting, &[request(0, &[5; 9], 20), request(1, &[5], 20)]);
    run.step();
    let used = run.engine.counts().blocks_used;
    assert!(run.engine.cancel(SequenceId(0)));
    assert_eq!(run.engine.counts().blocks_used, used - 3);
    assert!(!run.engine.cancel(SequenceId(0)));
    run.drain(30);
    assert_eq!(run.outcome(0).reason(), Some(FinishReason::Cancelled));
    assert_eq!(run.token_count(1), 20);
    assert!(!run.engine.cancel(SequenceId(1)), "it has ended");
}

#[test]
fn a_waiting_sequence_can_be_cancelled() {
    let limits = EngineLimits { sequences_max: 1, ..LIMITS };
    let mut run = Run::with(limits, counting, &[request(0, &[5], 3), request(1, &[5], 3)]);
    run.step();
    assert!(run.engine.cancel(SequenceId(1)));
    run.drain(10);
    assert_eq!(run.outcome(1).reason(), Some(FinishReason::Cancelled));
    assert_eq!(run.token_count(1), 0);
}
