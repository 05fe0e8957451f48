//! The project's own dtypes: goldens, errors of rounding, values at the ends.
//!
//! Products are in the table of `matmul`; here is what only these dtypes promise.

use kernels::{Dtype, F8_E4M3, F32, Isa, MatmulTile, all, find, own};

use crate::golden::{check_read, check_write};
use crate::random::Random;

#[test]
fn blocks_are_read_by_their_definition() {
    for dtype in own() {
        check_read(dtype.name);
    }
}

#[test]
fn values_are_rounded_by_their_definition() {
    for name in ["afq4", "afq8", "f8_e4m3"] {
        check_write(name);
    }
}

#[test]
fn a_dtype_says_rightly_whether_it_can_be_written() {
    for dtype in all() {
        let (values, mut block) = (vec![0.5; dtype.block_len], vec![0; dtype.block_bytes]);
        let written = dtype.quantize(&values, Some(&values), &mut block);
        assert_eq!(written, dtype.quantizes(), "{}", dtype.name);
    }
}

/// Values through a dtype and back.
fn rounded(dtype: &Dtype, values: &[f32]) -> Vec<f32> {
    let mut stored = vec![0; dtype.row_bytes(values.len())];
    assert!(dtype.quantize(values, None, &mut stored), "{} can be written", dtype.name);
    let mut back = vec![0.0; values.len()];
    dtype.dequantize(&stored, &mut back);
    back
}

/// Root of the squared errors over that of the squares.
fn relative_error(dtype: &Dtype, values: &[f32]) -> f64 {
    let square = |x: f32| f64::from(x) * f64::from(x);
    let back = rounded(dtype, values);
    let errors: f64 = values.iter().zip(back).map(|(value, back)| square(value - back)).sum();
    (errors / values.iter().map(|value| square(*value)).sum::<f64>()).sqrt()
}

/// Normal values by the method of Box and Muller.
fn gaussian(count: usize, deviation: f32) -> Vec<f32> {
    let mut random = Random::new(5);
    let mut one = || {
        let (radius, angle) = ((random.float() + 1.0) / 2.0, random.float());
        (-2.0 * radius.max(1e-7).ln()).sqrt() * (std::f32::consts::PI * angle).cos()
    };
    (0..count).map(|_| deviation * one()).collect()
}

#[test]
fn gaussian_rows_are_rounded_closely() {
    // q4_0, which has as many bits as afq4 and hqq4, has 0.086.
    let most = [
        ("hqq4", 0.084),
        ("hqq8", 0.0051),
        ("afq4", 0.092),
        ("afq8", 0.0055),
        ("int4", 0.081),
        ("f8_e4m3", 0.027),
    ];
    assert_eq!(most.len(), own().len());
    for deviation in [1e-3, 0.02, 5.0] {
        let values = gaussian(1 << 16, deviation);
        for (name, most) in most {
            let error = relative_error(find(name).expect("an own dtype"), &values);
            // Scales near the least f16 have fewer digits.
            let most = if deviation < 0.01 && name.ends_with('8') { 1.2 * most } else { most };
            assert!(error < most, "{name}: {error} for deviation {deviation}");
        }
    }
}

#[test]
fn the_solver_is_better_than_the_range_alone() {
    let outliers = gaussian(1 << 14, 0.02).into_iter().enumerate();
    let values: Vec<f32> = outliers.map(|(i, x)| if i % 64 == 9 { 4.0 * x } else { x }).collect();
    for (solved, spread) in [("hqq4", "afq4"), ("hqq8", "afq8")] {
        let [solved, spread] =
            [solved, spread].map(|name| relative_error(find(name).expect("an own dtype"), &values));
        assert!(solved < 0.96 * spread, "{solved} against {spread}");
    }
}

#[test]
fn zero_and_constant_rows_are_kept() {
    for dtype in own() {
        assert_eq!(rounded(dtype, &[0.0; 64]), [0.0; 64], "{}", dtype.name);
        for constant in [1.0, -0.5, 1e-3, 300.0_f32] {
            for value in rounded(dtype, &[constant; 64]) {
                let error = (value - constant).abs();
                assert!(error <= 1e-3 * constant.abs(), "{}: {value}", dtype.name);
            }
        }
    }
}

