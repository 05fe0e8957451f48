//! `q8_0`: blocks of 32, an f16 scale and signed bytes.
//!
//! The bytes become unsigned codes by adding 128, which is what the integer dot of AVX-512 takes.

use half::f16;

use super::pair_scales::PairScales;
use super::{BlockFormat, PART, Quantize, WORDS, words};

pub(crate) struct Q80;

impl BlockFormat for Q80 {
    const NAME: &'static str = "q8_0";
    const LEN: usize = PART;
    const BYTES: usize = 34;
    const BITS: usize = 8;
    const ZERO: i32 = 128;
    const QUANTIZE: Option<Quantize> = Some(quantize);
    type Scales = PairScales;

    #[inline(always)]
    fn codes(block: &[u8], _part: usize) -> [u32; WORDS] {
        words(block, 2).map(|bytes: u32| bytes ^ 0x8080_8080)
    }
}

/// Halves are rounded away from zero, as ggml does.
fn quantize(src: &[f32], _importance: Option<&[f32]>, dst: &mut [u8]) {
    for (values, block) in src.chunks_exact(PART).zip(dst.chunks_exact_mut(Q80::BYTES)) {
        let most = values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        let scale = most / 127.0;
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        block[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
        for (byte, value) in block[2..].iter_mut().zip(values) {
            *byte = ((value * inverse).round() as i8).cast_unsigned();
        }
    }
}
