//! Priority: who is let in, who prefills and who keeps its blocks first.

use host_engine::{EngineLimits, SequenceId, SequenceRequest};

use crate::harness::{LIMITS, Run, request, solo};
use crate::model::{counting, hashed};

fn with_priority(id: u64, priority: i32) -> SequenceRequest {
    SequenceRequest { priority, ..request(id, &[5 + id as u32; 6], 3) }
}

/// Ids in the order of their first tokens.
#[track_caller]
fn check_order(limits: EngineLimits, priorities: &[i32], expected: &[u64]) {
    let requests: Vec<_> =
        (0..).zip(priorities).map(|(id, &priority)| with_priority(id, priority)).collect();
    let mut run = Run::with(limits, counting, &requests);
    let mut order: Vec<u64> = Vec::new();
    while !run.engine.is_idle() {
        for SequenceId(id) in run.step().1 {
            if !order.contains(&id) {
                order.push(id);
            }
        }
    }
    assert_eq!(order, expected);
}

#[test]
fn lower_numbers_are_let_in_first_and_equals_by_arrival() {
    let one = EngineLimits { sequences_max: 1, ..LIMITS };
    check_order(one, &[0, 0, 0], &[0, 1, 2]);
    check_order(one, &[2, 1, 0], &[2, 1, 0]);
    check_order(one, &[0, i32::MAX, -1, 0, i32::MIN], &[4, 2, 0, 3, 1]);
}

#[test]
fn lower_numbers_prefill_first() {
    let narrow =
        EngineLimits { batch_tokens_max: 8, prefill_tokens_beside_decode_max: 6, ..LIMITS };
    check_order(narrow, &[1, 0, 2, 0], &[1, 3, 0, 2]);
}

#[test]
fn the_highest_number_gives_its_blocks_back_first() {
    // Eight blocks of two; each of the three grows from two to six blocks.
    let limits = EngineLimits { block_size: 2, block_count: 8, ..LIMITS };
    let grows = |id, priority| SequenceRequest {
        ignore_eos: true,
        priority,
        ..request(id, &[4 + id as u32, 7, 8], 9)
    };
    let requests = [grows(0, 5), grows(1, -5), grows(2, 0)];
    let mut run = Run::with(limits, hashed, &requests);
    let mut ended: Vec<SequenceId> = Vec::new();
    while !run.engine.is_idle() {
        for id in run.step().1 {
            if run.outcomes[&id].end.is_some() && !ended.contains(&id) {
                ended.push(id);
            }
        }
    }
    assert!(run.preemptions > 0, "the blocks were meant to run out");
    assert_eq!(ended, [SequenceId(1), SequenceId(2), SequenceId(0)]);
    for request in &requests {
        let alone = solo(limits, hashed, request);
        assert_eq!(run.outcome(request.id.0).clone().said(), alone);
    }
}
