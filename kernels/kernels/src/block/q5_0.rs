//! `q5_0`: blocks of 32, an f16 scale and 5-bit codes whose zero is 16.
//!
//! A block is the scale, 32 bits that are the fifth bits of the values in order, and 16 bytes of
//! nibbles as in `q4_0`.

use super::pair_scales::{PairScales, write_half};
use super::q4_0::{nibbles, write_nibbles};
use super::{BlockFormat, PART, WORDS, words};
use crate::quantize::{Levels, Quantize, Quantized, Rounded, Rule, Stored, quantize};

pub(crate) struct Q50;

impl BlockFormat for Q50 {
    const NAME: &'static str = "q5_0";
    const LEN: usize = PART;
    const BYTES: usize = 22;
    const BITS: usize = 5;
    const ZERO: i32 = 16;
    const QUANTIZE: Option<Quantize> = Some(quantize::<Self, PART>);
    type Scales = PairScales;

    #[inline(always)]
    fn codes(block: &[u8], _part: usize) -> [u32; WORDS] {
        five_bits(block, 2)
    }
}

impl Quantized<PART> for Q50 {
    const RULE: Rule = Rule {
        levels: Levels::Whole(-16.0, 15.0),
        targets: &[-17.0, -16.5, -16.0, -15.5, -15.0, -14.5, -14.0],
        stored: Stored::Halves,
    };

    fn write(block: &Rounded<'_>, out: &mut [u8]) {
        write_half(block.bases[0], out);
        write_five_bits(block.codes, &mut out[2..]);
    }
}

/// Codes whose fifth bits begin at byte `at`, and their nibbles after that.
#[inline(always)]
pub(super) fn five_bits(block: &[u8], at: usize) -> [u32; WORDS] {
    let (low, [high]) = (nibbles(block, at + 4), words(block, at));
    std::array::from_fn(|i| low[i] | spread_bits(high >> (4 * i)) << 4)
}

/// The lowest four bits, each at the front of a byte.
#[inline(always)]
pub(super) fn spread_bits(bits: u32) -> u32 {
    (bits & 15).wrapping_mul(0x0020_4081) & 0x0101_0101
}

/// As [`five_bits`] has them.
#[inline(always)]
pub(super) fn write_five_bits(codes: &[u8], out: &mut [u8]) {
    let high = codes.iter().rev().fold(0_u32, |high, code| high << 1 | u32::from(code >> 4));
    out[..4].copy_from_slice(&high.to_le_bytes());
    write_nibbles(codes, &mut out[4..]);
}
