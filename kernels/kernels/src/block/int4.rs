//! `int4`: blocks of 32 for GPTQ and AWQ checkpoints, an f16 scale, a whole zero and 4-bit codes.
//!
//! A block is the scale, the zero as a byte, a byte of padding and nibbles as in `q4_0`. Zeros
//! reach 16, because GPTQ files may hold them less one. value = scale * (code - zero) is exact in
//! f32; so are scale * code and scale * zero, which the kernel subtracts as a minimum. Sources:
//! Frantar et al., GPTQ, 2022; Lin et al., AWQ, 2023.

use half::f16;

use super::q4_0::nibbles;
use super::{BlockFormat, PART, PartScales, Scales, WORDS, piece};
use crate::isa::Isa;
use crate::quantize::Quantize;
use crate::simd::Simd;
use crate::tile::ROW_GROUP;

pub(crate) struct Int4;
pub(crate) struct WholeZeros;

const ZERO_AT: usize = 2;
const FRONT: usize = 4;
/// In a packed header: f16 scales, then the zeros, padded to a cache line.
const ZEROS: usize = 2 * ROW_GROUP;

impl BlockFormat for Int4 {
    const NAME: &'static str = "int4";
    const LEN: usize = PART;
    const BYTES: usize = 20;
    const BITS: usize = 4;
    const ZERO: i32 = 0;
    const QUANTIZE: Option<Quantize> = Some(quantize);
    type Scales = WholeZeros;

    #[inline(always)]
    fn codes(block: &[u8], _part: usize) -> [u32; WORDS] {
        nibbles(block, FRONT)
    }
}

impl Scales for WholeZeros {
    const HEADER: usize = 2 * ZEROS;
    const PARTS: usize = 1;
    const PER_PART: usize = 1;
    const HAS_MIN: bool = true;

    fn read(block: &[u8], _part: usize) -> PartScales {
        let scale = f16::from_le_bytes(*piece(block, 0)).to_f32();
        PartScales { scales: [scale; 2], mins: [scale * f32::from(block[ZERO_AT]); 2] }
    }

    fn pack(block: &[u8], lane: usize, _part: usize, header: &mut [u8]) {
        header[2 * lane..][..2].copy_from_slice(&block[..2]);
        header[ZEROS + lane] = block[ZERO_AT];
    }

    #[inline(always)]
    fn scale<S: Simd>(s: S, header: &[u8], _part: usize, _half: usize) -> S::F {
        s.load_f16(piece(header, 0))
    }

    #[inline(always)]
    fn min<S: Simd>(s: S, header: &[u8], _part: usize, _half: usize) -> S::F {
        s.mul(s.load_f16(piece(header, 0)), s.load_u8(piece(header, ZEROS)))
    }
}

/// Spreads the codes over the range of the values and zero. Checkpoints come with codes that were
/// fitted better; this is for what has none.
fn quantize(_isa: Isa, src: &[f32], _importance: Option<&[f32]>, dst: &mut [u8]) {
    for (values, block) in src.chunks_exact(PART).zip(dst.chunks_exact_mut(Int4::BYTES)) {
        let least = values.iter().fold(0.0_f32, |least, value| least.min(*value));
        let greatest = values.iter().fold(0.0_f32, |greatest, value| greatest.max(*value));
        let scale = f16::from_f32(((greatest - least) / 15.0).min(f16::MAX.to_f32()));
        let inverse = if scale == f16::ZERO { 0.0 } else { 1.0 / scale.to_f32() };
        let zero = (-least * inverse).round().clamp(0.0, 15.0);
        let code = |i: usize| (values[i] * inverse + zero).round().clamp(0.0, 15.0) as u8;
        block[..2].copy_from_slice(&scale.to_le_bytes());
        block[ZERO_AT..FRONT].copy_from_slice(&[zero as u8, 0]);
        for (j, byte) in block[FRONT..].iter_mut().enumerate() {
            *byte = code(j) | code(j + 16) << 4;
        }
    }
}
