//! `q5_k`: as `q4_k` with 5-bit codes.
//!
//! Between scales and nibbles are 32 bytes; bit `p` of byte `i` is the fifth bit of value `i` of
//! part `p`.

use super::k_scales::{FRONT, KScales};
use super::q4_k::nibbles;
use super::{BlockFormat, PART, WORDS, words};

pub(crate) struct Q5K;

impl BlockFormat for Q5K {
    const NAME: &'static str = "q5_k";
    const LEN: usize = 256;
    const BYTES: usize = 176;
    const BITS: usize = 5;
    const ZERO: i32 = 0;
    type Scales = KScales;

    #[inline(always)]
    fn codes(block: &[u8], part: usize) -> [u32; WORDS] {
        let low = nibbles(block, FRONT + PART, part);
        let high: [u32; WORDS] = words(block, FRONT);
        std::array::from_fn(|i| low[i] | (high[i] >> part & 0x0101_0101) << 4)
    }
}
