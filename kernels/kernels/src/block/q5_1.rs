//! `q5_1`: blocks of 32, an f16 scale, an f16 offset and 5-bit codes.
//!
//! The fifth bits and the nibbles follow as in `q5_0`.

use super::min_scales::MinScales;
use super::pair_scales::write_half;
use super::q5_0::{five_bits, write_five_bits};
use super::{BlockFormat, PART, WORDS};
use crate::quantize::{Levels, Quantize, Quantized, Rounded, Rule, Stored, quantize};

pub(crate) struct Q51;

impl BlockFormat for Q51 {
    const NAME: &'static str = "q5_1";
    const LEN: usize = PART;
    const BYTES: usize = 24;
    const BITS: usize = 5;
    const ZERO: i32 = 0;
    const QUANTIZE: Option<Quantize> = Some(quantize::<Self, PART>);
    type Scales = MinScales;

    #[inline(always)]
    fn codes(block: &[u8], _part: usize) -> [u32; WORDS] {
        five_bits(block, 4)
    }
}

impl Quantized<PART> for Q51 {
    const RULE: Rule = Rule {
        levels: Levels::Whole(0.0, 31.0),
        targets: &[29.0, 29.5, 30.0, 30.5, 31.0, 31.5, 32.0],
        stored: Stored::Halves,
    };

    fn write(block: &Rounded<'_>, out: &mut [u8]) {
        write_half(block.bases[0], out);
        write_half(-block.bases[1], &mut out[2..]);
        write_five_bits(block.codes, &mut out[4..]);
    }
}
