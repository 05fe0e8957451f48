//! `afq4`, `afq8`: the affine rule of MLX, for groups of 64.
//!
//! One end of the range, the one farther from zero, is code 0, and steps lead from there towards
//! the other end; the step is such that zero has a whole code too. Source: `affine_quantize` of
//! MLX (ml-explore/mlx, `mlx/ops.cpp`). MLX keeps scale and offset in the checkpoint's float type,
//! here they are f16.

use super::affine::{Fit, Line, VECTORS, range};
use crate::simd::Simd;

pub(crate) struct Afq;

/// The least step of MLX, for groups of equal values.
const LEAST_STEP: f32 = 1e-7;

impl Fit for Afq {
    const NAMES: [&'static str; 2] = ["afq4", "afq8"];

    #[inline(always)]
    fn fit<S: Simd>(s: S, values: &[S::F; VECTORS], last: f32) -> Line {
        let (least, greatest) = range(s, values);
        let step = ((greatest - least) / last).max(LEAST_STEP);
        let (edge, step) =
            if least.abs() > greatest.abs() { (least, step) } else { (greatest, -step) };
        let steps_to_zero = (edge / step).round_ties_even();
        if steps_to_zero == 0.0 {
            return Line { offset: 0.0, step };
        }
        Line { offset: edge, step: edge / steps_to_zero }
    }
}
