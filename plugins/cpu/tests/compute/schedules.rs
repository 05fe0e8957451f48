//! Random schedules: whatever steps a host makes, in whatever session, each sequence has the bits
//! that it has alone.

use crate::encoder::{TEXT_MAX, encoder};
use crate::model::{DecoderShape, Mixture, Model};
use crate::rng::Rng;
use crate::runner::{KV_DTYPES, LIMITS, Runner, Setup, Wanted, alone, bits};
use graph::Pooling;
use proptest::prelude::*;
use std::sync::LazyLock;

/// Tokens of the longest sequence: more than two groups of positions in attention.
const TOKENS_MAX: usize = 140;
const SEQUENCES_MAX: usize = 5;

static MODELS: LazyLock<[Model; 5]> = LazyLock::new(|| {
    let windowed = DecoderShape { window: Some(29), ..DecoderShape::SMALL };
    let mixture = Some(Mixture { dtype: "q8_0", ..Mixture::SMALL });
    [
        DecoderShape { dtype: "q8_0", ..DecoderShape::SMALL }.build(),
        windowed.build(),
        DecoderShape { mixture, ..windowed }.build(),
        encoder(Pooling::Mean, None, "f32"),
        encoder(Pooling::First, Some(9), "f32"),
    ]
});

/// What a host does.
#[derive(Debug, Clone)]
struct Schedule {
    model: usize,
    kv_dtype: &'static str,
    block_size: usize,
    threads: usize,
    /// Tokens of each sequence.
    lengths: Vec<usize>,
    /// The sequences of each step, and how many tokens they are to go on; once they are made, what
    /// is left of the sequences follows.
    steps: Vec<Vec<(usize, usize)>>,
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let count = prop_oneof![Just(1), Just(TOKENS_MAX), 1..TOKENS_MAX];
    let step = prop::collection::vec((0..SEQUENCES_MAX, count), 1..=SEQUENCES_MAX);
    let session = (prop::sample::select(&KV_DTYPES[..]), 1..=100_usize, 1..=4_usize);
    let lengths = prop::collection::vec(1..=TOKENS_MAX, 1..=SEQUENCES_MAX);
    (0..MODELS.len(), session, lengths, prop::collection::vec(step, 0..12)).prop_map(
        |(model, (kv_dtype, block_size, threads), lengths, steps)| Schedule {
            model,
            kv_dtype,
            block_size,
            threads,
            lengths,
            steps,
        },
    )
}

impl Schedule {
    fn check(&self) {
        let model = &MODELS[self.model];
        let length_max = if model.is_pooled() { TEXT_MAX } else { TOKENS_MAX };
        let tokens: Vec<_> = self
            .lengths
            .iter()
            .map(|&length| {
                Rng(length as u64).tokens(length.min(length_max), model.graph.vocab_size)
            })
            .collect();
        let one = Setup { threads: 1, kv_dtype: self.kv_dtype, ..Setup::PLAIN }.blocks_of(32);
        let setup = Setup { threads: self.threads, ..one }.blocks_of(self.block_size);
        for (sequence, found) in self.run(model, setup, &tokens).iter().enumerate() {
            let expected = alone(model, one, &tokens[sequence]);
            assert!(bits(found) == bits(&expected), "sequence {sequence} is not as it is alone");
        }
    }

    /// The answers for each sequence.
    fn run(&self, model: &Model, setup: Setup, tokens: &[Vec<u32>]) -> Vec<Vec<Vec<f32>>> {
        let mut runner = Runner::new(model, setup, 1);
        tokens.iter().for_each(|tokens| _ = runner.add(tokens));
        let mut answers = vec![Vec::new(); tokens.len()];
        let everything: Vec<_> = (0..tokens.len()).map(|index| (index, TOKENS_MAX)).collect();
        // A step of everything ends a sequence at least.
        for step in self.steps.iter().chain(std::iter::repeat_n(&everything, tokens.len())) {
            let runs = fitting(model, &runner, step);
            let mut rows = runner.step(&runs).into_iter();
            for (index, count, _) in runs {
                let count = if model.is_pooled() { 1 } else { count };
                answers[index].extend(rows.by_ref().take(count));
            }
        }
        answers
    }
}

/// What of a step is possible: each sequence once, as far as it goes and as the step has room.
fn fitting(model: &Model, runner: &Runner, step: &[(usize, usize)]) -> Vec<(usize, usize, Wanted)> {
    let mut room = LIMITS.batch_tokens_max;
    let mut runs: Vec<(usize, usize, Wanted)> = Vec::new();
    for &(index, count) in step {
        let index = index % runner.sequences.len();
        let left = runner.sequences[index].tokens.len() - runner.sequences[index].done;
        let (count, wanted) = match model.is_pooled() {
            true if left > room => (0, Wanted::Last),
            true => (left, Wanted::Last),
            false => (count.min(left).min(room), Wanted::Every),
        };
        if count > 0 && runs.iter().all(|run| run.0 != index) {
            room -= count;
            runs.push((index, count, wanted));
        }
    }
    runs
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_schedule_gives_each_sequence_the_bits_it_has_alone(schedule in schedule()) {
        schedule.check();
    }
}
