//! What a host or a checkpoint gets wrong gives an error, and the session goes on.

use crate::dtypes::{self, Mood, set_mood};
use crate::model::{DecoderShape, Model};
use crate::rng::Rng;
use crate::runner::{Batch, LIMITS, Runner, Setup, Wanted, bits, solo};
use graph::Op;
use plugin_api::{
    Compute, ComputeSession, DtypeLookup, Error, ErrorKind, Progress, SessionLimits, WeightData,
};
use plugin_cpu::Cpu;
use std::cell::RefCell;

/// A change to a good batch of two sequences, and a word of the error it must give.
fn refused(word: &str, change: impl FnOnce(&mut Batch)) {
    let model = DecoderShape::SMALL.build();
    let mut runner = Runner::new(&model, Setup::PLAIN, 6);
    let tokens = Rng(6).tokens(24, 300);
    let (a, b) = (runner.add(&tokens), runner.add(&tokens));
    let good = runner.batch(&[(a, 11, Wanted::Every), (b, 9, Wanted::Every)]);
    let mut bad = good.clone();
    change(&mut bad);
    let mut logits = vec![0.0; good.logit_rows.len() * 300];
    let error = runner.session.step(&bad.view(), &mut logits).expect_err(word);
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains(word), "`{word}` expected in: {error}");
    let expected = solo(&model, Setup::PLAIN, &tokens[..11], 11);
    assert_eq!(bits(&runner.run(&good).expect("good"))[..11], bits(&expected));
}

#[test]
fn bad_batches_are_refused() {
    refused("token 300", |b| b.token_ids[3] = 300);
    refused("tokens", |b| b.positions.truncate(19));
    refused("slots", |b| b.slots.push(0));
    refused("sequence_starts", |b| b.sequence_starts[1] = 21);
    refused("sequence_starts", |b| b.sequence_starts[0] = 1);
    refused("sequence_starts", |b| b.sequence_starts[2] = 19);
    refused("sequence_starts", |b| b.sequence_starts.clear());
    refused("block_table_starts", |b| b.block_table_starts[2] = 9);
    refused("block_table_starts", |b| b.block_table_starts[1] = 5);
    refused("sequence_starts has 3", |b| b.context_lengths.truncate(1));
    refused("3 sequence_lengths for 2", |b| b.sequence_lengths.push(1));
    refused("has 10 tokens and holds 11", |b| b.sequence_lengths[0] = 10);
    refused("block 96", |b| b.block_tables[2] = 96);
    refused("slot 768", |b| b.slots[4] = 768);
    refused("slot", |b| b.slots.swap(4, 5));
    refused("position 11", |b| b.positions[2] = 11);
    refused("position 4294967295", |b| b.positions[2] = u32::MAX);
    refused("holds 17 positions", |b| b.context_lengths[0] = 17);
    refused("holds 4294967295 positions", |b| b.context_lengths[1] = u32::MAX);
    refused("logit_rows", |b| b.logit_rows[19] = 20);
    refused("logit_rows", |b| b.logit_rows.swap(0, 1));
    refused("logit_rows", |b| b.logit_rows[1] = 0);
    refused("do not fill", |b| b.logit_rows.truncate(3));
}

#[test]
fn two_rows_may_not_share_a_slot() {
    refused("writes slot", |b| {
        (b.positions[5], b.slots[5]) = (b.positions[4], b.slots[4]);
    });
    refused("writes slot", |b| {
        b.block_tables[2] = b.block_tables[0];
        for row in 0..8 {
            b.slots[11 + row] = b.slots[row];
        }
    });
}

