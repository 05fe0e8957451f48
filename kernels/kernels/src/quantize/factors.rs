//! From the scales and minima that spans would like to those that a file can hold.

use half::f16;

use super::levels::Levels;
use super::search::{Fit, Sums, sums};
use super::spans::Spans;
use super::{Quantized, Stored};
use crate::block::Scales;
use crate::simd::{LANES, Lanes, Simd};

/// The factors of one block: see [`super::Rounded`].
#[derive(Clone, Copy)]
pub(super) struct Factors {
    pub(super) bases: [f32; 2],
    pub(super) multiples: [[i8; LANES]; 2],
}

/// What every block is to store, and the scale and the base that this means for every span.
#[inline(always)]
pub(super) fn choose<S: Simd, F: Quantized<SPAN>, const SPAN: usize>(
    s: S,
    spans: &Spans<SPAN>,
    fits: Fit<S::F>,
) -> ([Factors; LANES], [Lanes; 2]) {
    let [mut scales, base, weights, q] =
        [fits.scale, fits.base, fits.sums.qq, fits.sums.q].map(|lanes| array(s, lanes));
    let mut bases = base;
    let mut all = [Factors { bases: [0.0; 2], multiples: [[0; LANES]; 2] }; LANES];
    for (first, factors) in (0..LANES).step_by(spans.per_block).zip(&mut all) {
        let lanes = first..first + spans.per_block;
        let unit = spans.units[first];
        let block = Block { stored: F::RULE.stored, unit };
        let wanted = &mut scales.0[lanes.clone()];
        let multiples = &mut factors.multiples[0];
        factors.bases[0] = block.store(s, wanted, &weights.0[lanes.clone()], multiples);
        if F::Scales::HAS_MIN {
            let mut mins = [0.0; LANES];
            for (min, lane) in mins.iter_mut().zip(lanes.clone()) {
                // The best base for the codes that were found and the scale as it became.
                let rest = spans.value_sums.0[lane] - scales.0[lane] * q.0[lane];
                *min = -rest / spans.weight_sums.0[lane] - spans.lowest.0[lane];
            }
            let mins = &mut mins[..spans.per_block];
            let weights = &spans.weight_sums.0[lanes.clone()];
            let multiples = &mut factors.multiples[1];
            factors.bases[1] = block.store(s, mins, weights, multiples);
            for (lane, min) in lanes.zip(mins) {
                bases.0[lane] = -*min - spans.lowest.0[lane];
            }
        }
    }
    (all, [scales, bases])
}

#[inline(always)]
fn array<S: Simd>(s: S, lanes: S::F) -> Lanes {
    let mut out = Lanes::ZERO;
    s.store(lanes, &mut out.0);
    out
}

/// How one block stores its factors, and the unit of its values.
struct Block {
    stored: Stored,
    unit: f32,
}

impl Block {
    /// Rounds the factors that spans want to those they get, and writes the multiples that these
    /// are of the number it gives.
    #[inline(always)]
    fn store<S: Simd>(
        &self,
        s: S,
        wanted: &mut [f32],
        weights: &[f32],
        multiples: &mut [i8; LANES],
    ) -> f32 {
        let (low, high) = match self.stored {
            Stored::Power => return wanted[0] / self.unit,
            Stored::Halves => {
                let stored = half(wanted[0] / self.unit);
                wanted[0] = stored * self.unit;
                return stored;
            }
            Stored::Multiples(low, high) => (f32::from(low), f32::from(high)),
        };
        let stored = half(common(s, wanted, weights, [low, high]) / self.unit);
        let common = stored * self.unit;
        let inverse = if common == 0.0 { 0.0 } else { 1.0 / common };
        for (wanted, multiple) in wanted.iter_mut().zip(multiples) {
            *multiple = (*wanted * inverse).round_ties_even().clamp(low, high) as i8;
            *wanted = common * f32::from(*multiple);
        }
        stored
    }
}

/// The number of which multiples in a range come nearest to some factors. It is searched for as
/// the scale of a span is, with another guess in each lane.
#[inline(always)]
fn common<S: Simd>(s: S, factors: &[f32], weights: &[f32], [low, high]: [f32; 2]) -> f32 {
    let most = factors.iter().fold(0.0_f32, |a, b| if a.abs() < b.abs() { *b } else { a });
    let end = if low < 0.0 { low } else { high };
    // The greatest factor becomes the multiple at the end, or some beyond it or before it.
    let targets = std::array::from_fn(|lane| end + end.signum() * (2.0 - lane as f32));
    let inverse = s.div(s.load_f32(&targets), s.splat(most));
    let [mut values, mut shares] = [[Lanes::ZERO; LANES]; 2];
    for (lanes, factor) in values.iter_mut().zip(factors) {
        lanes.0 = [*factor; LANES];
    }
    for (lanes, weight) in shares.iter_mut().zip(weights) {
        lanes.0 = [*weight; LANES];
    }
    let (values, shares) = (&values[..factors.len()], &shares[..factors.len()]);
    let levels = Levels::Whole(low, high);
    let Sums { qx, qq, .. } = sums(s, values, shares, levels, [s.splat(0.0), inverse]);
    let (mut best, mut gain) = (0.0, 0.0);
    for (qx, qq) in array(s, qx).0.into_iter().zip(array(s, qq).0) {
        if gain * qq < qx * qx {
            (best, gain) = (qx / qq, qx * qx / qq);
        }
    }
    best
}

/// The nearest finite f16.
fn half(value: f32) -> f32 {
    let most = f16::MAX.to_f32();
    f16::from_f32(value.clamp(-most, most)).to_f32()
}
