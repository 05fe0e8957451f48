//! Comparison of a model's answer with the f64 executor's.

use crate::model::Model;
use crate::reference;
use crate::rng::Rng;
use crate::runner::{Setup, alone};
use graph::ValueId;

fn rounded(value: f64, dtype: &kernels::Dtype) -> f64 {
    let mut bytes = [0; 2];
    assert!(dtype.quantize(&[value as f32], None, &mut bytes));
    let mut rounded = [0.0];
    dtype.dequantize(&bytes, &mut rounded);
    f64::from(rounded[0])
}

/// Compares the whole answer for a random sequence with the reference.
pub(crate) fn compare(model: &Model, setup: Setup, count: usize, tolerance: f64) {
    let tokens = Rng(count as u64).tokens(count, model.graph.vocab_size);
    // The reference leaves q8_0 unrounded: its tolerance is one of rounding.
    let round: fn(f64) -> f64 = match setup.kv_dtype {
        "f16" => |value| rounded(value, &kernels::F16),
        "bf16" => |value| rounded(value, &kernels::BF16),
        _ => |value| value,
    };
    let expected = reference::logits(model, &tokens, round);
    let found = alone(model, setup, &tokens);
    assert_eq!(found.len(), expected.len());
    for (row, (found, expected)) in found.iter().zip(&expected).enumerate() {
        for (column, (found, expected)) in found.iter().zip(expected).enumerate() {
            let error = (f64::from(*found) - expected).abs();
            assert!(
                error <= tolerance * expected.abs().max(1.0),
                "row {row}, column {column}: {found} found, {expected} expected"
            );
        }
    }
}

/// A graph of an embedding of `width`, what `build` adds to it, and logits.
pub(crate) fn check(width: usize, build: impl FnOnce(&mut Model, ValueId) -> ValueId) {
    let mut model = Model::new(50);
    let embedded = model.embed(width);
    let last = build(&mut model, embedded);
    let model = model.finish(last);
    for count in [1, 2, 19] {
        compare(&model, Setup::PLAIN, count, 2e-5);
    }
}
