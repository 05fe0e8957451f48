//! Groups of 64 with an f16 scale and an f16 offset, and codes of 4 or 8 bits: `afq*`, `hqq*`.
//!
//! A block is the scale, the offset and the codes of its two parts, nibbles as in `q4_0`. Codes of
//! 8 bits count from 128, so the offset is then the value of code 128. Formats differ in how they
//! choose scale and offset only, which is a [`Fit`]; the codes are the nearest of what f16 leaves.

use std::marker::PhantomData;

use half::f16;

use super::min_scales::MinScales;
use super::q4_0::nibbles;
use super::{BlockFormat, PART, WORDS, words};
use crate::isa::{Isa, Kernel, dispatch};
use crate::math::ROUND;
use crate::quantize::Quantize;
use crate::simd::{LANES, Simd};

/// The format of `BITS` per code whose scales are chosen by `F`.
pub(crate) struct Affine<F, const BITS: usize>(PhantomData<F>);

/// Values that share a scale.
pub(super) const GROUP: usize = 64;
/// Vectors of a group.
pub(super) const VECTORS: usize = GROUP / LANES;
/// Bytes of a block before its codes.
const FRONT: usize = 4;

/// Where codes lie on the axis of values: value = offset + step * code.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    pub(super) offset: f32,
    pub(super) step: f32,
}

/// How the line of a group is chosen.
pub(crate) trait Fit: 'static {
    /// Names of the formats of 4 and 8 bits.
    const NAMES: [&'static str; 2];

    /// The line for finite values and codes from 0 to `last`.
    fn fit<S: Simd>(s: S, values: &[S::F; VECTORS], last: f32) -> Line;
}

impl<F: Fit, const BITS: usize> BlockFormat for Affine<F, BITS> {
    const NAME: &'static str = F::NAMES[BITS / 8];
    const LEN: usize = GROUP;
    const BYTES: usize = FRONT + GROUP * BITS / 8;
    const BITS: usize = BITS;
    const ZERO: i32 = zero(BITS);
    const QUANTIZE: Option<Quantize> = Some(quantize::<F, BITS>);
    type Scales = MinScales<2>;

    #[inline(always)]
    fn codes(block: &[u8], part: usize) -> [u32; WORDS] {
        let at = FRONT + part * PART * BITS / 8;
        if BITS == 8 { words(block, at) } else { nibbles(block, at) }
    }
}

/// The code whose value is the stored offset.
const fn zero(bits: usize) -> i32 {
    if bits == 8 { 128 } else { 0 }
}

/// Needs no importance: both rules are for weights whose use is not known.
fn quantize<F: Fit, const BITS: usize>(
    isa: Isa,
    src: &[f32],
    _importance: Option<&[f32]>,
    dst: &mut [u8],
) {
    dispatch(isa, Rounding::<F, BITS> { src, dst, fit: PhantomData });
}

struct Rounding<'a, F, const BITS: usize> {
    src: &'a [f32],
    dst: &'a mut [u8],
    fit: PhantomData<F>,
}

impl<F: Fit, const BITS: usize> Kernel for Rounding<'_, F, BITS> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, s: S) {
        let last = ((1 << BITS) - 1) as f32;
        let blocks = self.dst.chunks_exact_mut(Affine::<F, BITS>::BYTES);
        for (values, block) in self.src.as_chunks::<GROUP>().0.iter().zip(blocks) {
            let (front, codes) = block.split_at_mut(FRONT);
            let values = within_f16(s, values);
            let fitted = F::fit(s, &values, last);
            let step = stored(fitted.step, &mut front[..2]);
            let offset = stored(fitted.offset + zero(BITS) as f32 * step, &mut front[2..]);
            write_codes::<S, BITS>(s, &values, Line { offset, step }, codes);
        }
    }
}

/// Writes an f16 and gives its value.
#[inline(always)]
fn stored(value: f32, bytes: &mut [u8]) -> f32 {
    let half = f16::from_f32(value);
    bytes.copy_from_slice(&half.to_le_bytes());
    half.to_f32()
}

/// The values with what f16 scales cannot reach, NaN too, brought to the end of their range, so
/// that every line is finite.
#[inline(always)]
fn within_f16<S: Simd>(s: S, values: &[f32; GROUP]) -> [S::F; VECTORS] {
    let most = 32768.0;
    let mut vectors = [s.splat(0.0); VECTORS];
    for (vector, values) in vectors.iter_mut().zip(values.as_chunks::<LANES>().0) {
        *vector = s.max(s.min(s.load_f32(values), s.splat(most)), s.splat(-most));
    }
    vectors
}

/// Writes the codes nearest to values on a line whose offset is that of code [`zero`].
#[inline(always)]
fn write_codes<S: Simd, const BITS: usize>(
    s: S,
    values: &[S::F; VECTORS],
    line: Line,
    codes: &mut [u8],
) {
    let last = ((1 << BITS) - 1) as f32;
    // A step that f16 holds as 0 leaves nothing to choose.
    let step = if line.step == 0.0 { f32::INFINITY } else { line.step };
    let mut wide = [s.splat_i32(0); VECTORS];
    for (code, value) in wide.iter_mut().zip(values) {
        let exact = s.div(s.sub(*value, s.splat(line.offset)), s.splat(step));
        let exact = s.add(exact, s.splat(zero(BITS) as f32));
        let within = s.max(s.min(exact, s.splat(last)), s.splat(0.0));
        *code = s.as_bits(s.add(within, s.splat(ROUND)));
    }
    for (i, bytes) in codes.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        // Only the lowest bytes are kept.
        let code = match BITS {
            8 => wide[i],
            _ => s.or(s.and(wide[2 * i], s.splat_i32(15)), s.shl(wide[2 * i + 1], 4)),
        };
        s.store_u8(code, bytes);
    }
}

/// The least and the greatest value.
#[inline(always)]
pub(super) fn range<S: Simd>(s: S, values: &[S::F; VECTORS]) -> (f32, f32) {
    let (mut least, mut greatest) = (values[0], values[0]);
    for value in &values[1..] {
        least = s.min(least, *value);
        greatest = s.max(greatest, *value);
    }
    let mut lanes = [[0.0; LANES]; 2];
    s.store(least, &mut lanes[0]);
    s.store(greatest, &mut lanes[1]);
    let [least, greatest] = lanes;
    (
        least.into_iter().fold(f32::INFINITY, f32::min),
        greatest.into_iter().fold(f32::NEG_INFINITY, f32::max),
    )
}
