//! The promise: a row's values have the same bits whatever else is in the batch, however a prompt
//! is cut, for every thread count and every size of KV blocks.

use crate::model::{DecoderShape, Mixture, Model};
use crate::rng::Rng;
use crate::runner::{KV_DTYPES, LIMITS, Runner, Setup, Wanted, bits, solo};
use graph::LongRope;
use plugin_api::ComputeSession;

const WINDOWED: DecoderShape = DecoderShape { window: Some(13), ..DecoderShape::SMALL };

fn models() -> impl Iterator<Item = Model> {
    let dense = ["f32", "bf16", "q8_0", "octet"]
        .into_iter()
        .map(|dtype| DecoderShape { dtype, ..WINDOWED }.build());
    let mixed = ["f16", "q8_0", "octet"].into_iter().map(|dtype| {
        let mixture = Some(Mixture { dtype, ..Mixture::SMALL });
        DecoderShape { mixture, ..WINDOWED }.build()
    });
    dense.chain(mixed)
}

#[test]
fn prefill_equals_decode() {
    for model in models() {
        let tokens = Rng(5).tokens(150, model.graph.vocab_size);
        for kv_dtype in KV_DTYPES {
            let one = Setup { threads: 1, kv_dtype, ..Setup::PLAIN };
            let decoded = bits(&solo(&model, one, &tokens, 1));
            for (threads, chunk) in [(1, 150), (4, 150), (2, 64), (3, 7)] {
                let setup = Setup { threads, ..one };
                assert!(
                    bits(&solo(&model, setup, &tokens, chunk)) == decoded,
                    "{threads} threads, {chunk} tokens a step, kv {kv_dtype}"
                );
            }
        }
    }
}

#[test]
fn a_row_does_not_depend_on_the_size_of_blocks() {
    let mixture = Some(Mixture { dtype: "q8_0", ..Mixture::SMALL });
    for shape in [DecoderShape::SMALL, WINDOWED, DecoderShape { mixture, ..WINDOWED }] {
        let model = shape.build();
        let tokens = Rng(6).tokens(170, model.graph.vocab_size);
        for kv_dtype in KV_DTYPES {
            let one = Setup { threads: 1, kv_dtype, ..Setup::PLAIN };
            let decoded = bits(&solo(&model, one.blocks_of(32), &tokens, 1));
            for (block_size, threads, chunk) in
                [(1, 1, 170), (3, 4, 64), (8, 2, 1), (16, 3, 7), (32, 4, 170), (100, 1, 33)]
            {
                let setup = Setup { threads, ..one }.blocks_of(block_size);
                assert!(
                    bits(&solo(&model, setup, &tokens, chunk)) == decoded,
                    "blocks of {block_size}, {threads} threads, {chunk} tokens a step, kv \
                     {kv_dtype}"
                );
            }
        }
    }
}

/// Runs sequences side by side in random chunks and returns the logits of each.
fn random_batches(
    model: &Model,
    setup: Setup,
    prompts: &[Vec<u32>],
    seed: u64,
) -> Vec<Vec<Vec<f32>>> {
    let mut rng = Rng(seed);
    let mut runner = Runner::new(model, setup, seed);
    for prompt in prompts {
        runner.add(prompt);
    }
    let mut logits = vec![Vec::new(); prompts.len()];
    loop {
        let mut order: Vec<usize> = (0..prompts.len()).collect();
        rng.shuffle(&mut order);
        let mut room = LIMITS.batch_tokens_max;
        let mut runs = Vec::new();
        for index in order {
            let left = prompts[index].len() - runner.sequences[index].done;
            let most = if rng.below(2) == 0 { 1 } else { 60 };
            let count = left.min(room).min(rng.below(most + 1));
            if count > 0 {
                runs.push((index, count, Wanted::Every));
                room -= count;
            }
        }
        let mut rows = runner.step(&runs).into_iter();
        for (index, count, _) in runs {
            logits[index].extend(rows.by_ref().take(count));
        }
        if runner.sequences.iter().all(|sequence| sequence.done == sequence.tokens.len()) {
            return logits;
        }
    }
}

