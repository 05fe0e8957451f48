//! Matrix products: every dtype on every instruction set, over shapes with ragged ends.

use kernels::{Dtype, Isa, MatmulTile, ROW_GROUP, all, blocks, own};

use crate::random::Random;

const ROWS: usize = 70;
/// More than kernels take at once, and not a multiple of it.
const TOKENS: usize = 37;

/// A matrix and inputs, ready to multiply.
struct Case {
    dtype: &'static Dtype,
    k: usize,
    stored: Vec<u8>,
    x: Vec<f32>,
    packed: Vec<u8>,
    inputs: Vec<u8>,
}

fn packed(dtype: &Dtype, stored: &[u8], rows: usize, k: usize) -> Vec<u8> {
    let mut packed = vec![0xa5; dtype.packed_bytes(rows, k)];
    dtype.pack(&stored[..rows * dtype.row_bytes(k)], k, &mut packed);
    packed
}

fn prepared(dtype: &Dtype, isa: Isa, x: &[f32], k: usize) -> Vec<u8> {
    let mut inputs = vec![0xa5; x.len() / k * dtype.input_bytes(k)];
    for (x, row) in x.chunks_exact(k).zip(inputs.chunks_exact_mut(dtype.input_bytes(k))) {
        dtype.prepare_input_with(isa, x, row);
    }
    inputs
}

impl Case {
    fn new(dtype: &'static Dtype, k: usize) -> Self {
        let mut random = Random::new(k as u64);
        let stored = random.weights(dtype, ROWS, k);
        let x = random.floats(TOKENS * k);
        let packed = packed(dtype, &stored, ROWS, k);
        let inputs = prepared(dtype, Isa::Portable, &x, k);
        Case { dtype, k, stored, x, packed, inputs }
    }

    /// Runs rows and the first `tokens` tokens on `isa`; what is not written stays NaN.
    fn run(&self, isa: Isa, rows: std::ops::Range<usize>, tokens: usize) -> Vec<f32> {
        let mut output = vec![f32::NAN; tokens * ROWS];
        let tile = MatmulTile {
            weights: self.packed.as_ptr(),
            k: self.k,
            row_begin: rows.start,
            row_end: rows.end,
            inputs: self.inputs.as_ptr(),
            input_stride: self.dtype.input_bytes(self.k),
            token_count: tokens,
            output: output.as_mut_ptr(),
            output_stride: ROWS,
        };
        // SAFETY: the buffers have the lengths of the tile and outlive the call.
        unsafe { self.dtype.matmul_with(isa, &tile) };
        output
    }

    fn name(&self, isa: Isa) -> String {
        format!("{} on {isa:?}, k {}", self.dtype.name, self.k)
    }
}

