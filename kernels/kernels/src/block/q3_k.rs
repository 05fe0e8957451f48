//! `q3_k`: blocks of 256, an f16 scale times a 6-bit multiple per 16 values, 3-bit codes, zero 4.
//!
//! A block is 32 bytes of high bits (bit `p` of byte `i` belongs to value `i` of part `p`), 64
//! bytes of pairs as in `q2_k`, 12 bytes of multiples and the scale. Of the multiples, eight bytes
//! hold the low nibbles and four the high pairs; their zero is 32.

use super::multiples::{MultipleScales, Multiples};
use super::pair_scales::write_half;
use super::q2_k::{pairs, write_pairs};
use super::q5_k::write_high_bits;
use super::{BlockFormat, WORDS, piece, words};
use crate::quantize::{Levels, Quantize, Quantized, Rounded, Rule, Stored, quantize};

pub(crate) struct Q3K;

const LOW: usize = 32;
const MULTIPLES: usize = 96;
const SCALE: usize = 108;

impl BlockFormat for Q3K {
    const NAME: &'static str = "q3_k";
    const LEN: usize = 256;
    const BYTES: usize = 110;
    const BITS: usize = 3;
    const ZERO: i32 = 4;
    const QUANTIZE: Option<Quantize> = Some(quantize::<Self, 16>);
    type Scales = MultipleScales<Q3K>;

    #[inline(always)]
    fn codes(block: &[u8], part: usize) -> [u32; WORDS] {
        let high: [u32; WORDS] = words(block, 0);
        let low = pairs(block, LOW, part);
        std::array::from_fn(|i| low[i] | (high[i] >> part & 0x0101_0101) << 2)
    }
}

impl Quantized<16> for Q3K {
    const RULE: Rule = Rule {
        levels: Levels::Whole(-4.0, 3.0),
        targets: &[-4.5, -4.25, -4.0, -3.75, -3.5, -3.25, -3.0],
        stored: Stored::Multiples(-32, 31),
    };

    fn write(block: &Rounded<'_>, out: &mut [u8]) {
        write_high_bits(block.codes, 2, out);
        write_pairs(block.codes, &mut out[LOW..]);
        let multiples = block.multiples[0].map(|multiple| (multiple + 32).cast_unsigned());
        let packed = &mut out[MULTIPLES..];
        for i in 0..8 {
            packed[i] = multiples[i] & 15 | multiples[8 + i] << 4;
        }
        for i in 0..4 {
            let pair = |run: usize| multiples[4 * run + i] >> 4 << (2 * run);
            packed[8 + i] = pair(0) | pair(1) | pair(2) | pair(3);
        }
        write_half(block.bases[0], &mut out[SCALE..]);
    }
}

impl Multiples for Q3K {
    const PER_PART: usize = 2;

    fn base(block: &[u8]) -> [u8; 2] {
        *piece(block, SCALE)
    }

    fn multiple(block: &[u8], index: usize) -> i8 {
        let packed: &[u8; 12] = piece(block, MULTIPLES);
        let low = packed[index % 8] >> (index / 8 * 4) & 15;
        let high = packed[8 + index % 4] >> (index / 4 * 2) & 3;
        (low | high << 4).cast_signed() - 32
    }
}
