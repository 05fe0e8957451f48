//! `iq2_xs`: blocks of 256, an f16 scale times a 4-bit multiple per 16 values, 512 grid points.
//!
//! After the scale each eight values have two bytes, nine bits of a point's number and seven signs;
//! the multiples come last.

use super::iq2_grids::IQ2_XS;
use super::multiples::{MultipleScales, Multiples, nibble, odd};
use super::points::{EIGHTS, eight, even_signs};
use super::{BlockFormat, WORDS, piece};

pub(crate) struct Iq2Xs;

const MULTIPLES: usize = 66;

impl BlockFormat for Iq2Xs {
    const NAME: &'static str = "iq2_xs";
    const LEN: usize = 256;
    const BYTES: usize = 74;
    const BITS: usize = 3;
    const ZERO: i32 = 64;
    const TABLE: Option<[u8; 16]> = Some(EIGHTS);
    type Scales = MultipleScales<Iq2Xs>;

    #[inline(always)]
    fn codes(block: &[u8], part: usize) -> [u32; WORDS] {
        let eights = [0, 1, 2, 3].map(|i| {
            let both = u16::from_le_bytes(*piece(block, 2 + 2 * (4 * part + i)));
            eight(IQ2_XS[usize::from(both & 511)], even_signs(u32::from(both >> 9)))
        });
        *piece(eights.as_flattened(), 0)
    }
}

impl Multiples for Iq2Xs {
    const PER_PART: usize = 2;
    const FACTOR: f32 = 0.125;

    fn base(block: &[u8]) -> [u8; 2] {
        *piece(block, 0)
    }

    fn multiple(block: &[u8], index: usize) -> i8 {
        odd(nibble(&block[MULTIPLES..], index))
    }
}
