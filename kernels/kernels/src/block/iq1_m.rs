//! `iq1_m`: blocks of 256, a scale times a 3-bit multiple per 16 values, the points of `iq1_s`.
//!
//! A block is for each eight values the low byte of a point's number, then a nibble for each with
//! three high bits and the sign of the eighth that its values are moved by, then four words of 16
//! bits: each has four multiples and on top a quarter of the f16 scale.

use super::iq1_grid::IQ1;
use super::iq1_s::MOVED;
use super::multiples::{MultipleScales, Multiples, nibble, odd};
use super::points::eight;
use super::{BlockFormat, WORDS, piece};

pub(crate) struct Iq1M;

const HIGH: usize = 32;
const SCALES: usize = 48;

impl BlockFormat for Iq1M {
    const NAME: &'static str = "iq1_m";
    const LEN: usize = 256;
    const BYTES: usize = 56;
    const BITS: usize = 3;
    const ZERO: i32 = 16;
    const TABLE: Option<[u8; 16]> = Some(MOVED);
    type Scales = MultipleScales<Iq1M>;

    #[inline(always)]
    fn codes(block: &[u8], part: usize) -> [u32; WORDS] {
        let eights = [0, 1, 2, 3].map(|i| {
            let high = nibble(&block[HIGH..], 4 * part + i);
            let down = if high >> 3 == 1 { 0xff } else { 0 };
            let point = usize::from(block[4 * part + i]) | usize::from(high & 7) << 8;
            eight(IQ1[point], down)
        });
        *piece(eights.as_flattened(), 0)
    }
}

fn scales(block: &[u8], index: usize) -> u16 {
    u16::from_le_bytes(*piece(block, SCALES + 2 * index))
}

impl Multiples for Iq1M {
    const PER_PART: usize = 2;
    const FACTOR: f32 = 0.125;

    fn base(block: &[u8]) -> [u8; 2] {
        let quarter = |all: u16, i: usize| all | scales(block, i) >> 12 << (4 * i);
        (0..4).fold(0, quarter).to_le_bytes()
    }

    fn multiple(block: &[u8], index: usize) -> i8 {
        odd((scales(block, index / 4) >> (index % 4 * 3) & 7) as u8)
    }
}