#[test]
fn any_values_can_be_written() {
    let ends = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 1e-45, -1e-30];
    for dtype in own() {
        for end in ends {
            let mut values = gaussian(64, 1.0);
            values[40] = end;
            let huge = values.iter().map(|value| value * 1e36).collect();
            for values in [values, vec![end; 64], huge] {
                let nan_stays = dtype.name == "f8_e4m3" && end.is_nan();
                let finite = rounded(dtype, &values).iter().all(|value| value.is_finite());
                assert!(finite || nan_stays, "{}: {values:?}", dtype.name);
            }
        }
    }
}

#[test]
fn an_8_bit_float_keeps_what_it_can_of_the_ends() {
    let mut values = [1.0_f32; 32];
    (values[3], values[4]) = (f32::NAN, -448.0);
    let back = rounded(&F8_E4M3, &values);
    assert!(back[3].is_nan() && back[4] == -448.0 && back[5] == 1.0);
    values[3] = f32::INFINITY;
    let back = rounded(&F8_E4M3, &values);
    assert!(back[3] > 3.4e38 && back[3].is_finite() && back[5] == 0.0);
}

/// Scales of the whole range that f32 products leave finite.
#[test]
fn products_of_8_bit_floats_have_the_bits_of_f32() {
    let (rows, k) = (33, 96);
    let mut random = Random::new(11);
    let mut stored = random.weights(&F8_E4M3, rows, k);
    for (i, block) in stored.chunks_exact_mut(F8_E4M3.block_bytes).enumerate() {
        let scale = random.float() * 2.0_f32.powi(i as i32 * 2 - 130);
        block[..4].copy_from_slice(&scale.to_le_bytes());
    }
    let mut weights = vec![0.0; rows * k];
    F8_E4M3.dequantize(&stored, &mut weights);
    let plain: Vec<u8> = weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
    let x = random.floats(2 * k);
    for isa in Isa::available() {
        let found = product(&F8_E4M3, isa, &stored, &x, rows);
        assert!(found == product(&F32, isa, &plain, &x, rows), "{isa:?}");
    }
}

#[test]
fn a_nan_code_spoils_its_row_alone() {
    let mut stored = Random::new(2).weights(&F8_E4M3, 3, 64);
    stored[F8_E4M3.row_bytes(64) + 4 + 17] = 0xff;
    for isa in Isa::available() {
        let found = product(&F8_E4M3, isa, &stored, &[1.0; 64], 3);
        let nan: Vec<bool> = found.iter().map(|bits| f32::from_bits(*bits).is_nan()).collect();
        assert_eq!(nan, [false, true, false], "{isa:?}");
    }
}

/// The bits of the products of all rows with each row of `x`.
fn product(dtype: &Dtype, isa: Isa, stored: &[u8], x: &[f32], rows: usize) -> Vec<u32> {
    let k = stored.len() / rows / dtype.block_bytes * dtype.block_len;
    let mut weights = vec![0; dtype.packed_bytes(rows, k)];
    dtype.pack(stored, k, &mut weights);
    let stride = dtype.input_bytes(k);
    let mut inputs = vec![0; x.len() / k * stride];
    for (x, input) in x.chunks_exact(k).zip(inputs.chunks_exact_mut(stride)) {
        dtype.prepare_input_with(isa, x, input);
    }
    let mut output = vec![f32::NAN; x.len() / k * rows];
    let tile = MatmulTile {
        weights: weights.as_ptr(),
        k,
        row_begin: 0,
        row_end: rows,
        inputs: inputs.as_ptr(),
        input_stride: stride,
        token_count: x.len() / k,
        output: output.as_mut_ptr(),
        output_stride: rows,
    };
    // SAFETY: the buffers have the lengths of the tile and outlive the call.
    unsafe { dtype.matmul_with(isa, &tile) };
    output.into_iter().map(f32::to_bits).collect()
}