#[test]
fn a_row_does_not_depend_on_its_batch() {
    let mut rng = Rng(77);
    for model in models() {
        let prompt = |rng: &mut Rng| {
            let count = rng.below(80) + 1;
            rng.tokens(count, 300)
        };
        let prompts: Vec<_> = (0..7).map(|_| prompt(&mut rng)).collect();
        for kv_dtype in KV_DTYPES {
            let alone = Setup { threads: 1, kv_dtype, ..Setup::PLAIN };
            let expected: Vec<_> =
                prompts.iter().map(|prompt| bits(&solo(&model, alone, prompt, 33))).collect();
            for threads in 1..=4 {
                let setup = Setup { threads, ..alone };
                let found = random_batches(&model, setup, &prompts, rng.next());
                for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    assert!(
                        bits(found) == *expected,
                        "sequence {index}, {threads} threads, kv {kv_dtype}"
                    );
                }
            }
        }
    }
}

#[test]
fn sequences_of_one_batch_have_the_frequencies_of_their_lengths() {
    const ABOVE: usize = 40;
    let mut model = DecoderShape { mixture: Some(Mixture::SMALL), ..WINDOWED }.build();
    let frequencies = (0..16).map(|i| 0.7 / (1 + i) as f32).collect();
    model.graph.rope_tables[0].long = Some(LongRope { above: ABOVE, frequencies, divisors: None });
    let tokens = Rng(14).tokens(ABOVE + 40, 300);
    let prompts: Vec<_> = [1, ABOVE - 1, ABOVE, ABOVE + 1, ABOVE + 40]
        .into_iter()
        .map(|count| tokens[..count].to_vec())
        .collect();
    let expected: Vec<_> =
        prompts.iter().map(|prompt| bits(&solo(&model, Setup::PLAIN, prompt, 200))).collect();
    // Up to the length all have the same first rows, and beyond it all have others.
    assert!(expected[1][..] == expected[2][..ABOVE - 1]);
    assert!(expected[3][..] == expected[4][..=ABOVE]);
    assert!(expected[2][5] != expected[3][5]);
    for seed in 0..4 {
        let found = random_batches(&model, Setup::PLAIN, &prompts, seed);
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!(bits(found) == *expected, "sequence {index}, seed {seed}");
        }
    }
}

#[test]
fn a_step_without_logits_stores_the_same_keys_and_values() {
    let model = WINDOWED.build();
    let tokens = Rng(8).tokens(50, 300);
    let expected = solo(&model, Setup::PLAIN, &tokens, 50);
    let mut runner = Runner::new(&model, Setup::PLAIN, 3);
    let sequence = runner.add(&tokens);
    assert!(runner.step(&[(sequence, 30, Wanted::Nothing)]).is_empty());
    assert!(runner.step(&[(sequence, 18, Wanted::Nothing)]).is_empty());
    let rest = runner.step(&[(sequence, 2, Wanted::Every)]);
    assert_eq!(bits(&rest), bits(&expected[48..]));
}

#[test]
fn a_sequence_goes_on_from_copied_blocks() {
    let model = WINDOWED.build();
    let tokens = Rng(9).tokens(40, 300);
    let expected = solo(&model, Setup::PLAIN, &tokens, 40);
    let mut runner = Runner::new(&model, Setup::PLAIN, 4);
    let first = runner.add(&tokens);
    runner.step(&[(first, 29, Wanted::Nothing)]);
    // The copy's blocks are those that a further sequence of this length would get.
    let other = runner.add(&tokens);
    let discarded = runner.batch(&[(other, 29, Wanted::Nothing)]);
    let (from, to) = (runner.sequences[first].blocks.clone(), discarded.block_tables);
    runner.session.copy_blocks(&from, &to).expect("blocks in range");
    let rest = runner.step(&[(other, 11, Wanted::Every), (first, 11, Wanted::Nothing)]);
    assert_eq!(bits(&rest), bits(&expected[29..]));
}

#[test]
fn sessions_share_the_pool() {
    let model = WINDOWED.build();
    let tokens = Rng(10).tokens(60, 300);
    let expected = bits(&solo(&model, Setup::PLAIN, &tokens, 60));
    std::thread::scope(|scope| {
        for threads in 1..=4 {
            let (model, tokens, expected) = (&model, &tokens, &expected);
            scope.spawn(move || {
                let setup = Setup { threads, ..Setup::PLAIN };
                for chunk in [60, 13, 1] {
                    assert!(bits(&solo(model, setup, tokens, chunk)) == *expected);
                }
            });
        }
    });
}
