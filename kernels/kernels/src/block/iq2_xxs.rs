//! `iq2_xxs`: blocks of 256, an f16 scale times a 4-bit multiple per part, 256 grid points.
//!
//! After the scale each part has two words: the numbers of its four points, then seven sign bits
//! for each and the multiple on top.

use super::iq2_grids::IQ2_XXS;
use super::multiples::{MultipleScales, Multiples, odd};
use super::points::{EIGHTS, eight, even_signs};
use super::{BlockFormat, WORDS, piece, words};

pub(crate) struct Iq2Xxs;

impl BlockFormat for Iq2Xxs {
    const NAME: &'static str = "iq2_xxs";
    const LEN: usize = 256;
    const BYTES: usize = 66;
    const BITS: usize = 3;
    const ZERO: i32 = 64;
    const TABLE: Option<[u8; 16]> = Some(EIGHTS);
    type Scales = MultipleScales<Iq2Xxs>;

    #[inline(always)]
    fn codes(block: &[u8], part: usize) -> [u32; WORDS] {
        let [points, signs] = words(block, 2 + 8 * part);
        let codes = points.to_le_bytes();
        let eights = [0, 1, 2, 3]
            .map(|i| eight(IQ2_XXS[usize::from(codes[i])], even_signs(signs >> (7 * i))));
        *piece(eights.as_flattened(), 0)
    }
}

impl Multiples for Iq2Xxs {
    const PER_PART: usize = 1;
    const FACTOR: f32 = 0.125;

    fn base(block: &[u8]) -> [u8; 2] {
        *piece(block, 0)
    }

    fn multiple(block: &[u8], index: usize) -> i8 {
        odd(block[2 + 8 * index + 7] >> 4)
    }
}
