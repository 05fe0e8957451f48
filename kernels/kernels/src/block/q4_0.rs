//! `q4_0`: blocks of 32, an f16 scale and 4-bit codes whose zero is 8.
//!
//! A block is the scale and 16 bytes; byte `j` holds values `j` (low nibble) and `j + 16`.

use super::pair_scales::{PairScales, write_half};
use super::{BlockFormat, PART, WORDS, words};
use crate::quantize::{Levels, Quantize, Quantized, Rounded, Rule, Stored, quantize};

pub(crate) struct Q40;

impl BlockFormat for Q40 {
    const NAME: &'static str = "q4_0";
    const LEN: usize = PART;
    const BYTES: usize = 18;
    const BITS: usize = 4;
    const ZERO: i32 = 8;
    const QUANTIZE: Option<Quantize> = Some(quantize::<Self, PART>);
    type Scales = PairScales;

    #[inline(always)]
    fn codes(block: &[u8], _part: usize) -> [u32; WORDS] {
        nibbles(block, 2)
    }
}

impl Quantized<PART> for Q40 {
    const RULE: Rule = Rule {
        levels: Levels::Whole(-8.0, 7.0),
        targets: &[-9.0, -8.5, -8.0, -7.5, -7.0, -6.5, -6.0],
        stored: Stored::Halves,
    };

    fn write(block: &Rounded<'_>, out: &mut [u8]) {
        write_half(block.bases[0], out);
        write_nibbles(block.codes, &mut out[2..]);
    }
}

/// The codes of sixteen bytes from `at`: first the low nibbles, then the high ones.
#[inline(always)]
pub(super) fn nibbles(block: &[u8], at: usize) -> [u32; WORDS] {
    let both: [u32; 4] = words(block, at);
    std::array::from_fn(|i| both[i % 4] >> (i / 4 * 4) & 0x0f0f_0f0f)
}

/// As [`nibbles`] has them, for each 32 codes.
#[inline(always)]
pub(super) fn write_nibbles(codes: &[u8], out: &mut [u8]) {
    for (codes, out) in codes.as_chunks::<PART>().0.iter().zip(out.as_chunks_mut::<16>().0) {
        *out = std::array::from_fn(|i| codes[i] & 15 | codes[16 + i] << 4);
    }
}
