//! The input format `i8x32`: activations as signed bytes, one scale per 32 values.
//!
//! All block dtypes share it, so one prepared row serves every matrix that reads it. Beside the
//! bytes it keeps their sums, with which a kernel moves the zero of unsigned codes and applies
//! minima. It must not lose a NaN or an infinity: such a part gets a NaN scale.

use super::PART;
use crate::isa::{Isa, Kernel, dispatch};
use crate::simd::Simd;

/// One part of a prepared row. Kept as bytes, so that rows need no alignment.
#[repr(C)]
pub(super) struct InputPart {
    scale: [u8; 4],
    /// The sum of the values times the scale, for minima.
    scaled_sum: [u8; 4],
    /// Sums of the values of each half.
    sums: [[u8; 4]; 2],
    values: [[u8; 4]; PART / 4],
}

const PART_BYTES: usize = size_of::<InputPart>();

impl InputPart {
    pub(super) const ZERO: &'static InputPart = &InputPart {
        scale: [0; 4],
        scaled_sum: [0; 4],
        sums: [[0; 4]; 2],
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
    pub(super) fn sum(&self, half: usize) -> i32 {
        i32::from_le_bytes(self.sums[half])
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
    fn call<S: Simd>(self, _s: S) {
        let (values, _) = self.x.as_chunks::<PART>();
        let (parts, padding) = self.dst.split_at_mut(values.len() * PART_BYTES);
        for (x, part) in values.iter().zip(parts.as_chunks_mut::<PART_BYTES>().0) {
            *part = prepare_part(x);
        }
        padding.fill(0);
    }
}

/// Rounds to the nearest, ties to even. Written so that the compiler makes vectors of it.
#[inline(always)]
fn prepare_part(x: &[f32; PART]) -> [u8; PART_BYTES] {
    /// Added to a small f32, it leaves the rounded integer in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // Of absolute values, the bits order as the values do, and NaN above all.
    let mut most = 0;
    for value in x {
        most = most.max(value.to_bits() & 0x7fff_ffff);
    }
    let most = f32::from_bits(most);
    let inverse = 127.0 / most;
    let (scale, inverse) = if !most.is_finite() {
        (f32::NAN, 0.0)
    } else if inverse.is_finite() {
        (most / 127.0, inverse)
    } else {
        (0.0, 0.0)
    };

    let mut part = [0; PART_BYTES];
    let mut sums = [0_i32; 2];
    for half in 0..2 {
        for i in half * PART / 2..(half + 1) * PART / 2 {
            let value = (x[i] * inverse + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i8;
            sums[half] += i32::from(value);
            part[16 + i] = value.cast_unsigned();
        }
        part[8 + 4 * half..][..4].copy_from_slice(&sums[half].to_le_bytes());
    }
    part[..4].copy_from_slice(&scale.to_le_bytes());
    part[4..8].copy_from_slice(&((sums[0] + sums[1]) as f32 * scale).to_le_bytes());
    part
}
