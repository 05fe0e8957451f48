//! Writing what weights should not be: nothing panics, and finite values never become NaN.

use kernels::Dtype;

use crate::quantize::writable;
use crate::random::Random;

const COUNT: usize = 512;

fn round_trip(dtype: &Dtype, values: &[f32]) -> Vec<f32> {
    let mut bytes = vec![0; dtype.row_bytes(values.len())];
    let importance = Random::new(3).floats(values.len());
    assert!(dtype.quantize(values, Some(&importance), &mut bytes));
    let weighted = bytes.clone();
    assert!(dtype.quantize(values, None, &mut bytes));
    let mut read = vec![0.0; 2 * values.len()];
    dtype.dequantize(&[weighted, bytes].concat(), &mut read);
    read
}

fn scaled(factor: f32) -> Vec<f32> {
    Random::new(1).floats(COUNT).into_iter().map(|value| value * factor).collect()
}

#[test]
fn finite_values_stay_finite() {
    let ends = [0.0, -0.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-45, -1e-45, 1.0, 65504.0];
    let mixed = |shift: usize| (0..COUNT).map(|i| ends[(i * i + shift) % ends.len()]).collect();
    let rows: Vec<Vec<f32>> = [1e-45, 1e-40, 1e-30, 1e-8, 1e5, 1e20, 1e30, f32::MAX]
        .map(scaled)
        .into_iter()
        .chain((0..ends.len()).map(mixed))
        .chain(ends.map(|value| vec![value; COUNT]))
        .collect();
    for dtype in writable() {
        for row in &rows {
            let read = round_trip(dtype, row);
            assert!(read.iter().all(|value| value.is_finite()), "{}: {row:?}", dtype.name);
        }
    }
}

#[test]
fn zeros_stay_zeros() {
    for dtype in writable() {
        for zero in [0.0, -0.0] {
            let read = round_trip(dtype, &[zero; COUNT]);
            assert!(read.iter().all(|value| *value == 0.0), "{}", dtype.name);
        }
    }
}

#[test]
fn values_beyond_the_scales_become_the_greatest_there_is() {
    for dtype in writable().filter(|dtype| dtype.name != "mxfp4") {
        let read = round_trip(dtype, &scaled(1e30));
        let most = read.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        assert!(most > 6e4, "{}: {most}", dtype.name);
    }
}

#[test]
fn a_block_with_an_odd_value_is_zero_and_leaves_others_alone() {
    for dtype in writable() {
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = scaled(0.1);
            let clean = round_trip(dtype, &values);
            values[3] = odd;
            let read = round_trip(dtype, &values);
            assert!(read[..dtype.block_len].iter().all(|value| *value == 0.0), "{}", dtype.name);
            let others = dtype.block_len..COUNT;
            assert!(read[others.clone()] == clean[others], "{}: {odd}", dtype.name);
        }
    }
}
