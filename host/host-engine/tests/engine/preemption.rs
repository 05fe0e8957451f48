//! Too few blocks: preemption with recompute, and slow readers that give way.

use host_engine::{EngineLimits, SamplingParams, SequenceId, SequenceRequest};

use crate::harness::{LIMITS, Run, request, solo};
use crate::model::{counting, hashed};

/// Six blocks of two for sequences that grow to twelve tokens each.
const FEW_BLOCKS: EngineLimits =
    EngineLimits { block_size: 2, block_count: 6, batch_tokens_max: 10, ..LIMITS };

fn sampled(id: u64) -> SequenceRequest {
    let sampling =
        SamplingParams { temperature: 1.0, seed: id, top_p: 0.9, ..SamplingParams::default() };
    SequenceRequest { sampling, ignore_eos: true, ..request(id, &[4 + id as u32, 7], 10) }
}

#[test]
fn decode_continues_after_preemption() {
    let requests: Vec<_> = (0..4).map(sampled).collect();
    let mut run = Run::with(FEW_BLOCKS, hashed, &requests);
    run.drain(500);
    assert!(run.preemptions > 0, "the blocks were meant to run out");
    for request in &requests {
        assert_eq!(run.outcome(request.id.0), &solo(FEW_BLOCKS, hashed, request));
        assert_eq!(run.token_count(request.id.0), 10);
    }
    run.assert_empty();
}

#[test]
fn the_earliest_sequence_is_never_preempted() {
    let requests: Vec<_> = (0..4).map(sampled).collect();
    let mut run = Run::with(FEW_BLOCKS, hashed, &requests);
    for expected in 1..=10 {
        run.step();
        assert_eq!(run.token_count(0), expected);
    }
}

#[test]
fn preempted_sequences_return_before_later_arrivals() {
    let requests: Vec<_> = (0..8).map(sampled).collect();
    let mut run = Run::with(FEW_BLOCKS, hashed, &requests);
    let mut ended = Vec::new();
    while !run.engine.is_idle() {
        for id in run.step().1 {
            if run.outcomes[&id].end.is_some() && !ended.contains(&id) {
                ended.push(id);
            }
        }
    }
    assert!(run.preemptions > 0, "the blocks were meant to run out");
    assert_eq!(ended, (0..8).map(SequenceId).collect::<Vec<_>>());
}

#[test]
fn nobody_is_let_in_where_a_running_sequence_needs_the_room_next() {
    let limits = EngineLimits { block_count: 3, ..FEW_BLOCKS };
    let mut run = Run::with(limits, counting, &[request(0, &[5; 3], 4), request(1, &[5], 3)]);
    run.drain(30);
    assert_eq!((run.preemptions, run.token_count(0), run.token_count(1)), (0, 4, 3));
}

#[test]
fn a_paused_sequence_keeps_its_blocks_while_nobody_needs_them() {
    let mut run = Run::with(LIMITS, counting, &[request(0, &[5; 6], 12), request(1, &[5], 3)]);
    run.step();
    assert!(run.engine.pause(SequenceId(0)));
    run.drain(10);
    assert_eq!(run.token_count(0), 1, "it was not stepped");
    assert_eq!(run.engine.counts().blocks_used, 2);
    assert!(run.engine.is_idle() && run.engine.counts().paused == 1);
    assert!(run.engine.resume(SequenceId(0)));
    let (stats, _) = run.step();
    assert_eq!((stats.decode_tokens, stats.prefill_tokens), (1, 0), "nothing is recomputed");
}

#[test]
fn a_paused_sequence_gives_its_blocks_to_one_that_waits() {
    let first = request(0, &[5; 8], 4);
    let second = request(1, &[6; 9], 2);
    let mut run = Run::with(FEW_BLOCKS, hashed, &[first.clone(), second.clone()]);
    run.step();
    assert_eq!(run.engine.counts().waiting, 1, "there is no room for both");
    run.engine.pause(SequenceId(0));
    run.drain(10);
    assert_eq!(run.outcome(1), &solo(FEW_BLOCKS, hashed, &second));
    assert_eq!(run.preemptions, 1);
    run.engine.resume(SequenceId(0));
    run.drain(10);
    assert_eq!(run.outcome(0), &solo(FEW_BLOCKS, hashed, &first));
}

#[test]
fn a_paused_sequence_gives_its_place_to_one_that_waits() {
    let limits = EngineLimits { sequences_max: 1, ..LIMITS };
    let mut run = Run::with(limits, counting, &[request(0, &[5], 6), request(1, &[8], 3)]);
    run.step();
    run.engine.pause(SequenceId(0));
    run.drain(10);
    assert_eq!(run.outcome(1).tokens, [9, 10, 11]);
    run.engine.resume(SequenceId(0));
    run.drain(10);
    assert_eq!(run.outcome(0).tokens, [6, 7, 8, 9, 10, 11]);
}

#[test]
fn paused_sequences_are_preempted_before_those_that_run() {
    // Both hold three of the six blocks when the earlier one is paused and the later one grows.
    let requests = [request(0, &[5; 4], 8), request(1, &[9; 4], 8)];
    let mut run = Run::with(FEW_BLOCKS, counting, &requests);
    run.step();
    run.engine.pause(SequenceId(0));
    for expected in 2..=8 {
        run.step();
        assert_eq!(run.token_count(1), expected);
    }
    assert_eq!(run.preemptions, 1);
    run.engine.resume(SequenceId(0));
    run.drain(20);
    assert_eq!(run.outcome(0).tokens, [6, 7, 8, 9, 10, 11, 12, 13]);
}
