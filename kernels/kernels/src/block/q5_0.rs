//! `q5_0`: blocks of 32, an f16 scale and 5-bit codes whose zero is 16.
//!
//! A block is the scale, 32 bits that are the fifth bits of the values in order, and 16 bytes of
//! nibbles as in `q4_0`.

use super::pair_scales::{PairScales, quantize_symmetric};
use super::q4_0::nibbles;
use super::{BlockFormat, PART, Quantize, WORDS, words};

pub(crate) struct Q50;

impl BlockFormat for Q50 {
    const NAME: &'static str = "q5_0";
    const LEN: usize = PART;
    const BYTES: usize = 22;
    const BITS: usize = 5;
    const ZERO: i32 = 16;
    const QUANTIZE: Option<Quantize> = Some(quantize);
    type Scales = PairScales;

    #[inline(always)]
    fn codes(block: &[u8], _part: usize) -> [u32; WORDS] {
        five_bits(block, 2)
    }
}

/// Codes whose fifth bits begin at byte `at`, and their nibbles after that.
#[inline(always)]
pub(super) fn five_bits(block: &[u8], at: usize) -> [u32; WORDS] {
    let (low, [high]) = (nibbles(block, at + 4), words(block, at));
    std::array::from_fn(|i| low[i] | spread_bits(high >> (4 * i)) << 4)
}

/// The lowest four bits, each at the front of a byte.
#[inline(always)]
pub(super) fn spread_bits(bits: u32) -> u32 {
    (bits & 15).wrapping_mul(0x0020_4081) & 0x0101_0101
}

fn quantize(src: &[f32], _importance: Option<&[f32]>, dst: &mut [u8]) {
    for (values, block) in src.chunks_exact(PART).zip(dst.chunks_exact_mut(Q50::BYTES)) {
        let codes = quantize_symmetric(values, 16, block);
        let high = (0..PART).fold(0_u32, |all, i| all | u32::from(codes[i] >> 4) << i);
        block[2..6].copy_from_slice(&high.to_le_bytes());
        for j in 0..16 {
            block[6 + j] = codes[j] & 15 | codes[16 + j] << 4;
        }
    }
}
