//! `q6_k`: blocks of 256, an f16 scale times a signed byte per 16 values, 6-bit codes, zero 32.
//!
//! A block is two halves of 128 values. For each half: 64 bytes of nibbles (parts 0 and 1 in the
//! low ones, 2 and 3 in the high ones) and 32 bytes with two high bits for each of its parts.
//! All nibbles come first, then all high bits, the sixteen multiples and the scale.

use half::f16;

use super::{BlockFormat, PART, PartScales, Quantize, Scales, WORDS, piece, words};
use crate::simd::Simd;
use crate::tile::ROW_GROUP;

pub(crate) struct Q6K;
pub(crate) struct Q6KScales;

const PARTS: usize = 8;
const HIGH: usize = 128;
const MULTIPLES: usize = 192;
const SCALE: usize = 208;
/// In a packed header: f16 scales, padding to a cache line, then multiples, 16 values by 16.
const PACKED_MULTIPLES: usize = 64;

impl BlockFormat for Q6K {
    const NAME: &'static str = "q6_k";
    const LEN: usize = 256;
    const BYTES: usize = 210;
    const BITS: usize = 6;
    const ZERO: i32 = 32;
    const QUANTIZE: Option<Quantize> = None;
    type Scales = Q6KScales;

    #[inline(always)]
    fn codes(block: &[u8], part: usize) -> [u32; WORDS] {
        let (half, quarter) = (part / 4, part % 4);
        let low: [u32; WORDS] = words(block, 64 * half + quarter % 2 * PART);
        let high: [u32; WORDS] = words(block, HIGH + PART * half);
        std::array::from_fn(|i| {
            low[i] >> (quarter / 2 * 4) & 0x0f0f_0f0f
                | (high[i] >> (2 * quarter) & 0x0303_0303) << 4
        })
    }
}

impl Scales for Q6KScales {
    const HEADER: usize = PACKED_MULTIPLES + 2 * PARTS * ROW_GROUP;
    const PARTS: usize = PARTS;
    const PER_PART: usize = 2;
    const HAS_MIN: bool = false;

    fn read(block: &[u8], part: usize) -> PartScales {
        let scale = f16::from_le_bytes(*piece(block, SCALE)).to_f32();
        let multiples: &[u8; 2] = piece(block, MULTIPLES + 2 * part);
        let scales = multiples.map(|multiple| scale * f32::from(multiple.cast_signed()));
        PartScales { scales, min: 0.0 }
    }

    fn pack(block: &[u8], lane: usize, _part: usize, header: &mut [u8]) {
        header[2 * lane..][..2].copy_from_slice(&block[SCALE..SCALE + 2]);
        for i in 0..2 * PARTS {
            header[PACKED_MULTIPLES + ROW_GROUP * i + lane] = block[MULTIPLES + i];
        }
    }

    #[inline(always)]
    fn scale<S: Simd>(s: S, header: &[u8], part: usize, half: usize) -> S::F {
        let at = PACKED_MULTIPLES + ROW_GROUP * (2 * part + half);
        s.mul(s.load_f16(piece(header, 0)), s.load_i8(piece(header, at)))
    }

    #[inline(always)]
    fn min<S: Simd>(s: S, _header: &[u8], _part: usize) -> S::F {
        s.splat(0.0)
    }
}