#[test]
fn batches_beyond_the_limits_are_refused() {
    let model = DecoderShape::SMALL.build();
    let tokens = Rng(6).tokens(193, 300);
    let mut runner = Runner::new(&model, Setup::PLAIN, 6);
    let long = runner.add(&tokens);
    let batch = runner.batch(&[(long, 193, Wanted::Nothing)]);
    let error = runner.run(&batch).expect_err("193 tokens");
    assert!(error.message().contains("193 tokens"), "{error}");
    let many: Vec<_> = (0..17).map(|_| (runner.add(&tokens), 1, Wanted::Nothing)).collect();
    let batch = runner.batch(&many);
    let error = runner.run(&batch).expect_err("17 sequences");
    assert!(error.message().contains("17 sequences"), "{error}");
}

#[test]
fn a_context_beyond_the_model_is_refused() {
    let mut model = DecoderShape::SMALL.build();
    model.graph.context_length = 20;
    let mut runner = Runner::new(&model, Setup::PLAIN, 6);
    let tokens = Rng(6).tokens(21, 300);
    let sequence = runner.add(&tokens);
    runner.step(&[(sequence, 20, Wanted::Nothing)]);
    let batch = runner.batch(&[(sequence, 1, Wanted::Every)]);
    let error = runner.run(&batch).expect_err("21 positions");
    assert!(error.message().contains("allows 20"), "{error}");
}

#[test]
fn an_empty_batch_is_a_step_of_nothing() {
    let model = DecoderShape::SMALL.build();
    let mut runner = Runner::new(&model, Setup::PLAIN, 6);
    assert!(runner.step(&[]).is_empty());
}

#[test]
fn copies_of_unknown_blocks_are_refused() {
    let model = DecoderShape::SMALL.build();
    let mut session = Setup::PLAIN.create(&model).expect("a session");
    assert!(session.copy_blocks(&[0, 95], &[1, 2]).is_ok());
    assert!(session.copy_blocks(&[0], &[0]).is_ok());
    assert!(session.copy_blocks(&[96], &[0]).is_err());
    assert!(session.copy_blocks(&[0], &[96]).is_err());
    assert!(session.copy_blocks(&[0, 1], &[2]).is_err());
}

pub(crate) fn creation_error(model: &Model, setup: Setup) -> Error {
    let estimate = Cpu::estimate(&setup.options(model, DtypeLookup::new(&dtypes::find)))
        .expect_err("estimate");
    let error = setup.create(model).expect_err("create");
    assert_eq!(error, estimate);
    error
}

#[test]
fn a_missing_dtype_is_named_with_its_weight() {
    let mut model = DecoderShape::SMALL.build();
    model.data[2].dtype = "iq9_z";
    let error = creation_error(&model, Setup::PLAIN);
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("weight weight 2 has dtype iq9_z"), "{error}");
    assert!(error.message().contains("add a quantization plugin"), "{error}");
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let mut model = Model::new(50);
    let embedded = model.embed(48);
    let mut model = model.finish(embedded);
    model.data[1] = WeightData::new(&[0; 51], "q8_0");
    let error = creation_error(&model, Setup::PLAIN);
    assert!(error.message().contains("rows of 48 values, whole blocks of 32"), "{error}");
    model.data[1] = WeightData::new(&[0; 51], "f16");
    let error = creation_error(&model, Setup::PLAIN);
    assert!(error.message().contains("has 51 bytes, 4800 expected"), "{error}");
    model.data.pop();
    let error = creation_error(&model, Setup::PLAIN);
    assert!(error.message().contains("2 weights expected, 1 found"), "{error}");
}

#[test]
fn a_graph_that_is_not_valid_is_refused() {
    let mut model = DecoderShape::SMALL.build();
    model.graph.nodes.push(graph::Node { op: Op::Add, inputs: vec![0] });
    assert!(creation_error(&model, Setup::PLAIN).message().contains("2 inputs expected"));
}

#[test]
fn a_rope_table_with_divisors_left_is_refused() {
    let mut model = DecoderShape::SMALL.build();
    let divisors = model.weight(&[16], "f32");
    model.graph.rope_tables[0].divisors = Some(divisors);
    assert!(creation_error(&model, Setup::PLAIN).message().contains("rope table 0"));
}

