//! What a host gets wrong is an error, and the session goes on.

use crate::model::Model;
use crate::runner::{Batch, LIMITS, Run, Runner, options};
use graph::CacheSpec;
use plugin_api::{Compute, ComputeSession, SessionOptions, WeightData};
use plugin_candle::Candle;

/// What an error must say, and what causes it.
type Spoilt<T> = (&'static str, fn(&mut T));

const RUN: Run<'_> = Run { sequence: 1, first: 0, tokens: &[1, 2, 3, 4, 5, 6] };

#[test]
fn wrong_batches_are_refused_and_the_next_one_runs() {
    let mut runner = Runner::new(&Model::decoder());
    let refused: [Spoilt<Batch>; 15] = [
        ("token 100, one below 100", |batch| batch.token_ids[2] = 100),
        ("block 64, one below 64", |batch| batch.block_tables[1] = 64),
        ("logit row 6, one below 6", |batch| batch.logit_rows[5] = 6),
        ("the logit rows do not ascend", |batch| batch.logit_rows[1] = 0),
        ("5 positions, 6 expected", |batch| batch.positions.truncate(5)),
        ("5 slots, 6 expected", |batch| batch.slots.truncate(5)),
        ("0 sequence lengths, 1 expected", |batch| batch.sequence_lengths.clear()),
        ("sequence starts: 1 parts of 0..6", |batch| batch.sequence_starts[1] = 5),
        ("sequence starts: 1 parts of 0..6", |batch| batch.sequence_starts.clear()),
        ("block table starts: 1 parts of 0..2", |batch| batch.block_table_starts[0] = 1),
        ("position 6, one below 6", |batch| batch.positions[0] = 6),
        ("slots that are not those of the block table", |batch| batch.slots[0] += 1),
        ("9 positions in its blocks, at most 8", |batch| batch.context_lengths[0] = 9),
        ("65 positions, at most 64", |batch| batch.context_lengths[0] = 65),
        ("5 sequences, at most 4", |batch| batch.context_lengths.resize(5, 0)),
    ];
    for (expected, spoil) in refused {
        let mut batch = Batch::of(&[RUN]);
        spoil(&mut batch);
        let error = runner.run(&batch).expect_err(expected);
        assert!(error.message().contains(expected), "`{error}` does not say `{expected}`");
    }
    let mut long = Batch::of(&[RUN]);
    long.token_ids.resize(65, 0);
    let error = runner.run(&long).expect_err("too many tokens");
    assert!(error.message().contains("65 tokens, at most 64"), "{error}");
    assert_eq!(runner.step(&[RUN]).len(), 6);
}

#[test]
fn blocks_out_of_range_are_not_copied() {
    let mut session = Runner::new(&Model::decoder()).session;
    for (from, to) in [(vec![64], vec![0]), (vec![0], vec![64]), (vec![0, 1], vec![2])] {
        let error = session.copy_blocks(&from, &to).expect_err("out of range");
        assert!(error.message().contains("as many of each expected, all below 64"), "{error}");
    }
    session.copy_blocks(&[], &[]).expect("nothing to copy");
}

#[test]
fn sessions_that_cannot_be_are_refused_with_a_reason() {
    let refused: [Spoilt<SessionOptions<'static>>; 8] = [
        ("no plugin offers dtype q4_0", |o| o.weights[0] = WeightData::new(&[0; 18], "q4_0")),
        ("17 bytes of dtype f32", |o| o.weights[0] = WeightData::new(&[0; 17], "f32")),
        ("no rows of tensor 0", |o| o.weights[0] = WeightData::new(&[], "f32")),
        ("weights for a graph of", |o| o.weights.truncate(1)),
        ("KV dtype q8_0: f32 or f16", |o| "q8_0".clone_into(&mut o.kv_dtype)),
        ("0 KV blocks of 4 places", |o| o.limits.block_count = 0),
        ("larger than any memory", |o| {
            o.limits.block_count = 1 << 29;
            let large = CacheSpec { kv_heads: 1 << 12, head_dim: 1 << 12 };
            o.graph.caches.resize(1 << 10, large);
        }),
        ("still has divisors", |o| {
            let divisors = o.graph.weights.len();
            o.graph.weights.push(o.graph.weights[0].clone());
            o.graph.weights[divisors].shape = vec![o.graph.rope_tables[0].frequencies.len()];
            o.weights.push(WeightData::new(&[0; 16], "f32"));
            o.graph.rope_tables[0].divisors = Some(divisors);
        }),
    ];
    for (expected, spoil) in refused {
        let mut options = options(&Model::decoder());
        spoil(&mut options);
        let error = Candle::create(options).expect_err(expected);
        assert!(error.message().contains(expected), "`{error}` does not say `{expected}`");
    }
}

#[test]
fn an_estimate_counts_weights_keys_and_values() {
    let model = Model::decoder();
    let mut options = options(&model);
    let estimate = Candle::estimate(&options).expect("a sound model");
    let sizes = model.graph.weights.iter().map(|weight| weight.shape.iter().product::<usize>());
    assert_eq!(estimate.weights, 4 * sizes.sum::<usize>() as u64);
    // Three caches of 2 heads with 8 values, keys and values, in f32.
    let values = 3 * 2 * 16 * LIMITS.block_size * LIMITS.block_count;
    assert_eq!(estimate.kv, 4 * values as u64);
    assert!(estimate.scratch > 0);
    "f16".clone_into(&mut options.kv_dtype);
    assert_eq!(Candle::estimate(&options).expect("a sound model").kv, 2 * values as u64);
}
