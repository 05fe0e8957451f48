//! An f16 scale and an f16 offset at the front of each block: `q4_1`, `q5_1`, `afq*`, `hqq*`.
//!
//! The file adds its offset where other formats subtract a minimum, so the sign is turned over in
//! reading, which is exact.

use half::f16;

use super::{PartScales, Scales, piece};
use crate::simd::Simd;
use crate::tile::ROW_GROUP;

/// For blocks of `BLOCK_PARTS` parts.
pub(crate) struct MinScales<const BLOCK_PARTS: usize = 1>;

/// In a packed header: f16 scales, then the minima.
const MIN: usize = 2 * ROW_GROUP;

impl<const BLOCK_PARTS: usize> Scales for MinScales<BLOCK_PARTS> {
    const HEADER: usize = 2 * MIN;
    const PARTS: usize = BLOCK_PARTS;
    const PER_PART: usize = 1;
    const HAS_MIN: bool = true;

    fn read(block: &[u8], _part: usize) -> PartScales {
        let [scale, offset] = [0, 2].map(|at| f16::from_le_bytes(*piece(block, at)).to_f32());
        PartScales { scales: [scale; 2], mins: [-offset; 2] }
    }

    fn pack(block: &[u8], lane: usize, _part: usize, header: &mut [u8]) {
        let min = -f16::from_le_bytes(*piece(block, 2));
        header[2 * lane..][..2].copy_from_slice(&block[..2]);
        header[MIN + 2 * lane..][..2].copy_from_slice(&min.to_le_bytes());
    }

    #[inline(always)]
    fn scale<S: Simd>(s: S, header: &[u8], _part: usize, _half: usize) -> S::F {
        s.load_f16(piece(header, 0))
    }

    #[inline(always)]
    fn min<S: Simd>(s: S, header: &[u8], _part: usize, _half: usize) -> S::F {
        s.load_f16(piece(header, MIN))
    }
}
