//! Sequences that grow past the length above which the model rotates their keys otherwise.

use host_engine::{EngineLimits, SequenceId};

use crate::harness::{LIMITS, Run, request, solo};
use crate::model::{counting, hashed};

const LONG: EngineLimits = EngineLimits { long_above: Some(8), ..LIMITS };

#[test]
fn a_sequence_that_grows_long_goes_on_as_if_it_had_always_been() {
    let mut grown = request(0, &[5, 6, 7], 20);
    grown.ignore_eos = true;
    let mut run = Run::with(LONG, hashed, std::slice::from_ref(&grown));
    let mut restarts = Vec::new();
    while !run.engine.is_idle() {
        restarts.push(run.step().0.restarts);
    }
    let tokens = &run.outcome(0).tokens;
    assert_eq!((restarts.iter().sum::<usize>(), tokens.len()), (1, 20));
    assert_eq!(restarts[5], 1, "its sixth token is the ninth of the sequence");
    let mut long = grown.clone();
    long.prompt.extend(&tokens[..6]);
    assert_eq!(solo(LONG, hashed, &long).tokens[..14], tokens[6..]);
    assert_ne!(solo(LIMITS, hashed, &grown).tokens, *tokens, "the length makes a difference");
}

#[test]
fn it_keeps_its_blocks_and_prefills_in_chunks() {
    let limits = EngineLimits { batch_tokens_max: 4, sequences_max: 1, ..LONG };
    let mut run = Run::with(limits, counting, &[request(0, &[5; 6], 5)]);
    let steps: Vec<_> = std::iter::repeat_with(|| run.step().0).take(7).collect();
    let prefill: Vec<usize> = steps.iter().map(|stats| stats.prefill_tokens).collect();
    let decode: Vec<usize> = steps.iter().map(|stats| stats.decode_tokens).collect();
    assert_eq!(prefill, [4, 2, 0, 0, 4, 4, 0]);
    assert_eq!(decode, [0, 0, 1, 1, 0, 0, 1], "the token chosen last is decoded again");
    let used: Vec<usize> = steps.iter().map(|stats| stats.counts.blocks_used).collect();
    assert_eq!(used, [2, 2, 2, 2, 3, 3, 3]);
    assert_eq!((run.token_count(0), run.preemptions), (4, 0));
}

#[test]
fn a_prompt_knows_its_length_from_its_first_chunk_on() {
    let limits = EngineLimits { batch_tokens_max: 8, ..LONG };
    let mut run = Run::with(limits, counting, &[request(0, &[5; 12], 5)]);
    let restarts: usize = std::iter::from_fn(|| (!run.engine.is_idle()).then(|| run.step().0))
        .map(|stats| stats.restarts)
        .sum();
    assert_eq!((restarts, run.token_count(0)), (0, 5));
    assert_eq!(run.engine.model().last.sequence_lengths, [16]);
}

#[test]
fn a_sequence_that_ends_at_the_length_does_not_begin_anew() {
    let mut run = Run::with(LONG, counting, &[request(0, &[5; 4], 5)]);
    let restarts: usize = std::iter::repeat_with(|| run.step().0.restarts).take(6).sum();
    assert_eq!((restarts, run.token_count(0)), (0, 5));
    run.assert_empty();
}

#[test]
fn a_paused_sequence_begins_anew_when_it_goes_on() {
    let alone = request(0, &[5; 7], 6);
    let mut run = Run::with(LONG, hashed, std::slice::from_ref(&alone));
    run.step();
    assert_eq!(run.step().0.restarts, 1);
    run.engine.pause(SequenceId(0));
    assert!(run.engine.is_idle());
    run.engine.resume(SequenceId(0));
    run.drain(10);
    assert_eq!(run.outcome(0), &solo(LONG, hashed, &alone));
}
