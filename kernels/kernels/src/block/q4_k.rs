//! `q4_k`: blocks of 256 in eight parts, each with a scale and a minimum, and 4-bit codes.
//!
//! After the scales come four runs of 32 bytes; a run holds two parts, one per nibble.

use super::k_scales::{FRONT, KScales};
use super::{BlockFormat, PART, WORDS, words};

pub(crate) struct Q4K;

impl BlockFormat for Q4K {
    const NAME: &'static str = "q4_k";
    const LEN: usize = 256;
    const BYTES: usize = 144;
    const BITS: usize = 4;
    const ZERO: i32 = 0;
    type Scales = KScales;

    #[inline(always)]
    fn codes(block: &[u8], part: usize) -> [u32; WORDS] {
        nibbles(block, FRONT, part)
    }
}

/// The nibbles of one part in runs that begin at byte `at` of the block.
#[inline(always)]
pub(super) fn nibbles(block: &[u8], at: usize, part: usize) -> [u32; WORDS] {
    words(block, at + part / 2 * PART).map(|both: u32| both >> (part % 2 * 4) & 0x0f0f_0f0f)
}
