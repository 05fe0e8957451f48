//! The scales of `q4_k` and `q5_k`: per block an f16 scale and minimum, and for each of its
//! eight parts a 6-bit multiple of either.
//!
//! The file interleaves the 6-bit numbers; packing gives each its byte, which costs 3 % of the
//! size and saves the unscrambling in every step. `scale * multiple` is exact in f32, so the
//! packed form loses nothing.

use half::f16;

use super::pair_scales::write_half;
use super::{PartScales, Scales, piece};
use crate::quantize::Rounded;
use crate::simd::Simd;
use crate::tile::ROW_GROUP;

pub(crate) struct KScales;

const PARTS: usize = 8;
/// Bytes of a block before its codes.
pub(super) const FRONT: usize = 16;
/// In a packed header: f16 scales, f16 minima, then multiples of the scales, then of the minima.
const MIN: usize = 2 * ROW_GROUP;
const SCALE_MULTIPLES: usize = 2 * MIN;
const MIN_MULTIPLES: usize = SCALE_MULTIPLES + PARTS * ROW_GROUP;

/// The multiples of scale and minimum of one part.
fn multiples(block: &[u8], part: usize) -> (u8, u8) {
    let packed: &[u8; 12] = piece(block, 4);
    if part < 4 {
        return (packed[part] & 63, packed[part + 4] & 63);
    }
    // Bytes 8.. hold the low nibbles of the last four; their high bits top the first eight bytes.
    let low = packed[part + 4];
    let (scale_high, min_high) = (packed[part - 4] >> 6, packed[part] >> 6);
    (low & 15 | scale_high << 4, low >> 4 | min_high << 4)
}

impl Scales for KScales {
    const HEADER: usize = MIN_MULTIPLES + PARTS * ROW_GROUP;
    const PARTS: usize = PARTS;
    const PER_PART: usize = 1;
    const HAS_MIN: bool = true;

    fn read(block: &[u8], part: usize) -> PartScales {
        let (scale, min) = multiples(block, part);
        let [d, d_min] = [0, 2].map(|at| f16::from_le_bytes(*piece(block, at)).to_f32());
        PartScales { scales: [d * f32::from(scale); 2], mins: [d_min * f32::from(min); 2] }
    }

    fn pack(block: &[u8], lane: usize, _part: usize, header: &mut [u8]) {
        header[2 * lane..][..2].copy_from_slice(&block[..2]);
        header[MIN + 2 * lane..][..2].copy_from_slice(&block[2..4]);
        for part in 0..PARTS {
            let (scale, min) = multiples(block, part);
            header[SCALE_MULTIPLES + ROW_GROUP * part + lane] = scale;
            header[MIN_MULTIPLES + ROW_GROUP * part + lane] = min;
        }
    }

    #[inline(always)]
    fn scale<S: Simd>(s: S, header: &[u8], part: usize, _half: usize) -> S::F {
        let multiple = s.load_u8(piece(header, SCALE_MULTIPLES + ROW_GROUP * part));
        s.mul(s.load_f16(piece(header, 0)), multiple)
    }

    #[inline(always)]
    fn min<S: Simd>(s: S, header: &[u8], part: usize, _half: usize) -> S::F {
        let multiple = s.load_u8(piece(header, MIN_MULTIPLES + ROW_GROUP * part));
        s.mul(s.load_f16(piece(header, MIN)), multiple)
    }
}

/// Writes what is before the codes.
pub(super) fn write_factors(block: &Rounded<'_>, out: &mut [u8]) {
    write_half(block.bases[0], out);
    write_half(block.bases[1], &mut out[2..]);
    let [scales, mins] = block.multiples.map(|all| all.map(i8::cast_unsigned));
    for i in 0..4 {
        out[4 + i] = scales[i] | scales[4 + i] >> 4 << 6;
        out[8 + i] = mins[i] | mins[4 + i] >> 4 << 6;
        out[12 + i] = scales[4 + i] & 15 | mins[4 + i] << 4;
    }
}
