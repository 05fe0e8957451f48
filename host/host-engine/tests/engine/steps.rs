//! The step itself: faults of the model, idleness, and what the figures say.

use host_engine::{
    Engine, EngineCounts, EngineLimits, SequenceError, SequenceId, StepError, StepModel, StepStats,
};

use crate::harness::{End, LIMITS, Run, request, solo};
use crate::model::{ScriptedModel, counting, hashed};

fn fault() -> StepError {
    StepError::Model { panicked: true, plugin: "cpu".into(), message: "kernel panicked".into() }
}

#[test]
fn a_failing_step_ends_its_batch_and_no_other() {
    let limits = EngineLimits { sequences_max: 3, ..LIMITS };
    let requests: Vec<_> = (0..4).map(|id| request(id, &[5 + id as u32], 4)).collect();
    let mut run = Run::with(limits, counting, &requests);
    run.step();
    run.engine.pause(SequenceId(1));
    run.engine.pause(SequenceId(3));
    run.engine.model_mut().fault = Some(fault());
    let (stats, ids) = run.step();
    assert_eq!(stats.fault, Some(fault()));
    assert_eq!(ids, [SequenceId(0), SequenceId(2)], "1 is paused and 3 waits");
    for id in ids {
        let failed = End::Failed(SequenceError::Step(fault()));
        assert_eq!(run.outcomes[&id].end, Some(failed));
    }
    assert_eq!(run.engine.counts().blocks_used, 1, "those of the paused sequence");
    run.engine.resume(SequenceId(1));
    run.engine.resume(SequenceId(3));
    run.drain(20);
    for id in [1, 3] {
        assert_eq!(run.outcome(id), &solo(limits, counting, &requests[id as usize]));
    }
    run.assert_empty();
}

#[test]
fn the_error_of_a_failing_step_names_the_plugin() {
    let text = SequenceError::Step(fault()).to_string();
    assert_eq!(text, "plugin cpu failed in a step: kernel panicked");
}

#[test]
fn a_model_that_always_fails_ends_every_sequence() {
    struct Broken;
    impl StepModel for Broken {
        fn step(&mut self, _: &host_engine::Batch, _: &mut [f32]) -> Result<(), StepError> {
            Err(fault())
        }
    }
    let model: Box<dyn StepModel> = Box::new(Broken);
    let mut engine = Engine::new(LIMITS, model).expect("the limits are sound");
    for id in 0..16 {
        engine.submit(request(id, &[5], 4)).expect("there is room");
    }
    let mut events = Vec::new();
    engine.step(&mut events);
    engine.step(&mut events);
    assert_eq!(events.len(), 16);
    assert!(engine.is_idle());
    assert_eq!(engine.counts().blocks_used, 0);
}

#[test]
fn an_idle_engine_does_not_call_the_model() {
    let mut run = Run::new(LIMITS, counting);
    assert!(run.engine.is_idle());
    let (stats, ids) = run.step();
    let counts = EngineCounts { blocks_total: 64, ..EngineCounts::default() };
    assert_eq!(stats, StepStats { counts, ..StepStats::default() });
    assert_eq!((ids.len(), run.engine.model().steps), (0, 0));
}

#[test]
fn figures_follow_a_sequence_through_its_life() {
    let mut run = Run::with(LIMITS, counting, &[request(0, &[5; 20], 3)]);
    let counts = |run: &Run| {
        let counts = run.engine.counts();
        (counts.running, counts.waiting, counts.blocks_used)
    };
    assert_eq!(counts(&run), (0, 1, 0));
    let (stats, _) = run.step();
    assert_eq!((stats.prefill_tokens, stats.decode_tokens, stats.sequences), (16, 0, 1));
    assert_eq!(counts(&run), (1, 0, 5));
    let (stats, _) = run.step();
    assert_eq!((stats.prefill_tokens, stats.decode_tokens), (4, 0));
    let (stats, _) = run.step();
    assert_eq!((stats.prefill_tokens, stats.decode_tokens), (0, 1));
    assert_eq!(counts(&run), (1, 0, 6));
    run.step();
    assert_eq!(counts(&run), (0, 0, 0));
}

#[test]
fn the_same_seed_gives_the_same_tokens_in_any_company() {
    let sampled = |id, seed| {
        let mut request = request(id, &[5, 6, 7], 20);
        request.sampling.temperature = 1.5;
        request.sampling.seed = seed;
        request.ignore_eos = true;
        request
    };
    let requests: Vec<_> = (0..8).map(|id| sampled(id, id / 2)).collect();
    let mut run = Run::with(LIMITS, hashed, &requests);
    run.drain(100);
    for id in (0..8).step_by(2) {
        assert_eq!(run.outcome(id), run.outcome(id + 1), "equal seeds");
        assert_eq!(run.outcome(id), &solo(LIMITS, hashed, &requests[id as usize]));
    }
    assert_ne!(run.outcome(0).tokens, run.outcome(2).tokens, "different seeds");
}

#[test]
fn the_engine_can_move_to_a_thread() {
    fn check<T: Send>(_: &T) {}
    check(&Run::new(LIMITS, counting).engine);
    check(&ScriptedModel::new(LIMITS, counting));
}
