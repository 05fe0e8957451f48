//! `q2_k`: blocks of 256, for each 16 values a 4-bit multiple of a scale and of a minimum, and
//! 2-bit codes.
//!
//! A block is 16 bytes of multiples (the scale's in the low nibble), 64 bytes of pairs, the f16
//! scale and the f16 minimum. Each run of 32 bytes of pairs holds four parts, from the lowest
//! bits up. Packed headers keep the nibbles together: a byte for each would add a fifth to the size.

use half::f16;

use super::pair_scales::write_half;
use super::{BlockFormat, PART, PartScales, Scales, WORDS, piece, words};
use crate::quantize::{Levels, Quantize, Quantized, Rounded, Rule, Stored, quantize};
use crate::simd::Simd;
use crate::tile::ROW_GROUP;

pub(crate) struct Q2K;
pub(crate) struct Q2KScales;

const PARTS: usize = 8;
const CODES: usize = 16;
const SCALE: usize = 80;
/// In a packed header: f16 scales, f16 minima, then the multiples, four bytes of a row together.
const MIN: usize = 2 * ROW_GROUP;
const MULTIPLES: usize = 2 * MIN;

impl BlockFormat for Q2K {
    const NAME: &'static str = "q2_k";
    const LEN: usize = 256;
    const BYTES: usize = 84;
    const BITS: usize = 2;
    const ZERO: i32 = 0;
    const QUANTIZE: Option<Quantize> = Some(quantize::<Self, 16>);
    type Scales = Q2KScales;

    #[inline(always)]
    fn codes(block: &[u8], part: usize) -> [u32; WORDS] {
        pairs(block, CODES, part)
    }
}

impl Quantized<16> for Q2K {
    const RULE: Rule = Rule {
        levels: Levels::Whole(0.0, 3.0),
        targets: &[2.0, 2.25, 2.5, 2.75, 3.0, 3.25, 3.5],
        stored: Stored::Multiples(0, 15),
    };

    fn write(block: &Rounded<'_>, out: &mut [u8]) {
        for (i, byte) in out[..2 * PARTS].iter_mut().enumerate() {
            let [scale, min] = block.multiples.map(|all| all[i].cast_unsigned());
            *byte = scale | min << 4;
        }
        write_pairs(block.codes, &mut out[CODES..]);
        write_half(block.bases[0], &mut out[SCALE..]);
        write_half(block.bases[1], &mut out[SCALE + 2..]);
    }
}

/// The 2-bit codes of one part in runs that begin at byte `at` of the block.
#[inline(always)]
pub(super) fn pairs(block: &[u8], at: usize, part: usize) -> [u32; WORDS] {
    words(block, at + part / 4 * PART).map(|four: u32| four >> (part % 4 * 2) & 0x0303_0303)
}

/// The lowest two bits of the codes of eight parts, as [`pairs`] has them.
#[inline(always)]
pub(super) fn write_pairs(codes: &[u8], out: &mut [u8]) {
    let runs = codes.as_chunks::<{ 4 * PART }>().0;
    for (codes, out) in runs.iter().zip(out.as_chunks_mut::<PART>().0) {
        let pair = |part: usize, i: usize| (codes[PART * part + i] & 3) << (2 * part);
        *out = std::array::from_fn(|i| pair(0, i) | pair(1, i) | pair(2, i) | pair(3, i));
    }
}

/// One nibble of the multiples of sub-block `index` of each row, from bit `from` of its byte.
#[inline(always)]
fn multiple<S: Simd>(s: S, header: &[u8], index: usize, from: usize) -> S::F {
    let four = s.load(piece(header, MULTIPLES + 4 * ROW_GROUP * (index / 4)));
    let shifted = s.shr(four, (index % 4 * 8 + from) as i32);
    s.to_f32(s.and(shifted, s.splat_i32(15)))
}

impl Scales for Q2KScales {
    const HEADER: usize = MULTIPLES + 2 * PARTS * ROW_GROUP;
    const PARTS: usize = PARTS;
    const PER_PART: usize = 2;
    const HAS_MIN: bool = true;

    fn read(block: &[u8], part: usize) -> PartScales {
        let [scale, min] =
            [SCALE, SCALE + 2].map(|at| f16::from_le_bytes(*piece(block, at)).to_f32());
        let multiples: &[u8; 2] = piece(block, 2 * part);
        PartScales {
            scales: multiples.map(|both| scale * f32::from(both & 15)),
            mins: multiples.map(|both| min * f32::from(both >> 4)),
        }
    }

    fn pack(block: &[u8], lane: usize, _part: usize, header: &mut [u8]) {
        header[2 * lane..][..2].copy_from_slice(&block[SCALE..SCALE + 2]);
        header[MIN + 2 * lane..][..2].copy_from_slice(&block[SCALE + 2..SCALE + 4]);
        for (i, four) in block[..2 * PARTS].as_chunks::<4>().0.iter().enumerate() {
            header[MULTIPLES + 4 * (ROW_GROUP * i + lane)..][..4].copy_from_slice(four);
        }
    }

    #[inline(always)]
    fn scale<S: Simd>(s: S, header: &[u8], part: usize, half: usize) -> S::F {
        s.mul(s.load_f16(piece(header, 0)), multiple(s, header, 2 * part + half, 0))
    }

    #[inline(always)]
    fn min<S: Simd>(s: S, header: &[u8], part: usize, half: usize) -> S::F {
        s.mul(s.load_f16(piece(header, MIN)), multiple(s, header, 2 * part + half, 4))
    }
}