/// Values per row: few and many blocks, and for plain dtypes odd numbers.
fn cases() -> impl Iterator<Item = Case> {
    all().flat_map(|dtype| {
        let plain = [1, 2, 3, 17, 256, 257];
        let ks = if dtype.block_len == 1 { plain } else { [1, 2, 3, 4, 5, 28] };
        ks.into_iter().map(move |k| {
            let blocks = if dtype.block_len == 256 { k.min(6) } else { k };
            Case::new(dtype, blocks * dtype.block_len)
        })
    })
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// What the kernels of block dtypes see of activations, from its definition.
fn through_bytes(x: &[f32]) -> Vec<f64> {
    let parts = x.chunks(32).flat_map(|part| {
        let most = part.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let inverse = 127.0 / most;
        part.iter()
            .map(move |x| f64::from((x * inverse).round_ties_even()) * f64::from(most / 127.0))
    });
    parts.collect()
}

#[test]
fn products_agree_with_float64() {
    for case in cases() {
        let dtype = case.dtype;
        let mut weights = vec![0.0; ROWS * case.k];
        dtype.dequantize(&case.stored, &mut weights);
        let x = match dtype.input_format {
            "f32" => case.x.iter().map(|x| f64::from(*x)).collect(),
            _ => through_bytes(&case.x),
        };
        let output = case.run(Isa::Portable, 0..ROWS, TOKENS);
        for (i, found) in output.iter().enumerate() {
            let (token, row) = (i / ROWS, i % ROWS);
            let weights = &weights[row * case.k..][..case.k];
            let x = &x[token * case.k..][..case.k];
            let most = weights.iter().fold(0.0_f64, |most, w| most.max(f64::from(w.abs())));
            let size: f64 = x.iter().map(|x| x.abs() * most).sum();
            let expected: f64 = weights.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum();
            let error = (f64::from(*found) - expected).abs();
            assert!(error <= 4e-7 * size, "{}: {found} for {expected}", case.name(Isa::Portable));
        }
    }
}

#[test]
fn instruction_sets_give_equal_bits() {
    for case in cases() {
        let expected = bits(&case.run(Isa::Portable, 0..ROWS, TOKENS));
        for isa in Isa::available() {
            assert_eq!(case.inputs, prepared(case.dtype, isa, &case.x, case.k), "inputs");
            assert!(bits(&case.run(isa, 0..ROWS, TOKENS)) == expected, "{}", case.name(isa));
        }
    }
}

#[test]
fn a_token_has_the_same_bits_in_every_batch() {
    for case in cases() {
        for isa in Isa::available() {
            let expected = bits(&case.run(isa, 0..ROWS, TOKENS));
            for tokens in (1..20).chain([31, 32]) {
                let output = bits(&case.run(isa, 0..ROWS, tokens));
                assert!(output == expected[..tokens * ROWS], "{}, {tokens}", case.name(isa));
            }
        }
    }
}

#[test]
fn a_row_has_the_same_bits_in_every_split() {
    for case in cases() {
        for isa in Isa::available() {
            let whole = case.run(isa, 0..ROWS, 2);
            for begin in (0..ROWS).step_by(ROW_GROUP) {
                for end in begin + 1..=ROWS {
                    let part = case.run(isa, begin..end, 2);
                    for (row, (part, whole)) in part.iter().zip(&whole).enumerate() {
                        let inside = (begin..end).contains(&(row % ROWS));
                        let expected = if inside { *whole } else { f32::NAN };
                        assert_eq!(part.to_bits(), expected.to_bits(), "{}", case.name(isa));
                    }
                }
            }
        }
    }
}

#[test]
fn groups_packed_one_by_one_are_the_whole_matrix() {
    for case in cases() {
        let group = case.packed.len() / ROWS.div_ceil(ROW_GROUP);
        let rows = case.stored.chunks(ROW_GROUP * case.dtype.row_bytes(case.k));
        for (rows, expected) in rows.zip(case.packed.chunks_exact(group)) {
            let mut packed = vec![0x5a; group];
            case.dtype.pack(rows, case.k, &mut packed);
            assert!(packed == expected, "{}, k {}", case.dtype.name, case.k);
        }
    }
}

#[test]
fn every_row_count_packs_to_the_same_products() {
    for case in cases() {
        let expected = bits(&case.run(Isa::detect(), 0..ROWS, 1));
        for rows in 1..=ROWS {
            let packed = packed(case.dtype, &case.stored, rows, case.k);
            let part =
                Case { packed, stored: vec![], x: vec![], inputs: case.inputs.clone(), ..case };
            let output = bits(&part.run(Isa::detect(), 0..rows, 1));
            assert!(output[..rows] == expected[..rows], "{}, {rows}", part.dtype.name);
        }
    }
}

#[test]
fn packed_weights_are_hardly_larger_than_stored_ones() {
    for dtype in all() {
        // Multiples get a byte each, exponents two, digits of 3 their pair of bits, and grid points
        // become the 3 or 4 bits of each value.
        let most = match dtype.name {
            "q3_k" | "mxfp4" => 1.06,
            "tq1_0" => 1.23,
            "iq3_s" => 1.28,
            "iq2_s" | "iq3_xxs" => 1.43,
            "iq2_xs" | "iq2_xxs" => 1.64,
            "iq1_s" | "iq1_m" => 2.16,
            _ => 1.03,
        };
        let packed = dtype.packed_bytes(64, 1024) as f64;
        assert!(packed <= most * (64 * dtype.row_bytes(1024)) as f64, "{}", dtype.name);
    }
}

#[test]
fn any_bytes_can_be_unpacked_and_multiplied() {
    for dtype in blocks().iter().chain(own()) {
        let mut random = Random::new(3);
        let stored = random.bytes(ROWS * dtype.row_bytes(512));
        dtype.dequantize(&stored, &mut vec![0.0; ROWS * 512]);
        let case = Case { stored, ..Case::new(dtype, 512) };
        let packed = packed(dtype, &case.stored, ROWS, 512);
        let case = Case { packed, ..case };
        let expected = case.run(Isa::Portable, 0..ROWS, TOKENS);
        for isa in Isa::available() {
            for (found, expected) in case.run(isa, 0..ROWS, TOKENS).iter().zip(&expected) {
                let equal = found.to_bits() == expected.to_bits();
                assert!(equal || found.is_nan() && expected.is_nan(), "{}", case.name(isa));
            }
        }
    }
}

#[test]
fn activations_that_are_not_finite_reach_the_output() {
    for dtype in all() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut case = Case::new(dtype, 2 * dtype.block_len.max(32));
            case.x[3] = bad;
            for isa in Isa::available() {
                case.inputs = prepared(dtype, isa, &case.x, case.k);
                let output = case.run(isa, 0..ROWS, 2);
                assert!(output[..ROWS].iter().all(|y| !y.is_finite()), "{}", case.name(isa));
                assert!(output[ROWS..].iter().all(|y| y.is_finite()), "{}", case.name(isa));
            }
        }
    }
}

#[test]
fn tiny_and_huge_activations_stay_finite() {
    for dtype in blocks().iter().chain(own()) {
        for size in [0.0, f32::MIN_POSITIVE / 64.0, 1e-37, 1e30] {
            let mut case = Case::new(dtype, dtype.block_len);
            case.x.iter_mut().for_each(|x| *x *= size);
            for isa in Isa::available() {
                case.inputs = prepared(dtype, isa, &case.x, case.k);
                let output = case.run(isa, 0..ROWS, 1);
                assert!(size > 1.0 || output.iter().all(|y| y.abs() < 1e-30), "{size}");
                assert!(output.iter().all(|y| y.is_finite()), "{size}");
            }
        }
    }
}
