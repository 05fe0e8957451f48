//! `iq1_s`: blocks of 256, an f16 scale times a 3-bit multiple per part, 2048 points of -1, 0, 1.
//!
//! After the scale each eight values have the low byte of a point's number. 16 bits for each part
//! follow: three high bits for each of its numbers, the multiple, and the sign of an eighth that
//! every value is moved by. Codes count in eighths.

use super::iq1_grid::IQ1;
use super::multiples::{MultipleScales, Multiples, odd};
use super::points::eight;
use super::{BlockFormat, WORDS, piece};

pub(crate) struct Iq1S;

const HIGH: usize = 34;
/// What the codes of a point stand for, with 16 as zero: -1, 0 and 1 in eighths, moved up by one,
/// and then the same moved down. No point has the fourth value.
pub(super) const MOVED: [u8; 16] = [9, 17, 25, 16, 7, 15, 23, 16, 16, 16, 16, 16, 16, 16, 16, 16];

impl BlockFormat for Iq1S {
    const NAME: &'static str = "iq1_s";
    const LEN: usize = 256;
    const BYTES: usize = 50;
    const BITS: usize = 3;
    const ZERO: i32 = 16;
    const TABLE: Option<[u8; 16]> = Some(MOVED);
    type Scales = MultipleScales<Iq1S>;

    #[inline(always)]
    fn codes(block: &[u8], part: usize) -> [u32; WORDS] {
        let high = high(block, part);
        let down = if high >> 15 == 1 { 0xff } else { 0 };
        let eights = [0, 1, 2, 3].map(|i| {
            let point = u16::from(block[2 + 4 * part + i]) | (high >> (3 * i) & 7) << 8;
            eight(IQ1[usize::from(point)], down)
        });
        *piece(eights.as_flattened(), 0)
    }
}

fn high(block: &[u8], part: usize) -> u16 {
    u16::from_le_bytes(*piece(block, HIGH + 2 * part))
}

impl Multiples for Iq1S {
    const PER_PART: usize = 1;
    const FACTOR: f32 = 0.125;

    fn base(block: &[u8]) -> [u8; 2] {
        *piece(block, 0)
    }

    fn multiple(block: &[u8], index: usize) -> i8 {
        odd((high(block, index) >> 12 & 7) as u8)
    }
}