#[test]
fn kv_storage_that_cannot_be_is_refused() {
    let model = DecoderShape::SMALL.build();
    let error = creation_error(&model, Setup { kv_dtype: "q4_0", ..Setup::PLAIN });
    assert!(error.message().contains("use f32, f16, bf16 or q8_0"), "{error}");
    for limits in [
        SessionLimits { block_size: 0, ..LIMITS },
        SessionLimits { block_count: 0, ..LIMITS },
        SessionLimits { batch_tokens_max: 0, ..LIMITS },
        SessionLimits { sequences_max: 0, ..LIMITS },
        SessionLimits { block_count: 1 << 31, ..LIMITS },
        SessionLimits { block_count: usize::MAX, ..LIMITS },
        SessionLimits { batch_tokens_max: usize::MAX / 8, ..LIMITS },
    ] {
        assert!(Setup { limits, ..Setup::PLAIN }.create(&model).is_err(), "{limits:?}");
    }
}

#[test]
fn more_kv_blocks_than_memory_is_an_error() {
    let model = DecoderShape::SMALL.build();
    let limits = SessionLimits { block_count: 1 << 28, ..LIMITS };
    let error = Setup { limits, ..Setup::PLAIN }.create(&model).expect_err("2 TiB");
    assert!(error.message().contains("no memory for the KV cache"), "{error}");
}

#[test]
fn a_kernel_that_fails_fails_its_step_only() {
    let model = DecoderShape { dtype: "moody", ..DecoderShape::SMALL }.build();
    let tokens = Rng(12).tokens(20, 300);
    let expected = bits(&solo(&model, Setup::PLAIN, &tokens, 20));
    let mut runner = Runner::new(&model, Setup::PLAIN, 6);
    let sequence = runner.add(&tokens);
    let batch = runner.batch(&[(sequence, 20, Wanted::Every)]);

    set_mood(Mood::Fails);
    let error = runner.run(&batch).expect_err("the kernel fails");
    assert_eq!(error, Error::unsupported("not in the mood"));

    set_mood(Mood::Panics);
    let error = runner.run(&batch).expect_err("the kernel panics");
    assert_eq!(error.kind(), ErrorKind::Panic);
    assert_eq!(error.message(), "plugin `cpu` panicked in a matmul kernel: in a bad mood");

    set_mood(Mood::Works);
    assert_eq!(bits(&runner.run(&batch).expect("the kernel works")), expected);
}

#[test]
fn an_estimate_counts_a_tied_matrix_once() {
    let estimate = |model: &Model| {
        Cpu::estimate(&Setup::PLAIN.options(model, DtypeLookup::new(&dtypes::find))).expect("valid")
    };
    let mut model = DecoderShape { layers: 1, ..DecoderShape::SMALL }.build();
    let before = estimate(&model);
    let matrices = 4 * (304 * 128 + 2 * 128 * 128 + 2 * 64 * 128 + 3 * 384 * 128);
    assert_eq!(before.weights, matrices);
    assert!(before.kv >= 4 * 8 * 96 * 2 * 64 && before.scratch > 4 * 192 * 384);

    // A second matrix product with the embedding costs nothing.
    let capped = model.graph.nodes.len() - 1;
    let normed = capped - 2;
    let again = model.node(Op::Linear { weight: 0, bias: None }, &[normed]);
    model.node(Op::Add, &[capped, again]);
    assert_eq!(estimate(&model).weights, before.weights);
}

#[test]
fn loading_reports_its_progress() {
    let model = DecoderShape::SMALL.build();
    let reports = RefCell::new(Vec::new());
    let report = |done, total| reports.borrow_mut().push((done, total));
    let mut options = Setup::PLAIN.options(&model, DtypeLookup::new(&dtypes::find));
    options.progress = Progress::new(&report);
    assert!(Cpu::create(options).is_ok());
    let reports = reports.into_inner();
    let total = reports[0].1;
    assert_eq!((reports[0], reports[reports.len() - 1]), ((0, total), (total, total)));
    assert!(reports.is_sorted() && total > 0);
}
