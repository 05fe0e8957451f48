//! `q6_k`: blocks of 256, an f16 scale times a signed byte per 16 values, 6-bit codes, zero 32.
//!
//! A block is two halves of 128 values. For each half: 64 bytes of nibbles (parts 0 and 1 in the
//! low ones, 2 and 3 in the high ones) and 32 bytes with two high bits for each of its parts.
//! All nibbles come first, then all high bits, the sixteen multiples and the scale.

use super::multiples::{MultipleScales, Multiples};
use super::pair_scales::write_half;
use super::{BlockFormat, PART, WORDS, piece, words};
use crate::quantize::{Levels, Quantize, Quantized, Rounded, Rule, Stored, quantize};

pub(crate) struct Q6K;

const HIGH: usize = 128;
const MULTIPLES: usize = 192;
const SCALE: usize = 208;

impl BlockFormat for Q6K {
    const NAME: &'static str = "q6_k";
    const LEN: usize = 256;
    const BYTES: usize = 210;
    const BITS: usize = 6;
    const ZERO: i32 = 32;
    const QUANTIZE: Option<Quantize> = Some(quantize::<Self, 16>);
    type Scales = MultipleScales<Q6K>;

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

impl Quantized<16> for Q6K {
    const RULE: Rule = Rule {
        levels: Levels::Whole(-32.0, 31.0),
        targets: &[-33.0, -32.5, -32.0, -31.5, -31.0, -30.5, -30.0],
        stored: Stored::Multiples(-128, 127),
    };

    fn write(block: &Rounded<'_>, out: &mut [u8]) {
        for (half, codes) in block.codes.as_chunks::<{ 4 * PART }>().0.iter().enumerate() {
            let [low, high] = [64 * half, HIGH + PART * half];
            for i in 0..2 * PART {
                out[low + i] = codes[i] & 15 | codes[2 * PART + i] << 4;
            }
            for i in 0..PART {
                let pair = |part: usize| codes[PART * part + i] >> 4 << (2 * part);
                out[high + i] = pair(0) | pair(1) | pair(2) | pair(3);
            }
        }
        let multiples = block.multiples[0].map(i8::cast_unsigned);
        out[MULTIPLES..SCALE].copy_from_slice(&multiples);
        write_half(block.bases[0], &mut out[SCALE..]);
    }
}

impl Multiples for Q6K {
    const PER_PART: usize = 2;

    fn base(block: &[u8]) -> [u8; 2] {
        *piece(block, SCALE)
    }

    fn multiple(block: &[u8], index: usize) -> i8 {
        block[MULTIPLES + index].cast_signed()
    }
}
