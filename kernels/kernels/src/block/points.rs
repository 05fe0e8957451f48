//! How the codes of grid formats are made: a grid point gives magnitudes, a mask the signs.
//!
//! A file stores eight (or four) values as the number of a point in a grid of magnitudes. Packed
//! weights keep the index of each magnitude with its sign above it, 3 or 4 bits, and the kernel
//! looks the value up. With scales that is 0.42 to 0.55 bytes per weight, up to 2.2 times the
//! file, but needs no search for points in every step.

use super::q5_0::spread_bits;

/// The seven stored signs of eight values and the last one, which makes their number even.
pub(super) fn even_signs(seven: u32) -> u32 {
    let seven = seven & 127;
    seven | (seven.count_ones() & 1) << 7
}

/// Eight values of 2 bits from the lowest on, with sign masks on top: codes of 3 bits.
#[inline(always)]
pub(super) fn eight(point: u16, signs: u32) -> [u32; 2] {
    [0, 1].map(|half| {
        let four = u32::from(point) >> (8 * half) & 0xff;
        let pairs = (four | four << 6 | four << 12 | four << 18) & 0x0303_0303;
        pairs | spread_bits(signs >> (4 * half)) << 2
    })
}

/// Four values of 3 bits, each in a nibble, with the lowest four sign bits on top.
#[inline(always)]
pub(super) fn four(point: u16, signs: u32) -> u32 {
    let point = u32::from(point);
    let bytes = (point | point << 8) & 0x00ff_00ff;
    let nibbles = (bytes | bytes << 4) & 0x0f0f_0f0f;
    nibbles | spread_bits(signs) << 3
}

/// What the codes of [`eight`] stand for in the `iq2` formats, with 64 as zero. No point has the
/// fourth magnitude.
pub(super) const EIGHTS: [u8; 16] =
    [72, 89, 107, 64, 56, 39, 21, 64, 64, 64, 64, 64, 64, 64, 64, 64];
