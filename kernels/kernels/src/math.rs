//! Elementary functions on lanes: exp, tanh, the normal distribution.
//!
//! Own polynomials, because a libm call differs between systems and does not vectorise. Each is
//! accurate to a few units in the last place where it is used. They must keep NaN.

use crate::simd::Simd;

/// Added to an f32 of at most 2^22, it leaves the rounded integer in the lowest bits, ties even.
pub(crate) const ROUND: f32 = 12_582_912.0;

/// Below this, `exp` is 0: the result would be subnormal.
const EXP_LEAST: f32 = -87.336_54;
/// Above this, `exp` stays what it is here (2.4e38) instead of becoming infinite.
const EXP_MOST: f32 = 88.376_26;

/// e^x.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    /// ln 2 in two pieces, the first with few enough bits that its multiples are exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    /// 1/k! from k = 7 down: on |r| <= ln 2 / 2 the rest of the series is below half a unit.
    const SERIES: [f32; 8] =
        [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];

    let within = s.max(s.splat(EXP_LEAST), s.min(s.splat(EXP_MOST), x));
    let rounded = s.fma(within, s.splat(std::f32::consts::LOG2_E), s.splat(ROUND));
    let n = s.sub(rounded, s.splat(ROUND));
    let r = s.fma(n, s.splat(-LN2_HIGH), within);
    let r = s.fma(n, s.splat(-LN2_LOW), r);
    let sum = polynomial(s, r, &SERIES);
    let exponent = s.shl(s.as_bits(rounded), 23);
    let power = s.as_f32(s.add_i32(exponent, s.splat_i32(1.0_f32.to_bits().cast_signed())));
    s.select_lt(x, s.splat(EXP_LEAST), s.splat(0.0), s.mul(sum, power))
}

/// The polynomial with these coefficients, the highest power first.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(s: S, x: S::F, coefficients: &[f32; N]) -> S::F {
    let mut sum = s.splat(coefficients[0]);
    for coefficient in &coefficients[1..] {
        sum = s.fma(sum, x, s.splat(*coefficient));
    }
    sum
}

/// The nearest integer, ties to even, of at most 2^22.
#[inline(always)]
pub(crate) fn round<S: Simd>(s: S, x: S::F) -> S::F {
    s.sub(s.add(x, s.splat(ROUND)), s.splat(ROUND))
}

#[inline(always)]
pub(crate) fn magnitude<S: Simd>(s: S, x: S::F) -> S::F {
    s.as_f32(s.and(s.as_bits(x), s.splat_i32(i32::MAX)))
}

/// `magnitude`, which has no sign bit, with the sign of `x`.
#[inline(always)]
pub(crate) fn with_sign<S: Simd>(s: S, magnitude: S::F, x: S::F) -> S::F {
    s.as_f32(s.or(s.as_bits(magnitude), s.and(s.as_bits(x), s.splat_i32(i32::MIN))))
}

/// The hyperbolic tangent.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::F) -> S::F {
    /// In powers of x², for the small x at which the quotient of exponentials loses digits.
    const SERIES: [f32; 5] = [62.0 / 2835.0, -17.0 / 315.0, 2.0 / 15.0, -1.0 / 3.0, 1.0];

    let size = magnitude(s, x);
    let small = s.mul(size, polynomial(s, s.mul(x, x), &SERIES));
    let decay = exp(s, s.mul(size, s.splat(-2.0)));
    let large = s.div(s.sub(s.splat(1.0), decay), s.add(s.splat(1.0), decay));
    with_sign(s, s.select_lt(size, s.splat(0.25), small, large), x)
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::F) -> S::F {
    let decay = exp(s, s.sub(s.splat(0.0), x));
    s.div(s.splat(1.0), s.add(s.splat(1.0), decay))
}

/// The share of a normal distribution below `x`: (1 + erf(x / √2)) / 2, to 1e-7.
#[inline(always)]
pub(crate) fn normal_below<S: Simd>(s: S, x: S::F) -> S::F {
    /// Abramowitz and Stegun 7.1.26, in 1 / (1 + p z), the highest power first.
    const P: f32 = 0.327_591_1;
    const SERIES: [f32; 6] =
        [1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6, 0.0];

    let z = s.mul(magnitude(s, x), s.splat(std::f32::consts::FRAC_1_SQRT_2));
    let t = s.div(s.splat(1.0), s.fma(z, s.splat(P), s.splat(1.0)));
    let decay = exp(s, s.mul(s.sub(s.splat(0.0), z), z));
    let tail = s.mul(s.splat(0.5), s.mul(polynomial(s, t, &SERIES), decay));
    s.select_lt(x, s.splat(0.0), tail, s.sub(s.splat(1.0), tail))
}
