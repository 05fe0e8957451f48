//! Drafts: fewer steps where text repeats itself, and not a bit of difference in what is said.

use host_engine::{EngineLimits, SamplingParams, SequenceId, SequenceRequest, StepStats};

use crate::harness::{LIMITS, Run, request, solo};
use crate::model::{Rule, counting, hashed, repeating};

const DRAFTS: EngineLimits = EngineLimits { draft_tokens_max: 6, ..LIMITS };

/// Runs requests to their ends and compares each with what it says alone and without drafts.
fn drain(limits: EngineLimits, rule: Rule, requests: &[SequenceRequest]) -> Vec<StepStats> {
    let mut run = Run::with(limits, rule, requests);
    let steps: Vec<StepStats> =
        std::iter::from_fn(|| (!run.engine.is_idle()).then(|| run.step().0)).collect();
    for request in requests {
        let found = run.outcome(request.id.0).clone().said();
        assert_eq!(found, solo(limits, rule, request), "{request:?}");
    }
    run.assert_empty();
    steps
}

fn sum(steps: &[StepStats], figure: fn(&StepStats) -> usize) -> usize {
    steps.iter().map(figure).sum()
}

#[test]
fn text_that_repeats_takes_few_steps() {
    let limits = EngineLimits { context_length: 220, ..DRAFTS };
    // After 22 tokens the count begins again.
    let steps = drain(limits, counting, &[request(0, &[5], 200)]);
    let accepted = sum(&steps, |stats| stats.accepted_tokens);
    assert_eq!(steps.len() + accepted, 200, "each token took a step or was drafted");
    assert!(steps.len() < 60, "{}", steps.len());
    assert_eq!(accepted, sum(&steps, |stats| stats.draft_tokens), "all were right");
    let plain = EngineLimits { draft_tokens_max: 0, ..limits };
    assert_eq!(drain(plain, counting, &[request(0, &[5], 200)]).len(), 200);
}

#[test]
fn text_that_does_not_repeat_hardly_drafts() {
    let limits = EngineLimits { context_length: 1200, block_count: 320, ..DRAFTS };
    let any = SequenceRequest { ignore_eos: true, ..request(0, &[5], 1000) };
    let steps = drain(limits, hashed, &[any]);
    let drafted = sum(&steps, |stats| stats.draft_tokens);
    assert!((1..80).contains(&drafted), "{drafted} for 1000 tokens");
}

#[test]
fn ends_are_where_they_were() {
    for tokens_max in 1..40 {
        drain(DRAFTS, counting, &[request(0, &[5], tokens_max)]);
    }
    // The stop token is at the end of a draft, in the middle of one, or suppressed.
    for (stop, tokens_min) in [(8, 0), (9, 30), (10, 30), (11, 30), (12, 30), (13, 44)] {
        let stops = SequenceRequest { stop_tokens: vec![stop], tokens_min, ..request(0, &[5], 55) };
        drain(DRAFTS, counting, &[stops]);
    }
    for context_length in 24..64 {
        let limits = EngineLimits { context_length, ..DRAFTS };
        drain(limits, counting, &[request(0, &[5], 100)]);
    }
    for block_count in 6..16 {
        let limits = EngineLimits { block_count, ..DRAFTS };
        drain(limits, counting, &[request(0, &[5], 100)]);
    }
}

#[test]
fn a_draft_does_not_pass_the_length_of_short_keys() {
    for above in 25..45 {
        let limits = EngineLimits { long_above: Some(above), ..DRAFTS };
        let steps = drain(limits, counting, &[request(0, &[5], 55)]);
        assert_eq!(sum(&steps, |stats| stats.restarts), 1);
    }
}

#[test]
fn penalties_and_logprobs_see_what_they_saw() {
    let sampling = SamplingParams {
        temperature: 0.7,
        presence_penalty: 0.2,
        repetition_penalty: 1.05,
        seed: 3,
        ..SamplingParams::default()
    };
    let sampled = SequenceRequest {
        sampling,
        logprobs: Some(3),
        ignore_eos: true,
        ..request(0, &[5, 6], 60)
    };
    let steps = drain(DRAFTS, repeating, &[sampled]);
    let (drafted, accepted) =
        (sum(&steps, |stats| stats.draft_tokens), sum(&steps, |stats| stats.accepted_tokens));
    assert!(0 < accepted && accepted < drafted, "{accepted} of {drafted}");
}

#[test]
fn drafts_get_what_the_step_has_left() {
    let limits = EngineLimits { batch_tokens_max: 8, context_length: 220, ..DRAFTS };
    let requests: Vec<_> = (0..8).map(|id| request(id, &[5], 150)).collect();
    // Eight decode: nothing is left for drafts.
    assert_eq!(sum(&drain(limits, counting, &requests), |stats| stats.accepted_tokens), 0);
    let steps = drain(limits, counting, &requests[..6]);
    assert!(steps.iter().all(|stats| stats.decode_tokens + stats.draft_tokens <= 8));
    assert!(steps.iter().any(|stats| (stats.decode_tokens, stats.draft_tokens) == (6, 2)));
    assert!(sum(&steps, |stats| stats.accepted_tokens) > 0);
}

#[test]
fn a_draft_takes_blocks_from_nobody() {
    // Together they need every block to the last.
    let limits = EngineLimits { block_count: 18, ..DRAFTS };
    let requests = [request(0, &[5], 36), request(1, &[6], 36)];
    let plain = EngineLimits { draft_tokens_max: 0, ..limits };
    assert_eq!(sum(&drain(plain, counting, &requests), |stats| stats.preemptions), 0);
    let steps = drain(limits, counting, &requests);
    assert_eq!(sum(&steps, |stats| stats.preemptions), 0);
    assert!(sum(&steps, |stats| stats.accepted_tokens) > 0);
}

#[test]
fn blocks_of_a_wrong_draft_are_not_found() {
    let mut run = Run::new(DRAFTS, repeating);
    let first = SequenceRequest { ignore_eos: true, ..request(0, &[5, 6], 40) };
    run.engine.submit(first.clone()).expect("the request is sound");
    run.drain(60);
    let spoken = [&first.prompt[..], &run.outcome(0).tokens].concat();
    let second = SequenceRequest { id: SequenceId(1), prompt: spoken, ..first };
    run.engine.submit(second.clone()).expect("the request is sound");
    run.drain(60);
    // All but the last token, which has not run.
    assert_eq!(run.outcome(1).cached, 41);
    assert_eq!(run.outcome(1).clone().said(), solo(DRAFTS, repeating, &second));
}
