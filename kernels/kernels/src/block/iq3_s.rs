//! `iq3_s`: blocks of 256, an f16 scale times a 4-bit multiple per part, 512 points of four.
//!
//! After the scale come for each four values the low byte of a point's number, then the high bits
//! of the numbers, then a sign for each value, then the multiples.

use super::iq3_grids::IQ3_S;
use super::multiples::{MultipleScales, Multiples, nibble, odd};
use super::points::four;
use super::{BlockFormat, WORDS, piece};

pub(crate) struct Iq3S;

const HIGH: usize = 66;
const SIGNS: usize = 74;
const MULTIPLES: usize = 106;
/// What the codes stand for, with 16 as zero: the odd numbers to 15.
const FOURS: [u8; 16] = [17, 19, 21, 23, 25, 27, 29, 31, 15, 13, 11, 9, 7, 5, 3, 1];

impl BlockFormat for Iq3S {
    const NAME: &'static str = "iq3_s";
    const LEN: usize = 256;
    const BYTES: usize = 110;
    const BITS: usize = 4;
    const ZERO: i32 = 16;
    const TABLE: Option<[u8; 16]> = Some(FOURS);
    type Scales = MultipleScales<Iq3S>;

    #[inline(always)]
    fn codes(block: &[u8], part: usize) -> [u32; WORDS] {
        std::array::from_fn(|i| {
            let high = usize::from(block[HIGH + part] >> i & 1);
            let point = usize::from(block[2 + 8 * part + i]) | high << 8;
            let signs = block[SIGNS + 4 * part + i / 2] >> (i % 2 * 4);
            four(IQ3_S[point], u32::from(signs))
        })
    }
}

impl Multiples for Iq3S {
    const PER_PART: usize = 1;

    fn base(block: &[u8]) -> [u8; 2] {
        *piece(block, 0)
    }

    fn multiple(block: &[u8], index: usize) -> i8 {
        odd(nibble(&block[MULTIPLES..], index))
    }
}
