//! The search for the scale of each span and, of formats with minima, its base: what code 0 means.
//!
//! Codes follow from a scale by rounding, and from codes the scale that suits them best by least
//! squares; so few first guesses and some rounds of that find what a fine search would. Loops over
//! lanes are plain ones: a closure would be compiled without the instruction set.

use super::levels::Levels;
use super::spans::Spans;
use super::{Quantized, Stored};
use crate::block::Scales;
use crate::math::magnitude;
use crate::simd::{LANES, Lanes, Simd};

/// How often codes are fitted to the scale, and the scale to these, after the first guesses.
const ROUNDS: usize = 2;

/// Weighted sums over a span, or over any values that have a scale in common.
#[derive(Clone, Copy)]
pub(super) struct Sums<F> {
    /// Of the products of level and value.
    pub(super) qx: F,
    /// Of the squares of the levels.
    pub(super) qq: F,
    /// Of the levels.
    pub(super) q: F,
}

/// Scale and base for some codes.
#[derive(Clone, Copy)]
pub(super) struct Fit<F> {
    pub(super) scale: F,
    pub(super) base: F,
    /// By how much these lessen the sum of squares.
    gain: F,
    pub(super) sums: Sums<F>,
}

/// Sums for the levels nearest to `(x - base) * inverse`, `x` being a value of each lane.
#[inline(always)]
pub(super) fn sums<S: Simd>(
    s: S,
    values: &[Lanes],
    weights: &[Lanes],
    levels: Levels,
    [base, inverse]: [S::F; 2],
) -> Sums<S::F> {
    let mut sums = Sums { qx: s.splat(0.0), qq: s.splat(0.0), q: s.splat(0.0) };
    for (x, weight) in values.iter().zip(weights) {
        let (x, weight) = (s.load_f32(&x.0), s.load_f32(&weight.0));
        let (level, _) = levels.nearest(s, s.sub(x, base), inverse);
        let weighted = s.mul(weight, level);
        sums.qx = s.fma(weighted, x, sums.qx);
        sums.qq = s.fma(weighted, level, sums.qq);
        sums.q = s.add(weighted, sums.q);
    }
    sums
}

impl<F: Copy> Fit<F> {
    /// In each lane the one with the greater gain.
    #[inline(always)]
    fn better<S: Simd<F = F>>(self, s: S, other: Self) -> Self {
        let (mine, others) = (self.gain, other.gain);
        Fit {
            scale: s.select_lt(mine, others, other.scale, self.scale),
            base: s.select_lt(mine, others, other.base, self.base),
            gain: s.select_lt(mine, others, others, mine),
            sums: Sums {
                qx: s.select_lt(mine, others, other.sums.qx, self.sums.qx),
                qq: s.select_lt(mine, others, other.sums.qq, self.sums.qq),
                q: s.select_lt(mine, others, other.sums.q, self.sums.q),
            },
        }
    }
}

/// The best scale of each span, and its base if the format has minima.
#[inline(always)]
pub(super) fn search<S: Simd, F: Quantized<SPAN>, const SPAN: usize>(
    s: S,
    spans: &mut Spans<SPAN>,
) -> Fit<S::F> {
    let rule = &F::RULE;
    if F::Scales::HAS_MIN {
        spans.lower(s, matches!(rule.stored, Stored::Multiples(..)));
    }
    let (zero, reach) = (s.splat(0.0), reach(s, spans));
    let sums = Sums { qx: zero, qq: zero, q: zero };
    let mut best = Fit { scale: zero, base: zero, gain: zero, sums };
    for target in rule.targets {
        if matches!(rule.stored, Stored::Power) {
            best = best.better(s, fit::<S, F, SPAN>(s, spans, [zero, s.splat(*target)]));
            continue;
        }
        let inverse = s.div(s.splat(*target), reach);
        best = best.better(s, fit::<S, F, SPAN>(s, spans, [zero, inverse]));
        if F::Scales::HAS_MIN {
            let base = s.div(reach, s.splat(2.0 * target));
            best = best.better(s, fit::<S, F, SPAN>(s, spans, [base, inverse]));
        }
    }
    for _ in 0..ROUNDS {
        let inverse = s.div(s.splat(1.0), best.scale);
        best = best.better(s, fit::<S, F, SPAN>(s, spans, [best.base, inverse]));
    }
    best
}

