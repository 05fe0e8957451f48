//! `iq4_nl`: blocks of 32, an f16 scale and 4-bit codes of sixteen uneven steps.
//!
//! Laid out as `q4_0`.

use super::pair_scales::PairScales;
use super::q4_0::nibbles;
use super::{BlockFormat, PART, WORDS};

pub(crate) struct Iq4Nl;

/// What the codes stand for, with 128 as zero: -127 to 113.
pub(super) const STEPS: [u8; 16] =
    [1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241];

impl BlockFormat for Iq4Nl {
    const NAME: &'static str = "iq4_nl";
    const LEN: usize = PART;
    const BYTES: usize = 18;
    const BITS: usize = 4;
    const ZERO: i32 = 128;
    const TABLE: Option<[u8; 16]> = Some(STEPS);
    type Scales = PairScales;

    #[inline(always)]
    fn codes(block: &[u8], _part: usize) -> [u32; WORDS] {
        nibbles(block, 2)
    }
}
