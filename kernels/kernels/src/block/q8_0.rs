//! `q8_0`: blocks of 32, an f16 scale and signed bytes.
//!
//! The bytes become unsigned codes by adding 128, which is what the integer dot of AVX-512 takes.

use super::pair_scales::{PairScales, write_half};
use super::{BlockFormat, PART, WORDS, words};
use crate::quantize::{Levels, Quantize, Quantized, Rounded, Rule, Stored, quantize};

pub(crate) struct Q80;

impl BlockFormat for Q80 {
    const NAME: &'static str = "q8_0";
    const LEN: usize = PART;
    const BYTES: usize = 34;
    const BITS: usize = 8;
    const ZERO: i32 = 128;
    const QUANTIZE: Option<Quantize> = Some(quantize::<Self, PART>);
    type Scales = PairScales;

    #[inline(always)]
    fn codes(block: &[u8], _part: usize) -> [u32; WORDS] {
        words(block, 2).map(|bytes: u32| bytes ^ 0x8080_8080)
    }
}

impl Quantized<PART> for Q80 {
    const RULE: Rule = Rule {
        levels: Levels::Whole(-128.0, 127.0),
        targets: &[-129.0, -128.5, -128.0, -127.5, -127.0, -126.5, -126.0],
        stored: Stored::Halves,
    };

    fn write(block: &Rounded<'_>, out: &mut [u8]) {
        write_half(block.bases[0], out);
        for (byte, code) in out[2..].iter_mut().zip(block.codes) {
            *byte = code ^ 0x80;
        }
    }
}