/// The value of greatest magnitude of each span.
#[inline(always)]
fn reach<S: Simd, const SPAN: usize>(s: S, spans: &Spans<SPAN>) -> S::F {
    let mut reach = s.splat(0.0);
    for x in &spans.values {
        let x = s.load_f32(&x.0);
        reach = s.select_lt(magnitude(s, reach), magnitude(s, x), x, reach);
    }
    reach
}

/// Rounds with a base and an inverse scale, and fits both to the codes.
#[inline(always)]
fn fit<S: Simd, F: Quantized<SPAN>, const SPAN: usize>(
    s: S,
    spans: &Spans<SPAN>,
    line: [S::F; 2],
) -> Fit<S::F> {
    let sums = sums(s, &spans.values, &spans.weights, F::RULE.levels, line);
    let Sums { qx, qq, q } = sums;
    if !F::Scales::HAS_MIN {
        let scale = match F::RULE.stored {
            Stored::Power => s.div(s.splat(1.0), line[1]),
            Stored::Halves | Stored::Multiples(..) => s.div(qx, qq),
        };
        let gain = s.mul(scale, s.sub(s.add(qx, qx), s.mul(scale, qq)));
        return Fit { scale, base: s.splat(0.0), gain, sums };
    }
    let (all, x) = (s.load_f32(&spans.weight_sums.0), s.load_f32(&spans.value_sums.0));
    let bound = match F::RULE.stored {
        Stored::Multiples(..) => Some(s.sub(s.splat(0.0), s.load_f32(&spans.lowest.0))),
        Stored::Halves | Stored::Power => None,
    };
    let [scale, base] = line_through(s, sums, [all, x], bound);
    // 2 * scale * qx + 2 * base * x - scale² * qq - 2 * scale * base * q - base² * all
    let by_scale = s.sub(s.add(qx, qx), s.fma(scale, qq, s.mul(base, s.add(q, q))));
    let by_base = s.sub(s.add(x, x), s.mul(base, all));
    Fit { scale, base, gain: s.fma(scale, by_scale, s.mul(base, by_base)), sums }
}

/// The scale and the base with the least error for levels and values with these sums, `all` being
/// that of the weights and `x` that of the values. The base stays below its bound, if any: a
/// minimum that is stored as a multiple has no sign.
#[inline(always)]
fn line_through<S: Simd>(
    s: S,
    Sums { qx, qq, q }: Sums<S::F>,
    [all, x]: [S::F; 2],
    bound: Option<S::F>,
) -> [S::F; 2] {
    /// Of the greatest determinant: less is due to rounding, the levels being all the same.
    const LEAST: f32 = 1e-5;

    let most = s.mul(all, qq);
    let determinant = s.sub(most, s.mul(q, q));
    let scale = s.div(s.sub(s.mul(all, qx), s.mul(x, q)), determinant);
    let base = s.div(s.sub(x, s.mul(scale, q)), all);
    let origin = bound.unwrap_or(s.splat(0.0));
    let highest = bound.unwrap_or(s.splat(f32::MAX));
    let scale_of_origin = s.div(s.sub(qx, s.mul(origin, q)), qq);
    let scale = s.select_lt(highest, base, scale_of_origin, scale);
    let base = s.min(base, highest);
    let least = s.mul(most, s.splat(LEAST));
    let scale = s.select_lt(least, determinant, scale, scale_of_origin);
    [scale, s.select_lt(least, determinant, base, origin)]
}

/// Rounds all values with the scales and bases that were decided upon.
#[inline(always)]
pub(super) fn encode<S: Simd, const SPAN: usize>(
    s: S,
    spans: &Spans<SPAN>,
    levels: Levels,
    [scales, bases]: &[Lanes; 2],
    codes: &mut [[u8; SPAN]; LANES],
) {
    let (zero, base, scale) = (s.splat(0.0), s.load_f32(&bases.0), s.load_f32(&scales.0));
    let inverse = s.div(s.splat(1.0), scale);
    let inverse = s.select_lt(zero, magnitude(s, scale), inverse, zero);
    for begin in (0..SPAN).step_by(LANES) {
        let mut columns = [zero; LANES];
        for (i, column) in columns.iter_mut().enumerate() {
            let x = s.load_f32(&spans.values[begin + i].0);
            let (_, code) = levels.nearest(s, s.sub(x, base), inverse);
            *column = s.as_f32(code);
        }
        for (row, codes) in s.transpose(&columns).into_iter().zip(codes.iter_mut()) {
            let codes = codes[begin..].first_chunk_mut().expect("spans are whole vectors");
            s.store_u8(s.as_bits(row), codes);
        }
    }
}
