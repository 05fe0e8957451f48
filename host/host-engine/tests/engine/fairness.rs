//! Who gets the step's tokens: decode before prefill, the earliest first, nobody starved.

use host_engine::{EngineLimits, SequenceId};

use crate::harness::{LIMITS, Run, request};
use crate::model::counting;

#[test]
fn long_prefill_does_not_stall_decode() {
    let limits = EngineLimits { sequences_max: 2, batch_tokens_max: 4, ..LIMITS };
    let mut run = Run::with(limits, counting, &[request(0, &[3], 30), request(1, &[5; 40], 4)]);
    run.step();
    let mut prefill_steps = 0;
    while run.token_count(1) == 0 {
        let before = run.token_count(0);
        let (stats, _) = run.step();
        assert_eq!(run.token_count(0), before + 1, "one token in each step");
        assert_eq!(stats.decode_tokens, 1);
        prefill_steps += usize::from(stats.prefill_tokens > 0);
    }
    // Three tokens in each step but the last; the first step had three of the forty, too.
    assert_eq!(prefill_steps, 37_usize.div_ceil(3));
}

#[test]
fn decode_does_not_stall_prefill() {
    let limits = EngineLimits { sequences_max: 4, batch_tokens_max: 4, ..LIMITS };
    let short = |id| request(id, &[3], 50);
    let mut run =
        Run::with(limits, counting, &[short(0), short(1), short(2), request(3, &[5; 20], 4)]);
    for _ in 0..21 {
        run.step();
    }
    assert!(run.token_count(3) > 0, "one prompt token in each step beside three that decode");
}

#[test]
fn first_tokens_come_in_order_of_arrival() {
    let limits = EngineLimits { sequences_max: 2, batch_tokens_max: 3, ..LIMITS };
    let requests: Vec<_> = (0..6).map(|id| request(id, &[4; 5], 3)).collect();
    let mut run = Run::with(limits, counting, &requests);
    let mut order: Vec<SequenceId> = Vec::new();
    while !run.engine.is_idle() {
        for id in run.step().1 {
            if !order.contains(&id) {
                order.push(id);
            }
        }
    }
    assert_eq!(order, (0..6).map(SequenceId).collect::<Vec<_>>());
}

#[test]
fn prefill_and_decode_share_a_step() {
    let mut run = Run::with(LIMITS, counting, &[request(0, &[3], 10)]);
    run.step();
    run.engine.submit(request(1, &[4, 5, 6], 10)).expect("the request is sound");
    let (stats, ids) = run.step();
    assert_eq!((stats.decode_tokens, stats.prefill_tokens, stats.sequences), (1, 3, 2));
    assert_eq!(ids, [SequenceId(0), SequenceId(1)]);
    assert_eq!(run.engine.model().last.logit_rows, [0, 3]);
}

/// Prefill tokens of each step until the last of the prompts has run.
#[track_caller]
fn check_prefill(limits: EngineLimits, decoding: usize, prompts: &[usize], steps: &[&[u32]]) {
    let mut run = Run::new(limits, counting);
    for id in 0..decoding as u64 {
        run.engine.submit(request(id, &[3 + id as u32], 60)).expect("the request is sound");
    }
    if decoding > 0 {
        run.step();
    }
    for (id, &length) in (100..).zip(prompts) {
        // No two begin alike, so none waits for what another computes.
        let prompt: Vec<u32> = (0..length as u32).map(|token| 2 + (token + id) % 22).collect();
        run.engine.submit(request(u64::from(id), &prompt, 1)).expect("the request is sound");
    }
    for expected in steps {
        let (stats, _) = run.step();
        let batch = &run.engine.model().last;
        let lengths = batch.sequence_starts.windows(2).map(|rows| rows[1] - rows[0]);
        assert_eq!(lengths.skip(decoding).collect::<Vec<_>>(), *expected);
        assert_eq!(stats.decode_tokens, decoding);
    }
    assert_eq!(run.step().0.prefill_tokens, 0);
}

#[test]
fn prefill_is_bounded_beside_sequences_that_decode() {
    let limits = EngineLimits { prefill_tokens_beside_decode_max: 5, ..LIMITS };
    check_prefill(limits, 0, &[20], &[&[16], &[4]]);
    check_prefill(limits, 1, &[12], &[&[5], &[5], &[2]]);
    check_prefill(limits, 7, &[12], &[&[5], &[5], &[2]]);
    // What the batch has left may be less.
    let limits = EngineLimits { batch_tokens_max: 10, ..limits };
    check_prefill(limits, 7, &[5], &[&[3], &[2]]);
}

#[test]
fn a_short_prompt_does_not_sit_out_a_long_one() {
    check_prefill(LIMITS, 0, &[48, 6], &[&[10, 6], &[16], &[16], &[6]]);
    check_prefill(LIMITS, 0, &[48, 20], &[&[8, 8], &[8, 8], &[12, 4], &[16], &[4]]);
    check_prefill(LIMITS, 0, &[60, 5, 6], &[&[8, 5, 3], &[13, 3], &[16], &[16], &[7]]);
    // Prompts of about one length run one after the other: the first is not made to wait.
    check_prefill(LIMITS, 0, &[40, 30], &[&[16], &[16], &[8, 8], &[16], &[6]]);
}
