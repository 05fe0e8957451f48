//! Error and speed of rounding normal values to each dtype that can be written.
//!
//! `cargo run --release -p kernels --example quantize [dtype]` prints the relative root mean square
//! error and millions of values per second on one thread. It checks nothing: the tests do.
#![expect(clippy::print_stdout, reason = "a bench that prints figures")]

use std::f32::consts::PI;
use std::time::Instant;

use kernels::{Dtype, all};

const COUNT: usize = 1 << 20;

fn main() {
    let only = std::env::args().nth(1);
    let values = gaussian(0.02);
    println!("relative error, M values/s to write, M values/s to read");
    for dtype in all() {
        if only.as_ref().is_none_or(|name| name == dtype.name) {
            measure(dtype, &values);
        }
    }
}

fn measure(dtype: &Dtype, values: &[f32]) {
    let mut stored = vec![0; dtype.row_bytes(COUNT)];
    if !dtype.quantize(&values[..dtype.block_len], None, &mut stored[..dtype.block_bytes]) {
        return;
    }
    let mut back = vec![0.0; COUNT];
    let write = speed(|| _ = dtype.quantize(values, None, &mut stored));
    let read = speed(|| dtype.dequantize(&stored, &mut back));
    let square = |x: f32| f64::from(x) * f64::from(x);
    let errors: f64 = values.iter().zip(&back).map(|(value, back)| square(value - back)).sum();
    let error = (errors / values.iter().map(|value| square(*value)).sum::<f64>()).sqrt();
    println!("{:8} {error:.5} {write:7.0} {read:7.0}", dtype.name);
}

/// Millions of values per second, the best of a few runs.
fn speed(mut run: impl FnMut()) -> f64 {
    let mut seconds = f64::MAX;
    for _ in 0..5 {
        let begin = Instant::now();
        run();
        seconds = seconds.min(begin.elapsed().as_secs_f64());
    }
    COUNT as f64 / seconds / 1e6
}

/// Normal values by the method of Box and Muller, from a small generator.
fn gaussian(deviation: f32) -> Vec<f32> {
    let mut state = 1_u64;
    let mut uniform = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 + 0.5) / (1 << 24) as f32
    };
    let mut one = || (-2.0 * uniform().ln()).sqrt() * (2.0 * PI * uniform()).cos();
    (0..COUNT).map(|_| deviation * one()).collect()
}
