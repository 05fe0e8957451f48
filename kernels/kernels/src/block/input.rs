//! The input format `i8x32`: activations as signed bytes, one scale per 32 values.
//!
//! All block dtypes share it, so one prepared row serves every matrix that reads it. Beside the
//! bytes it keeps their sums, with which a kernel moves the zero of unsigned codes and applies
//! minima. It must not lose a NaN or an infinity: such a part gets a NaN scale.

use super::{PART, piece};
use crate::isa::{Isa, Kernel, dispatch};
use crate::math::ROUND;
use crate::simd::Simd;

/// One part of a prepared row. Kept as bytes, so that rows need no alignment.
#[repr(C)]
pub(super) struct InputPart {
    scale: [u8; 4],
    /// The sum of the values times the scale, for minima.
    scaled_sum: [u8; 4],
    /// Less 128 times the sum of the values, and of the first half of them: what moves the zero of
    /// codes from 0 to 128.
    starts: [[u8; 4]; 2],
    values: [[u8; 4]; PART / 4],
}

const PART_BYTES: usize = size_of::<InputPart>();
/// Bytes of a part before its values.
const HEAD: usize = PART_BYTES - PART;

impl InputPart {
    pub(super) const ZERO: &'static InputPart = &InputPart {
        scale: [0; 4],
        scaled_sum: [0; 4],
        starts: [[0; 4]; 2],
        values: [[0; 4]; PART / 4],
    };

    #[inline(always)]
    pub(super) fn scale(&self) -> f32 {
        f32::from_le_bytes(self.scale)
    }
    #[inline(always)]
    pub(super) fn scaled_sum(&self) -> f32 {
        f32::from_le_bytes(self.scaled_sum)
    }
    #[inline(always)]
    pub(super) fn start(&self) -> i32 {
        i32::from_le_bytes(self.starts[0])
    }
    #[inline(always)]
    pub(super) fn half_start(&self, half: usize) -> i32 {
        let first = i32::from_le_bytes(self.starts[1]);
        if half == 0 { first } else { self.start() - first }
    }
    #[inline(always)]
    pub(super) fn scaled_half_sum(&self, half: usize) -> f32 {
        // Small integers, exact as f32.
        (self.half_start(half) / -128) as f32 * self.scale()
    }
    #[inline(always)]
    pub(super) fn values(&self) -> &[[u8; 4]; PART / 4] {
        &self.values
    }
}

pub(crate) fn input_bytes(k: usize) -> usize {
    (k / PART * PART_BYTES).next_multiple_of(64)
}

pub(crate) fn prepare_input(isa: Isa, x: &[f32], dst: &mut [u8]) {
    dispatch(isa, Prepare { x, dst });
}

struct Prepare<'a> {
    x: &'a [f32],
    dst: &'a mut [u8],
}

impl Kernel for Prepare<'_> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, s: S) {
        let (values, _) = self.x.as_chunks::<PART>();
        let (parts, padding) = self.dst.split_at_mut(values.len() * PART_BYTES);
        for (x, part) in values.iter().zip(parts.as_chunks_mut::<PART_BYTES>().0) {
            prepare_part(s, x, part);
        }
        padding.fill(0);
    }
}

/// Rounds to the nearest, ties to even.
#[inline(always)]
fn prepare_part<S: Simd>(s: S, x: &[f32; PART], part: &mut [u8; PART_BYTES]) {
    let halves = [piece(x, 0), piece(x, PART / 2)].map(|half| s.load_f32(half));
    let most = greatest(s, halves);
    if !most.is_finite() {
        // Neither the values nor their sums mean anything; the scale alone spoils the products.
        *part = [0; PART_BYTES];
        part[..8].copy_from_slice([f32::NAN.to_le_bytes(); 2].as_flattened());
        return;
    }
    let (scale, inverse) = scales(most);
    let mut sums = [0.0; 2];
    for (half, x) in halves.into_iter().enumerate() {
        let rounded = s.add(s.mul(x, s.splat(inverse)), s.splat(ROUND));
        let values = s.add_i32(s.as_bits(rounded), s.splat_i32(-ROUND.to_bits().cast_signed()));
        sums[half] = s.sum(s.to_f32(values));
        let bytes = &mut part[HEAD + PART / 2 * half..];
        s.store_u8(values, bytes.first_chunk_mut().expect("a part has two halves"));
    }
    // The sums are small integers, exact in either type.
    let sum = sums[0] + sums[1];
    let starts = [sum, sums[0]].map(|sum| (-128 * sum as i32).to_le_bytes());
    part[..8].copy_from_slice([scale, sum * scale].map(f32::to_le_bytes).as_flattened());
    part[8..HEAD].copy_from_slice(starts.as_flattened());
}

/// The greatest magnitude; of these, bits order as values do, with NaN above all.
#[inline(always)]
fn greatest<S: Simd>(s: S, halves: [S::F; 2]) -> f32 {
    let [low, high] = halves.map(|half| s.and(s.as_bits(half), s.splat_i32(i32::MAX)));
    f32::from_bits(s.greatest_i32(s.max_i32(low, high)).cast_unsigned())
}

/// The scale for values of at most this magnitude, and the factor that makes them integers.
#[inline(always)]
fn scales(most: f32) -> (f32, f32) {
    let inverse = 127.0 / most;
    if inverse.is_finite() { (most / 127.0, inverse) } else { (0.0, 0.0) }
}
