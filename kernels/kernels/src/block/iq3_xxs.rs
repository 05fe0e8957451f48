//! `iq3_xxs`: blocks of 256, an f16 scale times a 4-bit multiple per part, 256 points of four.
//!
//! After the scale each four values have the number of a point. A word for each part follows, with
//! seven sign bits for each eight values and the multiple on top.

use super::iq3_grids::IQ3_XXS;
use super::multiples::{MultipleScales, Multiples, odd};
use super::points::{even_signs, four};
use super::{BlockFormat, WORDS, piece, words};

pub(crate) struct Iq3Xxs;

const SIGNS: usize = 66;
/// What the codes stand for, with 64 as zero: steps of 8 from 4, and 62 as the last.
const FOURS: [u8; 16] = [68, 76, 84, 92, 100, 108, 116, 126, 60, 52, 44, 36, 28, 20, 12, 2];

impl BlockFormat for Iq3Xxs {
    const NAME: &'static str = "iq3_xxs";
    const LEN: usize = 256;
    const BYTES: usize = 98;
    const BITS: usize = 4;
    const ZERO: i32 = 64;
    const TABLE: Option<[u8; 16]> = Some(FOURS);
    type Scales = MultipleScales<Iq3Xxs>;

    #[inline(always)]
    fn codes(block: &[u8], part: usize) -> [u32; WORDS] {
        let [signs] = words(block, SIGNS + 4 * part);
        std::array::from_fn(|i| {
            let point = IQ3_XXS[usize::from(block[2 + 8 * part + i])];
            four(point, even_signs(signs >> (i / 2 * 7)) >> (i % 2 * 4))
        })
    }
}

impl Multiples for Iq3Xxs {
    const PER_PART: usize = 1;
    const FACTOR: f32 = 0.25;

    fn base(block: &[u8]) -> [u8; 2] {
        *piece(block, 0)
    }

    fn multiple(block: &[u8], index: usize) -> i8 {
        odd(block[SIGNS + 4 * index + 3] >> 4)
    }
}
