//! Models that answer with one row for a text: pooling, both-sided attention, vectors of any width.

use crate::compare::compare;
use crate::model::{CONTEXT, DecoderShape, Model};
use crate::rng::Rng;
use crate::runner::{Batch, KV_DTYPES, LIMITS, Runner, Setup, Wanted, bits, pooled};
use graph::{Activation, Op, Output, Pooling, ValueId};
use plugin_api::ErrorKind;

/// Values of an answer.
const WIDTH: usize = 48;
/// Most tokens of a text in a batch.
pub(crate) const TEXT_MAX: usize = 90;

/// A small BERT: learned positions, both-sided attention, norms after sums, a vector of unit
/// length.
pub(crate) fn encoder(how: Pooling, window: Option<usize>, dtype: &'static str) -> Model {
    let mut model = Model::new(DecoderShape::SMALL.vocab_size);
    model.graph.output = Output::Embedding;
    let embedded = model.embed(64);
    let weight = model.weight(&[CONTEXT, 64], "f32");
    let positions = model.node(Op::EmbedPosition { weight }, &[]);
    let sum = model.node(Op::Add, &[embedded, positions]);
    let mut x = layer_norm(&mut model, sum);
    for window in [window, None] {
        let attended = attention(&mut model, x, window, dtype);
        let sum = model.node(Op::Add, &[x, attended]);
        x = layer_norm(&mut model, sum);
        let hidden = model.linear_with_bias(x, 96);
        let hidden = model.node(Op::Activate { function: Activation::Gelu }, &[hidden]);
        let down = model.linear(hidden, 64, dtype);
        let sum = model.node(Op::Add, &[x, down]);
        x = layer_norm(&mut model, sum);
    }
    let pooled = model.node(Op::Pool { how }, &[x]);
    let answer = model.linear_with_bias(pooled, WIDTH);
    model.node(Op::Normalize { eps: 1e-12 }, &[answer]);
    model
}

fn layer_norm(model: &mut Model, x: ValueId) -> ValueId {
    let (weight, bias) = (model.weight(&[64], "f32"), model.weight(&[64], "f32"));
    model.node(Op::LayerNorm { weight, bias: Some(bias), eps: 1e-12 }, &[x])
}

fn attention(model: &mut Model, x: ValueId, window: Option<usize>, dtype: &'static str) -> ValueId {
    let cache = model.cache(4, 16);
    let qkv = [(); 3].map(|()| model.linear_with_bias(x, 64));
    let (scale, causal, softcap) = (0.25, false, None);
    let op = Op::Attention { heads: 4, cache, scale, causal, window, softcap };
    let attended = model.node(op, &qkv);
    model.linear(attended, 64, dtype)
}

#[test]
fn an_encoder_agrees_with_the_reference() {
    for how in [Pooling::Mean, Pooling::First] {
        for window in [None, Some(5)] {
            let model = encoder(how, window, "f32");
            for count in [1, 2, 19, 70] {
                compare(&model, Setup::PLAIN, count, 2e-5);
            }
        }
    }
}

#[test]
fn rows_of_a_text_may_be_pooled_without_attention() {
    let mut model = Model::new(50);
    model.graph.output = Output::Embedding;
    let embedded = model.embed(24);
    model.node(Op::Pool { how: Pooling::Mean }, &[embedded]);
    for count in [1, 19] {
        compare(&model, Setup::PLAIN, count, 2e-5);
    }
}

