//! What is refused before it costs anything: requests that can never run, limits that contradict.

use host_engine::{
    Engine, EngineLimits, LOGIT_BIAS_MAX, LimitsError, STOP_TOKENS_MAX, SamplingError,
    SamplingParams, SequenceId, SequenceRequest, SubmitError,
};

use crate::harness::{LIMITS, Run, request};
use crate::model::{ScriptedModel, counting};

fn check(request: SequenceRequest, expected: &SubmitError) {
    let limits = EngineLimits { block_count: 10, ..LIMITS };
    let mut run = Run::new(limits, counting);
    assert_eq!(run.engine.submit(request).as_ref(), Err(expected));
    assert!(run.engine.is_idle());
}

fn check_accepted(request: SequenceRequest) {
    Run::new(LIMITS, counting).engine.submit(request).expect("it is within the limits");
}

#[test]
fn prompts_that_cannot_run_are_refused() {
    check(request(0, &[], 4), &SubmitError::EmptyPrompt);
    check(request(0, &[5; 64], 4), &SubmitError::PromptTooLong { tokens: 64, limit: 63 });
    check(request(0, &[5; 65], 0), &SubmitError::PromptTooLong { tokens: 65, limit: 64 });
    check(request(0, &[5; 41], 4), &SubmitError::KvTooSmall { tokens: 41, slots: 40 });
    let place = "the prompt";
    let error = SubmitError::TokenOutOfRange { place, token: 24, vocab_size: 24 };
    check(request(0, &[5, 24], 4), &error);
    check_accepted(request(0, &[23; 63], 4));
    check_accepted(request(0, &[5; 64], 0));
}

#[test]
fn lists_are_bounded() {
    let stop_tokens = vec![0; STOP_TOKENS_MAX + 1];
    let found = stop_tokens.len();
    let error = SubmitError::TooMany { place: "stop_tokens", found, limit: STOP_TOKENS_MAX };
    check(SequenceRequest { stop_tokens, ..request(0, &[5], 4) }, &error);
    let found = LOGIT_BIAS_MAX + 1;
    let error = SubmitError::TooMany { place: "logit_bias", found, limit: LOGIT_BIAS_MAX };
    check(with(|sampling| sampling.logit_bias = vec![(0, 1.0); found]), &error);
    let error = SubmitError::TokenOutOfRange { place: "logit_bias", token: 99, vocab_size: 24 };
    check(with(|sampling| sampling.logit_bias = vec![(99, 1.0)]), &error);
}

fn with(change: impl FnOnce(&mut SamplingParams)) -> SequenceRequest {
    let mut request = request(0, &[5], 4);
    change(&mut request.sampling);
    request
}

fn check_sampling(
    name: &'static str,
    found: f32,
    expected: &'static str,
    change: impl FnOnce(&mut SamplingParams, f32),
) {
    let request = with(|sampling| change(sampling, found));
    check(request, &SubmitError::Sampling(SamplingError { name, found, expected }));
}

#[test]
fn sampling_parameters_have_ranges() {
    check_sampling("temperature", -0.5, "0 or more", |s, x| s.temperature = x);
    check_sampling("temperature", f32::INFINITY, "0 or more", |s, x| s.temperature = x);
    check_sampling("top_p", 1.5, "0 to 1", |s, x| s.top_p = x);
    check_sampling("min_p", -0.1, "0 to 1", |s, x| s.min_p = x);
    check_sampling("repetition_penalty", 0.0, "more than 0", |s, x| s.repetition_penalty = x);
    let finite = "a finite number";
    check_sampling("presence_penalty", f32::INFINITY, finite, |s, x| s.presence_penalty = x);
    check_sampling("frequency_penalty", f32::NEG_INFINITY, finite, |s, x| s.frequency_penalty = x);
    check_sampling("logit_bias", f32::INFINITY, finite, |s, x| s.logit_bias = vec![(3, x)]);
    check_accepted(with(|sampling| sampling.top_p = 0.0));
}

#[test]
fn nan_is_no_sampling_parameter() {
    let mut run = Run::new(LIMITS, counting);
    let refused = run.engine.submit(with(|sampling| sampling.top_p = f32::NAN));
    let is_nan = |error: &SamplingError| error.name == "top_p" && error.found.is_nan();
    assert!(matches!(&refused, Err(SubmitError::Sampling(error)) if is_nan(error)), "{refused:?}");
}

#[test]
fn the_queue_is_bounded() {
    let limits = EngineLimits { sequences_max: 2, queue_max: 3, ..LIMITS };
    let mut run = Run::new(limits, counting);
    for id in 0..5 {
        run.engine.submit(request(id, &[5], 4)).expect("there is room");
    }
    let full = SubmitError::QueueFull { live: 5, limit: 5 };
    assert_eq!(run.engine.submit(request(5, &[5], 4)).as_ref(), Err(&full));
    // A cancelled sequence has its place until its end was reported.
    run.engine.cancel(SequenceId(4));
    assert_eq!(run.engine.submit(request(5, &[5], 4)).as_ref(), Err(&full));
    run.step();
    run.engine.submit(request(5, &[5], 4)).expect("there is room again");
    run.drain(100);
    assert_eq!(run.token_count(5), 4);
}

#[test]
fn an_id_is_used_by_one_sequence_at_a_time() {
    let mut run = Run::with(LIMITS, counting, &[request(7, &[5], 1)]);
    let taken = SubmitError::DuplicateId { id: SequenceId(7) };
    assert_eq!(run.engine.submit(request(7, &[5], 1)).as_ref(), Err(&taken));
    run.drain(5);
    run.engine.submit(request(7, &[5], 1)).expect("the first has ended");
    run.engine.cancel(SequenceId(7));
    assert_eq!(run.engine.submit(request(7, &[5], 1)).as_ref(), Err(&taken), "not yet reported");
}

fn check_limits(limits: EngineLimits, expected: &LimitsError) {
    let refused = Engine::new(limits, ScriptedModel::new(LIMITS, counting));
    assert_eq!(refused.err().as_ref(), Some(expected));
}

#[test]
fn limits_that_cannot_work_are_refused() {
    let zero = |name| LimitsError::Zero { name };
    check_limits(EngineLimits { block_size: 0, ..LIMITS }, &zero("block_size"));
    check_limits(EngineLimits { block_count: 0, ..LIMITS }, &zero("block_count"));
    check_limits(EngineLimits { sequences_max: 0, ..LIMITS }, &zero("sequences_max"));
    check_limits(EngineLimits { context_length: 0, ..LIMITS }, &zero("context_length"));
    check_limits(EngineLimits { vocab_size: 0, ..LIMITS }, &zero("vocab_size"));
    let error = LimitsError::BatchTooSmall { batch_tokens_max: 7, sequences_max: 8 };
    check_limits(EngineLimits { batch_tokens_max: 7, ..LIMITS }, &error);
    let slots = u128::from(u32::MAX) * 2;
    let name = "block_size * block_count";
    let error = LimitsError::TooLarge { name, found: slots, limit: u128::from(u32::MAX) };
    check_limits(EngineLimits { block_size: 2, block_count: u32::MAX, ..LIMITS }, &error);
}
