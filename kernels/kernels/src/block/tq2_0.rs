//! `tq2_0`: blocks of 256, one f16 scale and 2-bit codes whose zero is 1.
//!
//! The pairs lie as in `q2_k`, and the scale comes last.

use super::pair_scales::PairScales;
use super::q2_k::pairs;
use super::{BlockFormat, WORDS};

pub(crate) struct Tq20;

impl BlockFormat for Tq20 {
    const NAME: &'static str = "tq2_0";
    const LEN: usize = 256;
    const BYTES: usize = 66;
    const BITS: usize = 2;
    const ZERO: i32 = 1;
    type Scales = PairScales<64, 8>;

    #[inline(always)]
    fn codes(block: &[u8], part: usize) -> [u32; WORDS] {
        pairs(block, 0, part)
    }
}
