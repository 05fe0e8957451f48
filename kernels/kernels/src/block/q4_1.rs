//! `q4_1`: blocks of 32, an f16 scale, an f16 offset and 4-bit codes.
//!
//! The nibbles follow as in `q4_0`.

use super::min_scales::MinScales;
use super::q4_0::nibbles;
use super::{BlockFormat, PART, WORDS};

pub(crate) struct Q41;

impl BlockFormat for Q41 {
    const NAME: &'static str = "q4_1";
    const LEN: usize = PART;
    const BYTES: usize = 20;
    const BITS: usize = 4;
    const ZERO: i32 = 0;
    type Scales = MinScales;

    #[inline(always)]
    fn codes(block: &[u8], _part: usize) -> [u32; WORDS] {
        nibbles(block, 4)
    }
}
