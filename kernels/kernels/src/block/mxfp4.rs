//! `mxfp4`: blocks of 32, a power of two and 4-bit floats.
//!
//! A block is the exponent and nibbles as in `q4_0`. A nibble is a sign, two bits of exponent and
//! one of mantissa; codes stand for twice its value, which is whole, so the power is halved. Of an
//! f32 power of two the upper half says all; two of those share a word of the packed header.

use super::q4_0::{nibbles, write_nibbles};
use super::{BlockFormat, PART, PartScales, Scales, WORDS, piece};
use crate::quantize::{Levels, Quantize, Quantized, Rounded, Rule, Steps, Stored, quantize};
use crate::simd::Simd;
use crate::tile::ROW_GROUP;

pub(crate) struct Mxfp4;
pub(crate) struct Exponents;

/// What codes stand for in ascending order, with 16 as zero and the greatest twice.
static LEVELS: Steps =
    Steps::new([4, 8, 10, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 24, 28, 28], 16);

/// The nibbles of these.
const NIBBLES: [u8; 16] = [15, 14, 13, 12, 11, 10, 9, 0, 1, 2, 3, 4, 5, 6, 7, 7];

impl BlockFormat for Mxfp4 {
    const NAME: &'static str = "mxfp4";
    const LEN: usize = PART;
    const BYTES: usize = 17;
    const BITS: usize = 4;
    const ZERO: i32 = 16;
    const TABLE: Option<[u8; 16]> =
        Some([16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4]);
    const QUANTIZE: Option<Quantize> = Some(quantize::<Self, PART>);
    type Scales = Exponents;

    #[inline(always)]
    fn codes(block: &[u8], _part: usize) -> [u32; WORDS] {
        nibbles(block, 1)
    }
}

impl Quantized<PART> for Mxfp4 {
    const RULE: Rule =
        Rule { levels: Levels::Steps(&LEVELS), targets: &[4.0, 8.0, 16.0], stored: Stored::Power };

    fn write(block: &Rounded<'_>, out: &mut [u8]) {
        out[0] = exponent(block.bases[0]);
        let codes: [u8; PART] = std::array::from_fn(|i| NIBBLES[usize::from(block.codes[i])]);
        write_nibbles(&codes, &mut out[1..]);
    }
}

/// The upper half of the f32 that is two to the power of `exponent - 128`.
fn half_power(exponent: u8) -> u16 {
    match exponent {
        // Too small for an exponent of its own: the bit stands in the mantissa.
        0 | 1 => 0x20 << exponent,
        _ => u16::from(exponent - 1) << 7,
    }
}

/// The exponent of which [`half_power`] makes the upper half of `scale`, or the nearest there is.
fn exponent(scale: f32) -> u8 {
    match (scale.to_bits() >> 23) as u8 {
        0 => u8::from(scale.to_bits() >> 22 != 0),
        exponent => exponent.saturating_add(1),
    }
}

impl Scales for Exponents {
    const HEADER: usize = 4 * ROW_GROUP;
    const PARTS: usize = 2;
    const PER_PART: usize = 1;
    const HAS_MIN: bool = false;

    fn read(block: &[u8], _part: usize) -> PartScales {
        let scale = f32::from_bits(u32::from(half_power(block[0])) << 16);
        PartScales { scales: [scale; 2], mins: [0.0; 2] }
    }

    fn pack(block: &[u8], lane: usize, part: usize, header: &mut [u8]) {
        header[4 * lane + 2 * part..][..2].copy_from_slice(&half_power(block[0]).to_le_bytes());
    }

    #[inline(always)]
    fn scale<S: Simd>(s: S, header: &[u8], part: usize, _half: usize) -> S::F {
        let both = s.load(piece(header, 0));
        s.as_f32(if part == 0 { s.shl(both, 16) } else { s.and(both, s.splat_i32(-0x1_0000)) })
    }
}
