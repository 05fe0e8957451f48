//! `q6_k`: blocks of 256, an f16 scale times a signed byte per 16 values, 6-bit codes, zero 32.
//!
//! A block is two halves of 128 values. For each half: 64 bytes of nibbles (parts 0 and 1 in the
//! low ones, 2 and 3 in the high ones) and 32 bytes with two high bits for each of its parts.
//! All nibbles come first, then all high bits, the sixteen multiples and the scale.

use super::multiples::{MultipleScales, Multiples};
use super::{BlockFormat, PART, WORDS, piece, words};

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

impl Multiples for Q6K {
    const PER_PART: usize = 2;

    fn base(block: &[u8]) -> [u8; 2] {
        *piece(block, SCALE)
    }

    fn multiple(block: &[u8], index: usize) -> i8 {
        block[MULTIPLES + index].cast_signed()
    }
}
