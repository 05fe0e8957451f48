//! The prefix cache: what is found, what has to run all the same, and what goes first.

use host_engine::{EngineLimits, SamplingParams, SequenceRequest, StepStats, TokenId};

use crate::harness::{LIMITS, Run, request, solo};
use crate::model::{counting, hashed};

fn prompt(length: u32) -> Vec<TokenId> {
    (0..length).map(|token| 2 + token % 20).collect()
}

/// Runs one request to its end; returns its cached tokens and the prompt tokens that ran.
fn serve(run: &mut Run, request: &SequenceRequest) -> (usize, usize) {
    run.engine.submit(request.clone()).expect("the request is sound");
    let steps = drain(run);
    let outcome = run.outcome(request.id.0);
    assert_eq!(outcome.clone().said(), solo(*run.engine.limits(), hashed, request));
    (outcome.cached, steps.iter().map(|stats| stats.prefill_tokens).sum())
}

fn drain(run: &mut Run) -> Vec<StepStats> {
    std::iter::from_fn(|| (!run.engine.is_idle()).then(|| run.step().0)).collect()
}

/// A prompt of `length` tokens after one of 20 has run.
#[track_caller]
fn check_second(limits: EngineLimits, second: &SequenceRequest, expected: (usize, usize)) {
    let mut run = Run::new(limits, hashed);
    let unseen = serve(&mut run, &request(0, &prompt(20), 1));
    assert_eq!(unseen, (0, 20));
    assert_eq!(serve(&mut run, second), expected);
    run.assert_empty();
}

#[test]
fn what_is_cached_is_found_and_the_last_token_runs() {
    check_second(LIMITS, &request(1, &prompt(22), 3), (20, 2));
    check_second(LIMITS, &request(1, &prompt(21), 3), (20, 1));
    check_second(LIMITS, &request(1, &prompt(20), 3), (19, 1));
    check_second(LIMITS, &request(1, &prompt(4), 3), (3, 1));
    check_second(LIMITS, &request(1, &prompt(1), 3), (0, 1));
    check_second(LIMITS, &request(1, &prompt(20), 0), (19, 1));
    check_second(LIMITS, &request(1, &[&prompt(11), &[9; 8][..]].concat(), 3), (11, 8));
    check_second(LIMITS, &request(1, &prompt(20)[1..], 3), (0, 19));
}

#[test]
fn nothing_is_found_without_the_cache() {
    let limits = EngineLimits { prefix_cache: false, ..LIMITS };
    check_second(limits, &request(1, &prompt(20), 3), (0, 20));
}

#[test]
fn a_prompt_that_is_scored_runs_from_its_first_token() {
    let scored =
        SequenceRequest { logprobs: Some(2), prompt_logprobs: true, ..request(1, &prompt(20), 3) };
    check_second(LIMITS, &scored, (0, 20));
}

#[test]
fn keys_of_long_sequences_are_not_those_of_short_ones() {
    let limits = EngineLimits { long_above: Some(20), ..LIMITS };
    check_second(limits, &request(1, &prompt(22), 3), (0, 22));
    let limits = EngineLimits { long_above: Some(10), ..LIMITS };
    // It begins short and grows long, which computes it again but for what another has left.
    let grows = SequenceRequest { ignore_eos: true, ..request(1, &prompt(10), 3) };
    check_second(limits, &grows, (0, 10 + 1));
    check_second(limits, &request(1, &prompt(22), 3), (20, 2));
}

#[test]
fn the_completion_is_found_too() {
    let mut run = Run::new(LIMITS, hashed);
    let first = SequenceRequest { ignore_eos: true, ..request(0, &prompt(6), 12) };
    serve(&mut run, &first);
    let spoken = [&first.prompt, &run.outcome(0).tokens[..], &[5, 6, 7]].concat();
    // Of 18 tokens the last has not run.
    assert_eq!(serve(&mut run, &request(1, &spoken, 2)), (17, 4));
}

#[test]
fn parts_of_blocks_are_copied_and_not_shared() {
    let mut run = Run::new(LIMITS, hashed);
    serve(&mut run, &request(0, &prompt(18), 1));
    // Both begin with the tail of the first and go on otherwise, together.
    let both = [7, 8].map(|end| request(end.into(), &[&prompt(18)[..], &[end; 3]].concat(), 4));
    both.iter().for_each(|r| run.engine.submit(r.clone()).expect("the request is sound"));
    drain(&mut run);
    for request in &both {
        assert_eq!(run.outcome(request.id.0).cached, 18);
        assert_eq!(run.outcome(request.id.0).clone().said(), solo(LIMITS, hashed, request));
    }
    run.assert_empty();
}

