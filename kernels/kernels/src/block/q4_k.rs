//! `q4_k`: blocks of 256 in eight parts, each with a scale and a minimum, and 4-bit codes.
//!
//! After the scales come four runs of 32 bytes; a run holds two parts, one per nibble.

use super::k_scales::{FRONT, KScales, write_factors};
use super::{BlockFormat, PART, WORDS, words};
use crate::quantize::{Levels, Quantize, Quantized, Rounded, Rule, Stored, quantize};

pub(crate) struct Q4K;

impl BlockFormat for Q4K {
    const NAME: &'static str = "q4_k";
    const LEN: usize = 256;
    const BYTES: usize = 144;
    const BITS: usize = 4;
    const ZERO: i32 = 0;
    const QUANTIZE: Option<Quantize> = Some(quantize::<Self, PART>);
    type Scales = KScales;

    #[inline(always)]
    fn codes(block: &[u8], part: usize) -> [u32; WORDS] {
        nibbles(block, FRONT, part)
    }
}

impl Quantized<PART> for Q4K {
    const RULE: Rule = Rule {
        levels: Levels::Whole(0.0, 15.0),
        targets: &[13.0, 13.5, 14.0, 14.5, 15.0, 15.5, 16.0],
        stored: Stored::Multiples(0, 63),
    };

    fn write(block: &Rounded<'_>, out: &mut [u8]) {
        write_factors(block, out);
        write_nibbles(block.codes, &mut out[FRONT..]);
    }
}

/// The nibbles of one part in runs that begin at byte `at` of the block.
#[inline(always)]
pub(super) fn nibbles(block: &[u8], at: usize, part: usize) -> [u32; WORDS] {
    words(block, at + part / 2 * PART).map(|both: u32| both >> (part % 2 * 4) & 0x0f0f_0f0f)
}

/// As [`nibbles`] has them, for all parts.
#[inline(always)]
pub(super) fn write_nibbles(codes: &[u8], out: &mut [u8]) {
    let pairs = codes.as_chunks::<{ 2 * PART }>().0;
    for (codes, out) in pairs.iter().zip(out.as_chunks_mut::<PART>().0) {
        *out = std::array::from_fn(|i| codes[i] & 15 | codes[PART + i] << 4);
    }
}
