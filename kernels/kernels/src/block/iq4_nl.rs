//! `iq4_nl`: blocks of 32, an f16 scale and 4-bit codes of sixteen uneven steps.
//!
//! Laid out as `q4_0`.

use super::pair_scales::{PairScales, write_half};
use super::q4_0::{nibbles, write_nibbles};
use super::{BlockFormat, PART, WORDS};
use crate::quantize::{Levels, Quantize, Quantized, Rounded, Rule, Steps, Stored, quantize};

pub(crate) struct Iq4Nl;

/// What the codes stand for, with 128 as zero: -127 to 113.
pub(super) const STEPS: [u8; 16] =
    [1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241];
pub(super) static LEVELS: Steps = Steps::new(STEPS, 128);

/// Either end of the levels is tried for the greatest value.
pub(super) const TARGETS: [f32; 11] =
    [-143.0, -135.0, -127.0, -119.0, -111.0, -103.0, -95.0, 101.0, 107.0, 113.0, 119.0];

impl BlockFormat for Iq4Nl {
    const NAME: &'static str = "iq4_nl";
    const LEN: usize = PART;
    const BYTES: usize = 18;
    const BITS: usize = 4;
    const ZERO: i32 = 128;
    const TABLE: Option<[u8; 16]> = Some(STEPS);
    const QUANTIZE: Option<Quantize> = Some(quantize::<Self, PART>);
    type Scales = PairScales;

    #[inline(always)]
    fn codes(block: &[u8], _part: usize) -> [u32; WORDS] {
        nibbles(block, 2)
    }
}

impl Quantized<PART> for Iq4Nl {
    const RULE: Rule =
        Rule { levels: Levels::Steps(&LEVELS), targets: &TARGETS, stored: Stored::Halves };

    fn write(block: &Rounded<'_>, out: &mut [u8]) {
        write_half(block.bases[0], out);
        write_nibbles(block.codes, &mut out[2..]);
    }
}
