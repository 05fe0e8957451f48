//! `iq4_xs`: blocks of 256, an f16 scale times a 6-bit multiple per part, codes as in `iq4_nl`.
//!
//! A block is the scale, 16 bits with the high pairs of the multiples, four bytes with their low
//! nibbles and 16 bytes of codes for each part. The zero of the multiples is 32.

use super::iq4_nl::{LEVELS, STEPS, TARGETS};
use super::multiples::{MultipleScales, Multiples, nibble};
use super::pair_scales::write_half;
use super::q4_0::{nibbles, write_nibbles};
use super::{BlockFormat, PART, WORDS, piece};
use crate::quantize::{Levels, Quantize, Quantized, Rounded, Rule, Stored, quantize};

pub(crate) struct Iq4Xs;

const CODES: usize = 8;

impl BlockFormat for Iq4Xs {
    const NAME: &'static str = "iq4_xs";
    const LEN: usize = 256;
    const BYTES: usize = 136;
    const BITS: usize = 4;
    const ZERO: i32 = 128;
    const TABLE: Option<[u8; 16]> = Some(STEPS);
    const QUANTIZE: Option<Quantize> = Some(quantize::<Self, PART>);
    type Scales = MultipleScales<Iq4Xs>;

    #[inline(always)]
    fn codes(block: &[u8], part: usize) -> [u32; WORDS] {
        nibbles(block, CODES + 16 * part)
    }
}

impl Quantized<PART> for Iq4Xs {
    const RULE: Rule = Rule {
        levels: Levels::Steps(&LEVELS),
        targets: &TARGETS,
        stored: Stored::Multiples(-32, 31),
    };

    fn write(block: &Rounded<'_>, out: &mut [u8]) {
        write_half(block.bases[0], out);
        let multiples = block.multiples[0].map(|multiple| (multiple + 32).cast_unsigned());
        let high = (0..8).fold(0, |high, i| high | u16::from(multiples[i] >> 4) << (2 * i));
        out[2..4].copy_from_slice(&high.to_le_bytes());
        for i in 0..4 {
            out[4 + i] = multiples[2 * i] & 15 | multiples[2 * i + 1] << 4;
        }
        write_nibbles(block.codes, &mut out[CODES..]);
    }
}

impl Multiples for Iq4Xs {
    const PER_PART: usize = 1;

    fn base(block: &[u8]) -> [u8; 2] {
        *piece(block, 0)
    }

    fn multiple(block: &[u8], index: usize) -> i8 {
        let high = u16::from_le_bytes(*piece(block, 2)) >> (2 * index) & 3;
        (nibble(&block[4..8], index) | (high as u8) << 4).cast_signed() - 32
    }
}
