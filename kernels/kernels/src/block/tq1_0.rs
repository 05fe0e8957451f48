//! `tq1_0`: blocks of 256, one f16 scale and codes of three values, five to a byte.
//!
//! A byte is a fraction of 256 in base 3: tripling moves the next digit past its top. The first
//! 32 bytes hold the first five parts, one digit each; 16 bytes the next 80 values in the same
//! way, and 4 bytes the last 16. The scale comes last.

use super::pair_scales::{PairScales, write_half};
use super::{BlockFormat, PART, WORDS, piece};
use crate::quantize::{Levels, Quantize, Quantized, Rounded, Rule, Stored, quantize};

pub(crate) struct Tq10;

const POWERS: [u8; 5] = [1, 3, 9, 27, 81];

impl BlockFormat for Tq10 {
    const NAME: &'static str = "tq1_0";
    const LEN: usize = 256;
    const BYTES: usize = 54;
    const BITS: usize = 2;
    const ZERO: i32 = 1;
    const QUANTIZE: Option<Quantize> = Some(quantize::<Self, 256>);
    type Scales = PairScales<52, 8>;

    #[inline(always)]
    fn codes(block: &[u8], part: usize) -> [u32; WORDS] {
        std::array::from_fn(|i| {
            let (at, digit) = place(PART * part + 4 * i);
            let bytes: &[u8; 4] = piece(block, at);
            u32::from_le_bytes(bytes.map(|byte| {
                let rest = byte.wrapping_mul(POWERS[digit]);
                (u16::from(rest) * 3).to_be_bytes()[0]
            }))
        })
    }
}

impl Quantized<256> for Tq10 {
    const RULE: Rule = Rule {
        levels: Levels::Whole(-1.0, 1.0),
        targets: &[1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0],
        stored: Stored::Halves,
    };

    fn write(block: &Rounded<'_>, out: &mut [u8]) {
        let mut digits = [[0_u8; POWERS.len()]; 52];
        for (value, code) in block.codes.iter().enumerate() {
            let (at, digit) = place(value);
            digits[at][digit] = *code;
        }
        for (byte, digits) in out.iter_mut().zip(digits) {
            let number = digits.into_iter().fold(0, |number, digit| 3 * number + u16::from(digit));
            // The fraction of 243 as one of 256, rounded up so that its digits stay.
            *byte = (number * 256).div_ceil(243) as u8;
        }
        write_half(block.bases[0], &mut out[52..]);
    }
}

/// The byte of a value and the index of its digit.
fn place(value: usize) -> (usize, usize) {
    match value {
        0..160 => (value % 32, value / 32),
        160..240 => (32 + value % 16, (value - 160) / 16),
        _ => (48 + value % 4, (value - 240) / 4),
    }
}
