//! Writing blocks: errors bounded, no worse than others make, and the same bytes everywhere.

use std::path::Path;

use kernels::{Dtype, Isa, blocks};

use crate::plain_rounding::plain_error;
use crate::random::Random;

/// Most relative error of rows of near-normal values, their cubes, and rows of a few of them.
const BOUNDS: [(&str, [f64; 3]); 15] = [
    ("q4_0", [0.079, 0.11, 0.044]),
    ("q4_1", [0.069, 0.09, 0.037]),
    ("q5_0", [0.039, 0.058, 0.021]),
    ("q5_1", [0.033, 0.045, 0.017]),
    ("q8_0", [0.0048, 0.0081, 0.0026]),
    ("q2_k", [0.265, 0.27, 0.148]),
    ("q3_k", [0.143, 0.159, 0.065]),
    ("q4_k", [0.07, 0.091, 0.04]),
    ("q5_k", [0.034, 0.047, 0.024]),
    ("q6_k", [0.0166, 0.0242, 0.0067]),
    ("iq4_nl", [0.074, 0.092, 0.054]),
    ("iq4_xs", [0.075, 0.093, 0.055]),
    ("mxfp4", [0.115, 0.142, 0.112]),
    ("tq1_0", [0.43, 0.57, 0.43]),
    ("tq2_0", [0.43, 0.57, 0.43]),
];

pub(crate) fn writable() -> impl Iterator<Item = &'static Dtype> {
    blocks().iter().copied().filter(|dtype| BOUNDS.iter().any(|(name, _)| *name == dtype.name))
}

fn stored(dtype: &Dtype, values: &[f32], importance: Option<&[f32]>) -> Vec<u8> {
    let mut bytes = vec![0; dtype.row_bytes(values.len())];
    assert!(dtype.quantize(values, importance, &mut bytes), "{} can be written", dtype.name);
    bytes
}

fn restored(dtype: &Dtype, bytes: &[u8]) -> Vec<f32> {
    let mut values = vec![0.0; bytes.len() / dtype.block_bytes * dtype.block_len];
    dtype.dequantize(bytes, &mut values);
    values
}

/// The error after writing with `importance`, relative to the values, as `judge` weights it.
fn error(dtype: &Dtype, values: &[f32], importance: Option<&[f32]>, judge: Option<&[f32]>) -> f64 {
    let read = restored(dtype, &stored(dtype, values, importance));
    let (mut error, mut size) = (0.0, 0.0);
    for (i, (value, read)) in values.iter().zip(read).enumerate() {
        let weight = f64::from(judge.map_or(1.0, |judge| judge[i]));
        error += weight * (f64::from(*value) - f64::from(read)).powi(2);
        size += weight * f64::from(*value).powi(2);
    }
    (error / size).sqrt()
}

fn normal(seed: u64, count: usize) -> Vec<f32> {
    Random::new(seed).near_normal(count)
}

fn heavy(seed: u64, count: usize) -> Vec<f32> {
    normal(seed, count).into_iter().map(|value| value * value * value).collect()
}

/// One value in seven is not zero.
fn sparse(seed: u64, count: usize) -> Vec<f32> {
    let keep = |(i, value)| if i % 7 == 3 { value } else { 0.0 };
    normal(seed, count).into_iter().enumerate().map(keep).collect()
}

/// Weights of the squares of values, some of them nearly zero.
fn squares(seed: u64, count: usize) -> Vec<f32> {
    normal(seed, count).into_iter().map(|value| value * value).collect()
}

#[test]
fn errors_stay_below_a_bound() {
    for (dtype, (_, bounds)) in writable().zip(BOUNDS) {
        for (make, bound) in [normal, heavy, sparse].into_iter().zip(bounds) {
            for seed in 0..8 {
                let found = error(dtype, &make(seed, 4096), None, None);
                assert!(found < bound, "{}: {found} of {bound}", dtype.name);
            }
        }
    }
}

