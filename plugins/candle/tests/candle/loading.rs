//! Weights come in any plain dtype, given or read from the row source, and keys may be rounded.
//! Block dtypes need a quantization plugin: the reference models of `tests/compute-suite` have them.

use crate::model::Model;
use crate::runner::{Run, Runner, assert_near, options};
use graph::Op;
use plugin_api::{RowSource, WeightData};
use std::sync::Mutex;

const RUN: Run<'_> = Run { sequence: 0, first: 0, tokens: &[0, 1] };

/// A model that answers with its two embedded rows, which the tests load in another way.
fn two_rows() -> Model {
    let mut model = Model::of_rows(&[&[0.0], &[0.0]]);
    model.node(Op::SelectRows, &[0]);
    model
}

#[test]
fn plain_dtypes_are_read_as_they_are() {
    let of_dtype: [(&str, &[u8]); 3] = [
        ("f32", &[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]),
        ("bf16", &[0x80, 0x3f, 0, 0xc0]),
        ("f16", &[0, 0x3c, 0, 0xc0]),
    ];
    for (dtype, bytes) in of_dtype {
        let mut options = options(&two_rows());
        options.weights[0] = WeightData::new(bytes, dtype);
        assert_near(&Runner::with(options).step(&[RUN]), &[vec![1.0], vec![-2.0]], 0.0);
    }
}

#[test]
fn a_weight_without_bytes_is_read_from_the_row_source() {
    let mut options = options(&two_rows());
    options.weights[0] = WeightData::new(&[], "bf16");
    let asked = Mutex::new(Vec::new());
    let read = |index: usize, rows: std::ops::Range<usize>, bytes: &mut [u8]| {
        asked.lock().expect("no reader panics").push((index, rows));
        bytes.copy_from_slice(&[0x80, 0x3f, 0, 0xc0]);
        Ok(())
    };
    options.rows = RowSource::new(&read);
    assert_near(&Runner::with(options).step(&[RUN]), &[vec![1.0], vec![-2.0]], 0.0);
    assert_eq!(*asked.lock().expect("no reader panics"), [(0, 0..2)]);
}

#[test]
fn a_half_precision_cache_rounds_keys_and_values() {
    let model = Model::decoder();
    let tokens: Vec<u32> = (0..20).collect();
    let run = [Run { sequence: 1, first: 0, tokens: &tokens }];
    let exact = Runner::new(&model).step(&run);
    let mut options = options(&model);
    "f16".clone_into(&mut options.kv_dtype);
    let rounded = Runner::with(options).step(&run);
    assert_near(&rounded, &exact, 2e-2);
    assert_ne!(rounded, exact);
}