#[test]
fn an_embedding_does_not_depend_on_its_batch() {
    let mut rng = Rng(31);
    for (how, dtype) in [(Pooling::Mean, "f32"), (Pooling::First, "q8_0"), (Pooling::Mean, "octet")]
    {
        let model = encoder(how, Some(9), dtype);
        let texts: Vec<Vec<u32>> = (0..9)
            .map(|index| {
                let count = if index == 0 { 1 } else { rng.below(TEXT_MAX) + 1 };
                rng.tokens(count, model.graph.vocab_size)
            })
            .collect();
        for kv_dtype in KV_DTYPES {
            let alone = Setup { threads: 1, kv_dtype, ..Setup::PLAIN };
            let expected: Vec<_> =
                texts.iter().map(|text| bits(&pooled(&model, alone, text))).collect();
            for (threads, block_size) in [(1, 100), (2, 1), (3, 16), (4, 3), (2, 32)] {
                let setup = Setup { threads, ..alone }.blocks_of(block_size);
                check_batches(&model, setup, &texts, &expected);
            }
        }
    }
}

/// Runs the texts in batches of random ones and compares each with what it gives alone.
fn check_batches(model: &Model, setup: Setup, texts: &[Vec<u32>], expected: &[Vec<Vec<u32>>]) {
    let mut rng = Rng(setup.threads as u64);
    let mut runner = Runner::new(model, setup, rng.next());
    let mut order: Vec<usize> = (0..texts.len()).collect();
    rng.shuffle(&mut order);
    while !order.is_empty() {
        // Two of the longest texts fit a step.
        let count = (1 + rng.below(LIMITS.batch_tokens_max / TEXT_MAX)).min(order.len());
        let some: Vec<usize> = order.drain(..count).collect();
        let runs: Vec<_> = some
            .iter()
            .map(|&text| (runner.add(&texts[text]), texts[text].len(), Wanted::Last))
            .collect();
        for (row, text) in runner.step(&runs).into_iter().zip(some) {
            assert!(
                bits(&[row]) == expected[text],
                "text {text}, {} threads, {:?}",
                setup.threads,
                setup.limits
            );
        }
    }
}

/// A change to a good batch of two texts for an encoder, and a word of the error it must give.
fn text_refused(word: &str, change: impl FnOnce(&mut Batch)) {
    let model = encoder(Pooling::Mean, None, "f32");
    let mut runner = Runner::new(&model, Setup::PLAIN, 6);
    let tokens = Rng(6).tokens(24, 300);
    let (a, b) = (runner.add(&tokens[..11]), runner.add(&tokens));
    let good = runner.batch(&[(a, 11, Wanted::Last), (b, 24, Wanted::Last)]);
    let mut bad = good.clone();
    change(&mut bad);
    let error = runner.run(&bad).expect_err(word);
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains(word), "`{word}` expected in: {error}");
    let expected = pooled(&model, Setup::PLAIN, &tokens[..11]);
    assert_eq!(bits(&runner.run(&good).expect("good")[..1]), bits(&expected));
}

#[test]
fn an_encoder_needs_whole_sequences_and_a_row_for_each() {
    text_refused("a row for each sequence", |b| b.logit_rows.truncate(1));
    text_refused("a row for each sequence", |b| b.logit_rows.clear());
    text_refused("a row for each sequence", |b| b.logit_rows[0] = 11);
    text_refused("needs every sequence whole", |b| b.sequence_lengths[1] = 25);
    text_refused("needs every sequence whole", |b| {
        (b.context_lengths[1], b.sequence_lengths[1]) = (25, 25);
        b.block_tables.push(b.block_tables[0]);
        b.block_table_starts[2] += 1;
    });
    // The same rows, but the first is not the first of the text.
    text_refused("needs every sequence whole", |b| {
        b.positions.swap(0, 1);
        b.slots.swap(0, 1);
    });
}

#[test]
fn an_encoder_in_chunks_is_refused() {
    let model = encoder(Pooling::First, None, "f32");
    let mut runner = Runner::new(&model, Setup::PLAIN, 6);
    let text = runner.add(&Rng(6).tokens(24, 300));
    for count in [10, 14] {
        let batch = runner.batch(&[(text, count, Wanted::Last)]);
        let error = runner.run(&batch).expect_err("a part of a text");
        let expected = format!("sequence 0 of 24 tokens has {count} rows");
        assert!(error.message().contains(&expected), "{error}");
    }
}