#[test]
fn nothing_is_worse_than_rounding_plainly() {
    for dtype in writable() {
        for make in [normal, heavy, sparse] {
            for seed in 0..8 {
                let values = make(seed, 2048);
                let found = error(dtype, &values, None, None);
                let plain = plain_error(dtype.name, &values);
                assert!(found <= plain * 1.0001, "{}: {found}, plainly {plain}", dtype.name);
            }
        }
    }
}

#[test]
fn constants_are_kept_to_the_precision_of_scales() {
    for dtype in writable() {
        for constant in [1.0, -1.0, 0.37, -0.011, 900.0] {
            let found = error(dtype, &vec![constant; 512], None, None);
            // A multiple of a tiny f16 is off by more than an f16 itself.
            let bound = if dtype.name == "mxfp4" { 0.2 } else { 4e-3 };
            assert!(found < bound, "{}: {found} for {constant}", dtype.name);
        }
    }
}

#[test]
fn importance_lessens_the_error_that_it_weights() {
    for dtype in writable() {
        for make in [normal, heavy] {
            for seed in 0..4 {
                let (values, weights) = (make(seed, 4096), squares(seed + 100, 4096));
                let without = error(dtype, &values, None, Some(&weights));
                let with = error(dtype, &values, Some(&weights), Some(&weights));
                assert!(with < without, "{}: {with}, without {without}", dtype.name);
            }
        }
    }
}

#[test]
fn only_the_ratios_of_importance_matter() {
    let (values, weights) = (normal(1, 1024), squares(2, 1024));
    for dtype in writable() {
        for factor in [2.0_f32.powi(60), 2.0_f32.powi(-60)] {
            let scaled: Vec<f32> = weights.iter().map(|weight| weight * factor).collect();
            let same =
                stored(dtype, &values, Some(&scaled)) == stored(dtype, &values, Some(&weights));
            assert!(same, "{}: weights times {factor}", dtype.name);
        }
        for odd in [0.0, 1.0, f32::NAN, f32::INFINITY] {
            let same = stored(dtype, &values, Some(&[odd; 1024])) == stored(dtype, &values, None);
            assert!(same, "{}: all weights {odd}", dtype.name);
        }
    }
}

#[test]
fn errors_are_at_most_those_of_llama_cpp() {
    const COLUMNS: usize = 1024;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rmse.txt");
    let known = std::fs::read_to_string(path).expect("golden file");
    let (values, row) = (normal(11, 32 * COLUMNS), squares(12, COLUMNS));
    let weights = row.repeat(32);
    for dtype in writable() {
        let line = known.lines().find(|line| line.split(' ').next() == Some(dtype.name));
        let figures = line.expect("a line for each dtype").split(' ').skip(1);
        for (importance, theirs) in [None, Some(&weights[..])].into_iter().zip(figures) {
            let ours = error(dtype, &values, importance, importance);
            let theirs: f64 = theirs.parse().expect("a number");
            assert!(ours <= 1.005 * theirs, "{}: {ours}, theirs {theirs}", dtype.name);
        }
    }
}

#[test]
fn bytes_depend_on_neither_the_instruction_set_nor_on_neighbours() {
    for dtype in writable() {
        let blocks = 4096 / dtype.block_len + 3;
        let values = heavy(5, blocks * dtype.block_len);
        let weights = squares(6, values.len());
        for importance in [None, Some(&weights)] {
            let expected = stored(dtype, &values, importance.map(|all| &all[..]));
            for isa in Isa::available() {
                let mut bytes = vec![0; expected.len()];
                let importance = importance.map(|all| &all[..]);
                assert!(dtype.quantize_with(isa, &values, importance, &mut bytes));
                assert!(bytes == expected, "{}: {isa:?}", dtype.name);
            }
            for (i, block) in expected.chunks_exact(dtype.block_bytes).enumerate() {
                let range = i * dtype.block_len..(i + 1) * dtype.block_len;
                let importance = importance.map(|all| &all[range.clone()]);
                let alone = stored(dtype, &values[range.clone()], importance);
                assert!(alone == block, "{}: block {i}", dtype.name);
            }
        }
    }
}
