//! `q5_1`: blocks of 32, an f16 scale, an f16 offset and 5-bit codes.
//!
//! The fifth bits and the nibbles follow as in `q5_0`.

use super::min_scales::MinScales;
use super::q5_0::five_bits;
use super::{BlockFormat, PART, WORDS};

pub(crate) struct Q51;

impl BlockFormat for Q51 {
    const NAME: &'static str = "q5_1";
    const LEN: usize = PART;
    const BYTES: usize = 24;
    const BITS: usize = 5;
    const ZERO: i32 = 0;
    type Scales = MinScales;

    #[inline(always)]
    fn codes(block: &[u8], _part: usize) -> [u32; WORDS] {
        five_bits(block, 4)
    }
}
