//! One f16 scale for each block, at its front or at byte `AT`: `q4_0`, `q5_0`, `q8_0`, `tq2_0`.
//!
//! Two blocks share a packed header, so that header and bodies stay on cache line borders at no
//! more bytes than the file has.

use half::f16;

use super::{PartScales, Scales, piece};
use crate::simd::Simd;
use crate::tile::ROW_GROUP;

/// Scales at byte `AT` of blocks of `BLOCK_PARTS` parts.
pub(crate) struct PairScales<const AT: usize = 0, const BLOCK_PARTS: usize = 1>;

const BLOCK_HEADER: usize = 2 * ROW_GROUP;

impl<const AT: usize, const BLOCK_PARTS: usize> Scales for PairScales<AT, BLOCK_PARTS> {
    const HEADER: usize = 2 * BLOCK_HEADER;
    const PARTS: usize = 2 * BLOCK_PARTS;
    const PER_PART: usize = 1;
    const HAS_MIN: bool = false;

    fn read(block: &[u8], _part: usize) -> PartScales {
        PartScales { scales: [f16::from_le_bytes(*piece(block, AT)).to_f32(); 2], mins: [0.0; 2] }
    }

    fn pack(block: &[u8], lane: usize, part: usize, header: &mut [u8]) {
        let at = BLOCK_HEADER * (part / BLOCK_PARTS) + 2 * lane;
        header[at..at + 2].copy_from_slice(&block[AT..AT + 2]);
    }

    #[inline(always)]
    fn scale<S: Simd>(s: S, header: &[u8], part: usize, _half: usize) -> S::F {
        s.load_f16(piece(header, BLOCK_HEADER * (part / BLOCK_PARTS)))
    }
}

/// Writes a number that is an f16 to the front of `out`.
pub(super) fn write_half(value: f32, out: &mut [u8]) {
    out[..2].copy_from_slice(&f16::from_f32(value).to_le_bytes());
}
