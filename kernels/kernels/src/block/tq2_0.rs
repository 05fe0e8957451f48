//! `tq2_0`: blocks of 256, one f16 scale and 2-bit codes whose zero is 1.
//!
//! The pairs lie as in `q2_k`, and the scale comes last.

use super::pair_scales::{PairScales, write_half};
use super::q2_k::{pairs, write_pairs};
use super::{BlockFormat, WORDS};
use crate::quantize::{Levels, Quantize, Quantized, Rounded, Rule, Stored, quantize};

pub(crate) struct Tq20;

impl BlockFormat for Tq20 {
    const NAME: &'static str = "tq2_0";
    const LEN: usize = 256;
    const BYTES: usize = 66;
    const BITS: usize = 2;
    const ZERO: i32 = 1;
    const QUANTIZE: Option<Quantize> = Some(quantize::<Self, 256>);
    type Scales = PairScales<64, 8>;

    #[inline(always)]
    fn codes(block: &[u8], part: usize) -> [u32; WORDS] {
        pairs(block, 0, part)
    }
}

impl Quantized<256> for Tq20 {
    const RULE: Rule = Rule {
        levels: Levels::Whole(-1.0, 1.0),
        targets: &[1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0],
        stored: Stored::Halves,
    };

    fn write(block: &Rounded<'_>, out: &mut [u8]) {
        write_pairs(block.codes, out);
        write_half(block.bases[0], &mut out[64..]);
    }
}
