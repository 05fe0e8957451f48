//! What must not matter to a row: how its prompt is cut into steps, and who else is in the batch.

use crate::model::Model;
use crate::runner::{Batch, LIMITS, Run, Runner, assert_near, block};
use graph::{LongRope, Op, Pooling};
use plugin_api::ComputeSession;

fn tokens(seed: u32, count: u32) -> Vec<u32> {
    (0..count).map(|index| (seed + 37 * index + index * index) % 100).collect()
}

/// The answers of a sequence that runs alone, `chunk` tokens a step.
fn alone(model: &Model, tokens: &[u32], chunk: usize) -> Vec<Vec<f32>> {
    let mut runner = Runner::new(model);
    let runs = tokens.chunks(chunk).enumerate();
    let runs = runs.map(|(index, tokens)| Run { sequence: 0, first: index * chunk, tokens });
    runs.flat_map(|run| runner.step(&[run])).collect()
}

#[test]
fn prefill_equals_decode() {
    let model = Model::decoder();
    let tokens = tokens(1, 30);
    let whole = alone(&model, &tokens, 30);
    for chunk in [1, 7, 16] {
        assert_near(&alone(&model, &tokens, chunk), &whole, 1e-4);
    }
}

#[test]
fn a_sequence_in_a_batch_equals_the_sequence_alone() {
    let model = Model::decoder();
    let prompts = [tokens(2, 25), tokens(3, 9), tokens(4, 14)];
    let mut runner = Runner::new(&model);
    let mut found = [const { Vec::new() }; 3];
    // Prefill and decode mixed: the first begins alone, then every step has all of them.
    let mut done = [0; 3];
    for counts in [[20, 0, 0], [1, 8, 3], [3, 0, 10], [1, 1, 1]] {
        let next = |sequence: usize| {
            let (first, count) = (done[sequence], counts[sequence]);
            Run { sequence, first, tokens: &prompts[sequence][first..first + count] }
        };
        let mut rows = runner.step(&[next(2), next(0), next(1)]).into_iter();
        for sequence in [2, 0, 1] {
            found[sequence].extend(rows.by_ref().take(counts[sequence]));
            done[sequence] += counts[sequence];
        }
    }
    for (found, prompt) in found.iter().zip(&prompts) {
        assert_near(found, &alone(&model, prompt, prompt.len()), 1e-5);
    }
}

#[test]
fn a_step_without_answers_stores_keys_and_values() {
    let model = Model::decoder();
    let tokens = tokens(5, 12);
    let mut runner = Runner::new(&model);
    let mut batch = Batch::of(&[Run { sequence: 0, first: 0, tokens: &tokens[..9] }]);
    batch.logit_rows.clear();
    assert!(runner.run(&batch).expect("a valid batch").is_empty());
    let rest = runner.step(&[Run { sequence: 0, first: 9, tokens: &tokens[9..] }]);
    assert_near(&rest, &alone(&model, &tokens, 12)[9..], 1e-5);
    assert!(runner.step(&[]).is_empty(), "an empty batch is no error");
}

#[test]
fn a_sequence_goes_on_from_copied_blocks() {
    let model = Model::decoder();
    let tokens = tokens(6, 15);
    let mut runner = Runner::new(&model);
    runner.step(&[Run { sequence: 0, first: 0, tokens: &tokens[..11] }]);
    let blocks = 0..11_usize.div_ceil(LIMITS.block_size);
    let [from, to] = [0, 3]
        .map(|sequence| blocks.clone().map(|index| block(sequence, index)).collect::<Vec<_>>());
    runner.session.copy_blocks(&from, &to).expect("blocks in range");
    let rest = runner.step(&[Run { sequence: 3, first: 11, tokens: &tokens[11..] }]);
    assert_near(&rest, &alone(&model, &tokens, 15)[11..], 1e-5);
}

#[test]
fn frequencies_follow_the_length_a_sequence_has_by_now() {
    let mut model = Model::decoder();
    let short = alone(&model, &tokens(7, 10), 10);
    let frequencies = model.graph.rope_tables[0].frequencies.iter().map(|f| f / 4.0).collect();
    model.graph.rope_tables[0].long = Some(LongRope { above: 20, frequencies, divisors: None });
    assert_near(&alone(&model, &tokens(7, 10), 10), &short, 0.0);
    let long = alone(&model, &tokens(7, 21), 21);
    let tokens = tokens(7, 21);
    let mut runner = Runner::new(&model);
    let mut batch = Batch::of(&[Run { sequence: 0, first: 0, tokens: &tokens[..10] }]);
    batch.sequence_lengths[0] = 21;
    let begin = runner.run(&batch).expect("a valid batch");
    assert_near(&begin, &long[..10], 1e-5);
    let far = begin.iter().flatten().zip(short.iter().flatten());
    assert!(far.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) > 0.01, "other frequencies");
    let rest = runner.step(&[Run { sequence: 0, first: 10, tokens: &tokens[10..] }]);
    assert_near(&rest, &long[10..], 1e-4);
}

#[test]
fn a_model_that_needs_whole_sequences_says_so() {
    let mut model = Model::of_rows(&[&[1.0], &[2.0]]);
    model.node(Op::Pool { how: Pooling::Mean }, &[0]);
    let mut runner = Runner::new(&model);
    runner.step(&[Run { sequence: 0, first: 0, tokens: &[0, 1] }]);
    let rest = Batch::of(&[Run { sequence: 0, first: 2, tokens: &[1] }]);
    let error = runner.run(&rest).expect_err("two positions are missing");
    assert!(error.message().contains("this model needs all of them"), "{error}");
}