#[test]
fn equal_prompts_that_arrive_together_run_once() {
    let sampling = |seed| SamplingParams { temperature: 2.0, seed, ..SamplingParams::default() };
    let equal = |id| SequenceRequest {
        ignore_eos: true,
        sampling: sampling(id),
        ..request(id, &prompt(38), 6)
    };
    let requests: Vec<_> = (0..4).map(equal).collect();
    let mut run = Run::with(LIMITS, hashed, &requests);
    let steps = drain(&mut run);
    let ran: usize = steps.iter().map(|stats| stats.prefill_tokens).sum();
    assert_eq!(ran, 38 + 3 * 2);
    let of = |figure: fn(&StepStats) -> usize| steps.iter().map(figure).sum::<usize>();
    assert_eq!(of(|stats| stats.prefix_queries), 4 * 38);
    assert_eq!(of(|stats| stats.prefix_hits), 3 * 36);
    // They hold the shared blocks together: nine, and one each.
    let all = steps.iter().map(|stats| stats.counts).filter(|counts| counts.running == 4);
    assert_eq!(all.map(|counts| counts.blocks_used).min(), Some(9 + 4));
    for request in &requests {
        let outcome = run.outcome(request.id.0).clone();
        assert_eq!(outcome.cached, if request.id.0 == 0 { 0 } else { 36 });
        assert_eq!(outcome.said(), solo(LIMITS, hashed, request));
    }
    run.assert_empty();
}

#[test]
fn a_later_prompt_goes_on_where_the_earlier_one_is() {
    let mut run = Run::with(LIMITS, hashed, &[request(0, &prompt(40), 2)]);
    run.step();
    let later = request(1, &[&prompt(30), &[9; 4][..]].concat(), 2);
    run.engine.submit(later.clone()).expect("the request is sound");
    drain(&mut run);
    // Seven blocks and a half are equal; it computes none of that.
    assert_eq!(run.outcome(1).cached, 30);
    assert_eq!(run.outcome(1).clone().said(), solo(LIMITS, hashed, &later));
}

#[test]
fn who_waits_for_a_prompt_that_is_cancelled_runs_it_alone() {
    let requests = [request(0, &prompt(40), 2), request(1, &prompt(40), 2)];
    let mut run = Run::with(LIMITS, hashed, &requests);
    let (stats, _) = run.step();
    assert_eq!((stats.sequences, stats.prefill_tokens), (1, 16));
    run.engine.cancel(requests[0].id);
    drain(&mut run);
    assert_eq!(run.outcome(1).cached, 16);
    assert_eq!(run.outcome(1).clone().said(), solo(LIMITS, hashed, &requests[1]));
}

#[test]
fn a_preempted_sequence_takes_back_what_is_left_of_its_blocks() {
    let limits = EngineLimits { block_count: 12, ..LIMITS };
    let mut run = Run::with(limits, counting, &[request(0, &prompt(20), 20)]);
    run.step();
    run.step();
    run.engine.pause(host_engine::SequenceId(0));
    run.engine.submit(request(1, &[9; 30], 1)).expect("the request is sound");
    drain(&mut run);
    assert_eq!((run.preemptions, run.token_count(1)), (1, 1));
    run.engine.resume(host_engine::SequenceId(0));
    let (stats, _) = run.step();
    // Of its six blocks four are left, and none of that counts as found for the request.
    assert_eq!((stats.prefill_tokens, stats.prefix_hits, stats.prefix_queries), (5, 0, 0));
    drain(&mut run);
    assert_eq!(run.outcome(0).cached, 0);
}

#[test]
fn the_end_of_what_was_used_longest_ago_goes_first() {
    let limits = EngineLimits { block_count: 10, context_length: 41, ..LIMITS };
    let mut run = Run::new(limits, hashed);
    let (old, new) = (vec![3; 16], vec![4; 16]);
    serve(&mut run, &request(0, &old, 1));
    serve(&mut run, &request(1, &new, 1));
    let counts = run.engine.counts();
    assert_eq!((counts.blocks_used, counts.blocks_cached), (0, 8));
    // Two blocks are free, two more are taken from the end of the older prompt.
    serve(&mut run, &request(2, &[5; 14], 1));
    assert_eq!(run.engine.counts().blocks_cached, 10);
    assert_eq!(serve(&mut run, &request(3, &[&old[..], &[6]].concat(), 1)), (8, 9));
    // None was free: that took three of the other prompt.
    assert_eq!(serve(&mut run, &request(4, &[&new[..], &[6]].concat(), 1)), (4, 13));
}

#[test]
fn blocks_in_use_are_not_taken() {
    let limits = EngineLimits { block_count: 6, context_length: 25, ..LIMITS };
    let mut run = Run::with(limits, hashed, &[request(0, &prompt(8), 3)]);
    run.engine.submit(request(1, &prompt(12), 3)).expect("the request is sound");
    run.engine.submit(request(2, &prompt(16), 3)).expect("the request is sound");
    drain(&mut run);
    for (id, length) in [(0, 8), (1, 12), (2, 16)] {
        let alone = solo(limits, hashed, &request(id, &prompt(length), 3));
        assert_eq!(run.outcome(id).clone().said(), alone);
    }
    run.assert_empty();
}
