//! Texts to vectors: what is in a step, what is refused, and that company changes nothing.

use std::collections::BTreeMap;

use host_engine::{
    Batch, Embedded, EmbeddingEngine, EmbeddingError, EmbeddingShape, EngineLimits, LimitsError,
    SequenceId, StepError, StepModel, TextError,
};
use proptest::prelude::*;

use crate::harness::LIMITS;
use crate::model::{POISON, ScriptedModel, hashed};

/// The vectors are as wide as the logits of the scripted model.
const WIDTH: usize = LIMITS.vocab_size;
const CHUNKS: EmbeddingShape = EmbeddingShape { width: WIDTH, whole_sequences: false };
const WHOLE: EmbeddingShape = EmbeddingShape { width: WIDTH, whole_sequences: true };

/// A vector hashed from the text.
fn vector(history: &[u32], row: &mut [f32]) {
    hashed(history, row);
    row[POISON as usize] = if history.contains(&POISON) { f32::NAN } else { 0.5 };
}

/// The scripted model, which also sees that texts are whole where they must be.
struct Model {
    scripted: ScriptedModel,
    whole: bool,
}

impl StepModel for Model {
    fn step(&mut self, batch: &Batch, vectors: &mut [f32]) -> Result<(), StepError> {
        let whole = batch.sequence_starts.windows(2).map(|rows| rows[1] - rows[0]);
        if self.whole {
            assert!(whole.eq(batch.sequence_lengths.iter().copied()), "{batch:?}");
            assert_eq!(batch.logit_rows.len(), batch.sequence_count());
        }
        self.scripted.step(batch, vectors)
    }
}

fn engine(limits: EngineLimits, shape: EmbeddingShape) -> EmbeddingEngine<Model> {
    let scripted = ScriptedModel::new(limits, vector);
    let model = Model { scripted, whole: shape.whole_sequences };
    EmbeddingEngine::new(limits, shape, model).expect("the limits are sound")
}

fn submit(engine: &mut EmbeddingEngine<Model>, texts: &[Vec<u32>]) {
    for (id, text) in (0..).zip(texts) {
        engine.submit(SequenceId(id), text.clone()).expect("the text is within the limits");
    }
}

/// Runs to the end: what came of each text, and the sequences of each step.
fn drain(engine: &mut EmbeddingEngine<Model>) -> (BTreeMap<u64, Embedded>, Vec<usize>) {
    let (mut done, mut steps) = (Vec::new(), Vec::new());
    while engine.text_count() > 0 {
        assert!(steps.len() < 10_000, "it never ends: {engine:?}");
        steps.push(engine.step(&mut done).sequences);
    }
    assert_eq!(engine.counts().blocks_used, 0);
    let count = done.len();
    let done: BTreeMap<_, _> = done.into_iter().map(|embedded| (embedded.id.0, embedded)).collect();
    assert_eq!(done.len(), count, "each text is reported once");
    (done, steps)
}

/// The vector of a text that runs in one step with nothing beside it.
fn alone(text: &[u32]) -> Result<Vec<f32>, EmbeddingError> {
    let limits = EngineLimits { batch_tokens_max: 4096, ..LIMITS };
    let mut engine = engine(limits, WHOLE);
    submit(&mut engine, &[text.to_vec()]);
    drain(&mut engine).0.remove(&0).expect("it was submitted").vector
}

#[track_caller]
fn check_steps(limits: EngineLimits, shape: EmbeddingShape, lengths: &[usize], steps: &[usize]) {
    let mut engine = engine(limits, shape);
    let texts: Vec<Vec<u32>> = lengths.iter().map(|&length| vec![5; length]).collect();
    submit(&mut engine, &texts);
    let (done, found) = drain(&mut engine);
    assert_eq!(found, steps);
    for (id, text) in (0..).zip(&texts) {
        assert_eq!(done[&id].vector, alone(text));
    }
}

#[test]
fn a_step_has_as_many_texts_as_fit_it() {
    // Sixteen tokens and eight sequences are a step.
    check_steps(LIMITS, CHUNKS, &[3; 5], &[5]);
    check_steps(LIMITS, CHUNKS, &[1; 12], &[8, 4]);
    check_steps(LIMITS, CHUNKS, &[10, 10], &[2, 1]);
    check_steps(LIMITS, CHUNKS, &[40, 2], &[1, 1, 2]);
    check_steps(LIMITS, WHOLE, &[10, 10], &[1, 1]);
    check_steps(LIMITS, WHOLE, &[10, 6, 16, 1], &[2, 1, 1]);
    // Ten tokens take three of four blocks.
    let limits = EngineLimits { block_count: 4, ..LIMITS };
    check_steps(limits, CHUNKS, &[10, 5], &[1, 1]);
    check_steps(limits, CHUNKS, &[10, 4, 4], &[2, 1]);
}

