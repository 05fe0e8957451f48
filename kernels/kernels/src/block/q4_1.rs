//! `q4_1`: blocks of 32, an f16 scale, an f16 offset and 4-bit codes.
//!
//! The nibbles follow as in `q4_0`.

use super::min_scales::MinScales;
use super::pair_scales::write_half;
use super::q4_0::{nibbles, write_nibbles};
use super::{BlockFormat, PART, WORDS};
use crate::quantize::{Levels, Quantize, Quantized, Rounded, Rule, Stored, quantize};

pub(crate) struct Q41;

impl BlockFormat for Q41 {
    const NAME: &'static str = "q4_1";
    const LEN: usize = PART;
    const BYTES: usize = 20;
    const BITS: usize = 4;
    const ZERO: i32 = 0;
    const QUANTIZE: Option<Quantize> = Some(quantize::<Self, PART>);
    type Scales = MinScales;

    #[inline(always)]
    fn codes(block: &[u8], _part: usize) -> [u32; WORDS] {
        nibbles(block, 4)
    }
}

impl Quantized<PART> for Q41 {
    const RULE: Rule = Rule {
        levels: Levels::Whole(0.0, 15.0),
        targets: &[13.0, 13.5, 14.0, 14.5, 15.0, 15.5, 16.0],
        stored: Stored::Halves,
    };

    fn write(block: &Rounded<'_>, out: &mut [u8]) {
        write_half(block.bases[0], out);
        write_half(-block.bases[1], &mut out[2..]);
        write_nibbles(block.codes, &mut out[4..]);
    }
}
