//! `iq2_s`: blocks of 256, an f16 scale times a 4-bit multiple per 16 values, 1024 grid points.
//!
//! After the scale come for each eight values the low byte of a point's number, then for each the
//! eight signs, then two high bits of the numbers each, then the multiples.

use super::iq2_grids::IQ2_S;
use super::multiples::{MultipleScales, Multiples, nibble, odd};
use super::points::{EIGHTS, eight};
use super::{BlockFormat, WORDS, piece};

pub(crate) struct Iq2S;

const SIGNS: usize = 34;
const HIGH: usize = 66;
const MULTIPLES: usize = 74;

impl BlockFormat for Iq2S {
    const NAME: &'static str = "iq2_s";
    const LEN: usize = 256;
    const BYTES: usize = 82;
    const BITS: usize = 3;
    const ZERO: i32 = 64;
    const TABLE: Option<[u8; 16]> = Some(EIGHTS);
    type Scales = MultipleScales<Iq2S>;

    #[inline(always)]
    fn codes(block: &[u8], part: usize) -> [u32; WORDS] {
        let eights = [0, 1, 2, 3].map(|i| {
            let high = usize::from(block[HIGH + part] >> (2 * i) & 3);
            let point = usize::from(block[2 + 4 * part + i]) | high << 8;
            eight(IQ2_S[point], u32::from(block[SIGNS + 4 * part + i]))
        });
        *piece(eights.as_flattened(), 0)
    }
}

impl Multiples for Iq2S {
    const PER_PART: usize = 2;
    const FACTOR: f32 = 0.125;

    fn base(block: &[u8]) -> [u8; 2] {
        *piece(block, 0)
    }

    fn multiple(block: &[u8], index: usize) -> i8 {
        odd(nibble(&block[MULTIPLES..], index))
    }
}
