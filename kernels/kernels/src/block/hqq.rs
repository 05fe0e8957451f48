//! `hqq4`, `hqq8`: half-quadratic quantization, for groups of 64.
//!
//! The line minimises the errors in an l_p norm with p < 1, which cares less for outliers than
//! squares do. A half-quadratic split makes that easy: errors are shrunk towards zero by the
//! proximal step of the norm, what is left is explained as outliers, and the line is fitted to the
//! rest; this repeats while the split tightens. Source: Badri and Shaji, Half-Quadratic
//! Quantization of Large Machine Learning Models, 2023. Beyond the paper, the scale is fitted too,
//! and of all lines that with the least squared error is kept.

use super::affine::{Fit, GROUP, Line, VECTORS, range};
use crate::math::{magnitude, round, with_sign};
use crate::simd::Simd;

pub(crate) struct Hqq;

const ROUNDS: usize = 20;
/// Weight of the split in the first round, for errors counted in steps, and its growth.
const BETA: f32 = 10.0;
const GROWTH: f32 = 1.01;

impl Fit for Hqq {
    const NAMES: [&'static str; 2] = ["hqq4", "hqq8"];

    #[inline(always)]
    fn fit<S: Simd>(s: S, values: &[S::F; VECTORS], last: f32) -> Line {
        let (least, greatest) = range(s, values);
        let unit = (greatest - least) / last;
        if unit < f32::MIN_POSITIVE {
            return Line { offset: least, step: 0.0 };
        }
        // From here on values are counted in the first steps, so that their size means nothing.
        let mut counted = *values;
        for value in &mut counted {
            *value = s.div(s.sub(*value, s.splat(least)), s.splat(unit));
        }
        let line = solve(s, &counted, last);
        Line { offset: least + unit * line.offset, step: unit * line.step }
    }
}

/// The best line for values from 0 to `last`.
#[inline(always)]
fn solve<S: Simd>(s: S, values: &[S::F; VECTORS], last: f32) -> Line {
    let mut line = Line { offset: 0.0, step: 1.0 };
    let (mut best, mut least_error) = (line, f32::INFINITY);
    let mut beta = BETA;
    for _ in 0..ROUNDS {
        let sums = sums(s, values, line, last, 1.0 / beta);
        if sums.error < least_error {
            (best, least_error) = (line, sums.error);
        }
        let Some(next) = sums.regression() else { break };
        line = next;
        beta *= GROWTH;
    }
    best
}

/// What a fit needs of a group: sums over its codes and their targets.
struct Sums {
    codes: f32,
    squares: f32,
    targets: f32,
    products: f32,
    /// The sum of squared errors.
    error: f32,
}

impl Sums {
    /// The line nearest to the targets, unless all codes are equal.
    #[inline(always)]
    fn regression(&self) -> Option<Line> {
        let count = GROUP as f32;
        let spread = self.squares - self.codes * self.codes / count;
        let step = (self.products - self.codes * self.targets / count) / spread;
        let rising = spread > 0.5 && step > 0.0;
        rising.then(|| Line { offset: (self.targets - step * self.codes) / count, step })
    }
}

/// The sums for codes on `line`, where the targets are the values less their outliers.
#[inline(always)]
fn sums<S: Simd>(s: S, values: &[S::F; VECTORS], line: Line, last: f32, weight: f32) -> Sums {
    let [mut codes, mut squares, mut targets, mut products, mut errors] = [s.splat(0.0); 5];
    let (offset, step) = (s.splat(line.offset), s.splat(line.step));
    let inverse = s.splat(1.0 / line.step);
    for value in values {
        let exact = s.mul(s.sub(*value, offset), inverse);
        let code = round(s, s.max(s.min(exact, s.splat(last)), s.splat(0.0)));
        let error = s.sub(*value, s.fma(step, code, offset));
        let target = s.sub(*value, shrunk(s, error, weight));
        codes = s.add(codes, code);
        squares = s.fma(code, code, squares);
        targets = s.add(targets, target);
        products = s.fma(code, target, products);
        errors = s.fma(error, error, errors);
    }
    Sums {
        codes: s.sum(codes),
        squares: s.sum(squares),
        targets: s.sum(targets),
        products: s.sum(products),
        error: s.sum(errors),
    }
}

/// The proximal step of the norm with p = 1/2: |x| is lessened by weight * |x|^(p - 1), to not
/// below zero.
#[inline(always)]
fn shrunk<S: Simd>(s: S, x: S::F, weight: f32) -> S::F {
    let size = magnitude(s, x);
    // Of a zero error the quotient is infinite, and the difference below zero.
    let less = s.sub(size, s.div(s.splat(weight), s.sqrt(size)));
    with_sign(s, s.max(less, s.splat(0.0)), x)
}