#[test]
fn a_text_in_chunks_keeps_its_length_and_its_blocks() {
    let mut engine = engine(EngineLimits { long_above: Some(20), ..LIMITS }, CHUNKS);
    submit(&mut engine, &[vec![5; 24]]);
    let mut done = Vec::new();
    let stats = engine.step(&mut done);
    assert_eq!((stats.prefill_tokens, stats.counts.running, stats.counts.blocks_used), (16, 1, 6));
    assert_eq!(engine.model_mut().scripted.last.sequence_lengths, [24]);
    assert!(engine.model_mut().scripted.last.logit_rows.is_empty() && done.is_empty());
    assert_eq!(engine.step(&mut done).prefill_tokens, 8);
    assert_eq!(done.len(), 1);
}

#[track_caller]
fn check_refused(shape: EmbeddingShape, tokens: &[u32], expected: &TextError) {
    let limits = EngineLimits { block_count: 10, ..LIMITS };
    let mut engine = engine(limits, shape);
    assert_eq!(engine.submit(SequenceId(0), tokens.to_vec()).as_ref(), Err(expected));
    assert_eq!(engine.text_count(), 0);
}

#[test]
fn texts_that_cannot_run_are_refused() {
    check_refused(CHUNKS, &[], &TextError::Empty);
    check_refused(CHUNKS, &[5; 65], &TextError::ContextTooShort { tokens: 65, limit: 64 });
    check_refused(CHUNKS, &[5; 41], &TextError::KvTooSmall { tokens: 41, slots: 40 });
    check_refused(WHOLE, &[5; 17], &TextError::StepTooShort { tokens: 17, limit: 16 });
    check_refused(WHOLE, &[24], &TextError::TokenOutOfRange { token: 24, vocab_size: 24 });
    let model = Model { scripted: ScriptedModel::new(LIMITS, vector), whole: false };
    let none = EmbeddingShape { width: 0, ..CHUNKS };
    let refused = EmbeddingEngine::new(LIMITS, none, model).err();
    assert_eq!(refused, Some(LimitsError::Zero { name: "embedding width" }));
}

#[test]
fn a_failing_step_ends_its_texts_and_no_other() {
    let mut engine = engine(LIMITS, WHOLE);
    submit(&mut engine, &[vec![5; 9], vec![6; 7], vec![7; 9]]);
    let fault = StepError::Model {
        panicked: false,
        plugin: "cpu".to_owned(),
        message: "kernel failed".to_owned(),
    };
    engine.model_mut().scripted.fault = Some(fault.clone());
    let (done, steps) = drain(&mut engine);
    assert_eq!(steps, [2, 1]);
    for id in [0, 1] {
        assert_eq!(done[&id].vector, Err(EmbeddingError::Step(fault.clone())));
    }
    assert_eq!(done[&2].vector, alone(&[7; 9]));
}

#[test]
fn a_vector_that_is_not_finite_is_an_error_of_its_text() {
    let mut engine = engine(LIMITS, CHUNKS);
    submit(&mut engine, &[vec![5, POISON], vec![5, 6]]);
    let (done, _) = drain(&mut engine);
    assert_eq!(done[&0].vector, Err(EmbeddingError::NotFinite));
    assert_eq!(done[&1].vector, alone(&[5, 6]));
}

#[test]
fn cancelled_texts_leave_without_a_word() {
    let mut engine = engine(LIMITS, CHUNKS);
    submit(&mut engine, &[vec![5; 20], vec![6; 20], vec![7; 3]]);
    engine.step(&mut Vec::new());
    engine.cancel(|id| id.0 < 2);
    assert_eq!((engine.text_count(), engine.counts().blocks_used), (1, 0));
    assert_eq!(drain(&mut engine).0.into_keys().collect::<Vec<_>>(), [2]);
    assert_eq!(engine.step(&mut Vec::new()).sequences, 0, "nothing is left");
}

fn limits() -> impl Strategy<Value = EngineLimits> {
    (1_u32..6, 12_u32..40, 1_usize..7, 0_usize..20, prop::option::of(1_usize..12)).prop_map(
        |(block_size, block_count, sequences_max, more_tokens, long_above)| EngineLimits {
            block_size,
            block_count,
            sequences_max,
            batch_tokens_max: sequences_max + more_tokens,
            long_above,
            ..LIMITS
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_text_in_company_has_the_vector_it_has_alone(
        limits in limits(),
        whole_sequences in any::<bool>(),
        texts in prop::collection::vec(prop::collection::vec(1_u32..24, 1..12), 1..20),
    ) {
        let shape = EmbeddingShape { width: WIDTH, whole_sequences };
        let fits = |text: &Vec<u32>| shape.check(&limits, text).is_ok();
        let texts: Vec<Vec<u32>> = texts.into_iter().filter(fits).collect();
        let mut together = engine(limits, shape);
        submit(&mut together, &texts);
        let (done, _) = drain(&mut together);
        prop_assert_eq!(done.len(), texts.len());
        for (id, text) in (0..).zip(texts) {
            let roomy = EngineLimits { batch_tokens_max: 4096, ..limits };
            let mut single = engine(roomy, shape);
            submit(&mut single, &[text]);
            prop_assert_eq!(&done[&id].vector, &drain(&mut single).0[&0].vector);
        }
    }
}
