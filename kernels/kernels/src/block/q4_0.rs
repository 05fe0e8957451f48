//! `q4_0`: blocks of 32, an f16 scale and 4-bit codes whose zero is 8.
//!
//! A block is the scale and 16 bytes; byte `j` holds values `j` (low nibble) and `j + 16`.

use super::pair_scales::{PairScales, quantize_symmetric};
use super::{BlockFormat, PART, Quantize, WORDS, words};

pub(crate) struct Q40;

impl BlockFormat for Q40 {
    const NAME: &'static str = "q4_0";
    const LEN: usize = PART;
    const BYTES: usize = 18;
    const BITS: usize = 4;
    const ZERO: i32 = 8;
    const QUANTIZE: Option<Quantize> = Some(quantize);
    type Scales = PairScales;

    #[inline(always)]
    fn codes(block: &[u8], _part: usize) -> [u32; WORDS] {
        nibbles(block, 2)
    }
}

/// The codes of sixteen bytes from `at`: first the low nibbles, then the high ones.
#[inline(always)]
pub(super) fn nibbles(block: &[u8], at: usize) -> [u32; WORDS] {
    let both: [u32; 4] = words(block, at);
    std::array::from_fn(|i| both[i % 4] >> (i / 4 * 4) & 0x0f0f_0f0f)
}

fn quantize(src: &[f32], _importance: Option<&[f32]>, dst: &mut [u8]) {
    for (values, block) in src.chunks_exact(PART).zip(dst.chunks_exact_mut(Q40::BYTES)) {
        let codes = quantize_symmetric(values, 8, block);
        for j in 0..16 {
            block[2 + j] = codes[j] | codes[16 + j] << 4;
        }
    }
}
