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
