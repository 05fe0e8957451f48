//! `q5_k`: as `q4_k` with 5-bit codes.
//!
//! Between scales and nibbles are 32 bytes; bit `p` of byte `i` is the fifth bit of value `i` of
//! part `p`.

use super::k_scales::{FRONT, KScales, write_factors};
use super::q4_k::{nibbles, write_nibbles};
use super::{BlockFormat, PART, WORDS, words};
use crate::quantize::{Levels, Quantize, Quantized, Rounded, Rule, Stored, quantize};

pub(crate) struct Q5K;

impl BlockFormat for Q5K {
    const NAME: &'static str = "q5_k";
    const LEN: usize = 256;
    const BYTES: usize = 176;
    const BITS: usize = 5;
    const ZERO: i32 = 0;
    const QUANTIZE: Option<Quantize> = Some(quantize::<Self, PART>);
    type Scales = KScales;

    #[inline(always)]
    fn codes(block: &[u8], part: usize) -> [u32; WORDS] {
        let low = nibbles(block, FRONT + PART, part);
        let high: [u32; WORDS] = words(block, FRONT);
        std::array::from_fn(|i| low[i] | (high[i] >> part & 0x0101_0101) << 4)
    }
}

impl Quantized<PART> for Q5K {
    const RULE: Rule = Rule {
        levels: Levels::Whole(0.0, 31.0),
        targets: &[29.0, 29.5, 30.0, 30.5, 31.0, 31.5, 32.0],
        stored: Stored::Multiples(0, 63),
    };

    fn write(block: &Rounded<'_>, out: &mut [u8]) {
        write_factors(block, out);
        write_high_bits(block.codes, 4, &mut out[FRONT..]);
        write_nibbles(block.codes, &mut out[FRONT + PART..]);
    }
}

/// Bit `bit` of the codes: that of value `i` of part `p` becomes bit `p` of byte `i`.
#[inline(always)]
pub(super) fn write_high_bits(codes: &[u8], bit: u32, out: &mut [u8]) {
    let mut all = [0; PART];
    for (part, codes) in codes.as_chunks::<PART>().0.iter().enumerate() {
        all = std::array::from_fn(|i| all[i] | (codes[i] >> bit & 1) << part);
    }
    out[..PART].copy_from_slice(&all);
}
