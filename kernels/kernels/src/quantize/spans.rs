//! Sixteen spans side by side: value `i` of each is in vector `i`, a lane to a span.
//!
//! Loading also brings the values of each block near 1 by a power of two, so that their squares
//! neither overflow nor vanish; what is found for them is in the same unit. It must not round.

use crate::math::magnitude;
use crate::simd::{LANES, Lanes, Simd};

/// Added to all weights, whose greatest in a block is between 1 and 2: a span without any
/// importance still gets a scale.
const WEIGHT_LEAST: f32 = 1.0 / 16_777_216.0;

pub(super) struct Spans<const SPAN: usize> {
    pub(super) values: [Lanes; SPAN],
    pub(super) weights: [Lanes; SPAN],
    /// Of formats with minima: what was taken from the values of each span (see
    /// [`Spans::lower`]), the sum of its weights, and that of the weighted values that are left.
    pub(super) lowest: Lanes,
    pub(super) weight_sums: Lanes,
    pub(super) value_sums: Lanes,
    /// A power of two for each span, the same within a block, by which its values were multiplied.
    pub(super) units: [f32; LANES],
    /// Spans of one block.
    pub(super) per_block: usize,
}

impl<const SPAN: usize> Spans<SPAN> {
    #[inline(always)]
    pub(super) fn new(per_block: usize) -> Self {
        Spans {
            values: [Lanes::ZERO; SPAN],
            weights: [Lanes([1.0; LANES]); SPAN],
            lowest: Lanes::ZERO,
            weight_sums: Lanes::ZERO,
            value_sums: Lanes::ZERO,
            units: [1.0; LANES],
            per_block,
        }
    }

    /// Takes in whole blocks, at most sixteen spans; those that are missing become zeros.
    #[inline(always)]
    pub(super) fn load<S: Simd>(&mut self, s: S, values: &[f32], importance: Option<&[f32]>) {
        self.lowest = Lanes::ZERO;
        let units = self.block_units(s, values);
        transpose(s, values, &units, &mut self.values);
        self.units = units.map(|unit| if unit == 0.0 { 1.0 } else { unit });
        if let Some(importance) = importance {
            let units = self.block_units(s, importance);
            transpose(s, importance, &units, &mut self.weights);
            for weights in &mut self.weights {
                let size = magnitude(s, s.load_f32(&weights.0));
                s.store(s.add(size, s.splat(WEIGHT_LEAST)), &mut weights.0);
            }
        }
    }

    /// For each span the power of two that brings the greatest magnitude of its block near 1, or
    /// zero if that is not finite.
    #[inline(always)]
    fn block_units<S: Simd>(&self, s: S, values: &[f32]) -> [f32; LANES] {
        let mut units = [0.0; LANES];
        let blocks = values.chunks_exact(self.per_block * SPAN);
        for (block, units) in blocks.zip(units.chunks_exact_mut(self.per_block)) {
            let mut most = s.splat_i32(0);
            for values in block.as_chunks::<LANES>().0 {
                // Magnitudes order as their bits do, infinity and NaN above all.
                most = s.max_i32(most, s.as_bits(magnitude(s, s.load_f32(values))));
            }
            units.fill(unit(s.greatest_i32(most).cast_unsigned()));
        }
        units
    }

    /// Takes the least value of each span, or zero if that is less and `positive`, from all its
    /// values: the sums of what is left lose fewer digits.
    #[inline(always)]
    pub(super) fn lower<S: Simd>(&mut self, s: S, positive: bool) {
        let mut lowest = if positive { s.splat(0.0) } else { s.load_f32(&self.values[0].0) };
        for x in &self.values {
            lowest = s.min(lowest, s.load_f32(&x.0));
        }
        let mut sums = [s.splat(0.0); 2];
        for (x, weight) in self.values.iter_mut().zip(&self.weights) {
            let (rest, weight) = (s.sub(s.load_f32(&x.0), lowest), s.load_f32(&weight.0));
            sums = [s.add(sums[0], weight), s.fma(rest, weight, sums[1])];
            s.store(rest, &mut x.0);
        }
        s.store(lowest, &mut self.lowest.0);
        s.store(sums[0], &mut self.weight_sums.0);
        s.store(sums[1], &mut self.value_sums.0);
    }
}

/// The power of two for a greatest magnitude with these bits.
fn unit(bits: u32) -> f32 {
    match bits >> 23 {
        255 => 0.0,
        exponent => f32::from_bits((254 - exponent.clamp(1, 253)) << 23),
    }
}

/// Spreads spans over lanes, each multiplied by its unit; zeros where that is zero.
#[inline(always)]
fn transpose<S: Simd, const SPAN: usize>(
    s: S,
    values: &[f32],
    units: &[f32; LANES],
    out: &mut [Lanes; SPAN],
) {
    for (index, out) in out.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let mut rows = [s.splat(0.0); LANES];
        let spans = values.chunks_exact(SPAN);
        for ((row, span), unit) in rows.iter_mut().zip(spans).zip(units) {
            if *unit != 0.0 {
                *row = s.mul(s.load_f32(&span.as_chunks::<LANES>().0[index]), s.splat(*unit));
            }
        }
        for (out, column) in out.iter_mut().zip(s.transpose(&rows)) {
            s.store(column, &mut out.0);
        }
    }
}
