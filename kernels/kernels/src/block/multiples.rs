//! Scales that are multiples of one f16 per block of 256: `q3_k`, `q6_k`, `iq4_xs` and the grids.
//!
//! Files squeeze the multiples into 3 to 6 bits in many ways; packing gives each its signed byte,
//! which saves the unscrambling in every step. The product of scale, power of two and multiple is
//! exact in f32, so the packed form loses nothing.

use std::marker::PhantomData;

use half::f16;

use super::{PartScales, Scales, piece};
use crate::simd::Simd;
use crate::tile::ROW_GROUP;

/// Where a format has its scale and the multiples of it.
pub(crate) trait Multiples: 'static {
    /// Multiples per part: 1, or 2 for one per 16 values.
    const PER_PART: usize;
    /// A power of two that every scale is multiplied with.
    const FACTOR: f32 = 1.0;

    /// The f16 scale of the block.
    fn base(block: &[u8]) -> [u8; 2];
    fn multiple(block: &[u8], index: usize) -> i8;
}

pub(crate) struct MultipleScales<M>(PhantomData<M>);

const PARTS: usize = 8;
/// In a packed header: f16 scales, padding to a cache line, then multiples in their order by 16.
const PACKED_MULTIPLES: usize = 64;

impl<M: Multiples> Scales for MultipleScales<M> {
    const HEADER: usize = PACKED_MULTIPLES + M::PER_PART * PARTS * ROW_GROUP;
    const PARTS: usize = PARTS;
    const PER_PART: usize = M::PER_PART;
    const HAS_MIN: bool = false;

    fn read(block: &[u8], part: usize) -> PartScales {
        let base = f16::from_le_bytes(M::base(block)).to_f32() * M::FACTOR;
        let scales = [0, M::PER_PART - 1].map(|half| {
            let multiple = M::multiple(block, M::PER_PART * part + half);
            base * f32::from(multiple)
        });
        PartScales { scales, mins: [0.0; 2] }
    }

    fn pack(block: &[u8], lane: usize, _part: usize, header: &mut [u8]) {
        header[2 * lane..][..2].copy_from_slice(&M::base(block));
        for i in 0..M::PER_PART * PARTS {
            let multiple = M::multiple(block, i).cast_unsigned();
            header[PACKED_MULTIPLES + ROW_GROUP * i + lane] = multiple;
        }
    }

    #[inline(always)]
    fn scale<S: Simd>(s: S, header: &[u8], part: usize, half: usize) -> S::F {
        let at = PACKED_MULTIPLES + ROW_GROUP * (M::PER_PART * part + half);
        let base = s.load_f16(piece(header, 0));
        let base = if M::FACTOR == 1.0 { base } else { s.mul(base, s.splat(M::FACTOR)) };
        s.mul(base, s.load_i8(piece(header, at)))
    }
}

/// Nibble `index` of a run of bytes, the low one of a byte first.
pub(super) fn nibble(bytes: &[u8], index: usize) -> u8 {
    bytes[index / 2] >> (4 * (index % 2)) & 15
}

/// The odd number with which the grids scale: twice the code and one.
pub(super) fn odd(code: u8) -> i8 {
    (2 * code + 1).cast_signed()
}
