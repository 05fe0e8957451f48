//! `f8_e4m3`: blocks of 32, an f32 scale and 8-bit floats, multiplied in f32.
//!
//! A code is a sign, four bits of exponent and three of mantissa, as E4M3 of Micikevicius et al.,
//! FP8 Formats for Deep Learning, 2022: no infinities, the greatest magnitude is 448, and all bits
//! but the sign set are NaN. An f16 with the same bits of exponent and mantissa is 2^-8 of it, also
//! where it is subnormal; so CPUs widen codes as f16, and packed scales hold the factor, for which
//! they must be below 2^120. Weights are scaled before they are multiplied, in the order of the
//! plain dtypes: products have the bits of those of dequantized weights. It must not round
//! activations.

use crate::isa::{Isa, Kernel, dispatch};
use crate::plain::PairSums;
use crate::simd::Simd;
use crate::tile::{PREFETCH_BYTES, ROW_GROUP, Strip};

pub(crate) struct E4m3;

/// Values per block.
pub(crate) const LEN: usize = 32;
/// Bytes per block.
pub(crate) const BYTES: usize = FRONT + LEN;
/// Bytes of a block before its codes.
const FRONT: usize = 4;

const GREATEST: f32 = 448.0;
/// A code's value over that of the f16 with its bits.
const F16_FACTOR: f32 = 256.0;
const SIGN: u8 = 0x80;
const NAN: u8 = 0x7f;

/// Codes of a row that lie together: a vector has them for all rows.
const WORD: usize = 4;
/// Bytes of a packed block: the scales of all rows, then the codes by words.
const PACKED_BYTES: usize = BYTES * ROW_GROUP;
const PACKED_CODES: usize = FRONT * ROW_GROUP;
const VECTOR: usize = WORD * ROW_GROUP;

/// The value of each code.
static VALUES: [f32; 256] = {
    let mut values = [0.0; 256];
    let mut code = 0;
    while code < values.len() {
        values[code] = value(code as u8);
        code += 1;
    }
    values
};

const fn value(code: u8) -> f32 {
    let (exponent, mantissa) = (code >> 3 & 15, code & 7);
    let size = match (exponent, mantissa) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa as f32 / 512.0,
        _ => (8 + mantissa) as f32 / 1024.0 * (1_u32 << exponent) as f32,
    };
    if code & SIGN == 0 { size } else { -size }
}

/// The nearest code, ties to even; magnitudes above the greatest become it.
#[inline(always)]
fn code(value: f32) -> u8 {
    /// Below this, codes are multiples of 2^-9.
    const LEAST_NORMAL: f32 = 1.0 / 64.0;
    /// Its last place is 2^-9, so adding it rounds to multiples of that.
    const ROUND: f32 = 16384.0;
    /// The exponent of f32 less that of a code, above three bits of mantissa.
    const REBIAS: u32 = 120 << 3;

    let size = value.abs().min(GREATEST);
    let bits = size.to_bits();
    let normal = ((bits + 0x7_ffff + (bits >> 20 & 1)) >> 20).wrapping_sub(REBIAS);
    let multiple = (size + ROUND).to_bits() - ROUND.to_bits();
    let code = if size < LEAST_NORMAL { multiple } else { normal };
    let code = if value.is_nan() { NAN } else { code as u8 };
    code | (value.to_bits() >> 24) as u8 & SIGN
}

fn scale(block: &[u8]) -> f32 {
    f32::from_le_bytes(*block.first_chunk().expect("a block has its full length"))
}

pub(crate) fn dequantize(src: &[u8], dst: &mut [f32]) {
    for (block, values) in src.chunks_exact(BYTES).zip(dst.chunks_exact_mut(LEN)) {
        let scale = scale(block);
        for (value, code) in values.iter_mut().zip(&block[FRONT..]) {
            *value = scale * VALUES[usize::from(*code)];
        }
    }
}

pub(crate) fn quantize(isa: Isa, src: &[f32], _importance: Option<&[f32]>, dst: &mut [u8]) {
    dispatch(isa, Rounding { src, dst });
}

struct Rounding<'a> {
    src: &'a [f32],
    dst: &'a mut [u8],
}

impl Kernel for Rounding<'_> {
    type Output = ();

    /// The greatest magnitude of a block becomes the greatest code. An infinite one becomes the
    /// greatest f32; a NaN stays one and leaves the others alone.
    #[inline(always)]
    fn call<S: Simd>(self, _s: S) {
        let blocks = self.dst.as_chunks_mut::<BYTES>().0;
        for (values, block) in self.src.as_chunks::<LEN>().0.iter().zip(blocks) {
            let most = values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            let (scale, inverse) = scales(most.min(f32::MAX));
            block[..FRONT].copy_from_slice(&scale.to_le_bytes());
            for (byte, value) in block[FRONT..].iter_mut().zip(values) {
                *byte = code(value * inverse);
            }
        }
    }
}

/// The scale for values of at most this magnitude, and the factor that makes them codes' values.
#[inline(always)]
fn scales(most: f32) -> (f32, f32) {
    let inverse = GREATEST / most;
    if inverse.is_finite() { (most / GREATEST, inverse) } else { (0.0, 0.0) }
}

/// The codes of a word go where one shift widens two of them: the first and third are the low
/// bytes of halves, and the third and fourth are in the upper sixteen halves.
pub(crate) fn pack_group(rows: &[u8], k: usize, group: &mut [u8]) {
    for (lane, row) in rows.chunks_exact(k / LEN * BYTES).enumerate() {
        for (block, packed) in row.chunks_exact(BYTES).zip(group.chunks_exact_mut(PACKED_BYTES)) {
            let (scales, vectors) = packed.split_at_mut(PACKED_CODES);
            let codes = &block[FRONT..];
            // As f16 a NaN would be a number; as its scale it spoils the same products.
            let spoilt = codes.iter().any(|code| code & !SIGN == NAN);
            let scale = if spoilt { f32::NAN } else { scale(block) * F16_FACTOR };
            scales[FRONT * lane..][..FRONT].copy_from_slice(&scale.to_le_bytes());
            for (codes, vector) in codes.chunks_exact(WORD).zip(vectors.chunks_exact_mut(VECTOR)) {
                vector[2 * lane..][..2].copy_from_slice(&codes[..2]);
                vector[VECTOR / 2 + 2 * lane..][..2].copy_from_slice(&codes[2..]);
            }
        }
    }
}

impl Strip for E4m3 {
    fn tokens<S: Simd>() -> usize {
        S::FLOAT_TOKENS
    }

    fn group_bytes(k: usize) -> usize {
        k / LEN * PACKED_BYTES
    }

    #[inline(always)]
    unsafe fn run<S: Simd, const T: usize>(
        s: S,
        group: *const u8,
        k: usize,
        inputs: [*const u8; T],
        cold: bool,
    ) -> [S::F; T] {
        let mut sums = PairSums::zero(s);
        for block in 0..k / LEN {
            // SAFETY: the caller gives a whole group, which has `k / LEN` packed blocks.
            let at = unsafe { group.add(block * PACKED_BYTES) };
            if cold {
                for line in (0..PACKED_BYTES).step_by(64) {
                    s.prefetch(at.wrapping_add(PREFETCH_BYTES + line));
                }
            }
            // SAFETY: as above; nobody writes packed weights while they are multiplied.
            let packed = unsafe { std::slice::from_raw_parts(at, PACKED_BYTES) };
            let (scales, vectors) = packed.split_at(PACKED_CODES);
            let scale = s.as_f32(s.load(piece(scales)));
            for (i, vector) in vectors.chunks_exact(VECTOR).enumerate() {
                for (j, pair) in widened(s, piece(vector), scale).into_iter().enumerate() {
                    let index = block * LEN / 2 + 2 * i + j;
                    // SAFETY: the caller gives prepared rows of `k` values.
                    unsafe { sums.add(s, pair, &inputs, index) };
                }
            }
        }
        sums.total(s)
    }
}

/// A vector of a packed block; lengths are fixed by the layout, so the check folds away.
#[inline(always)]
fn piece(bytes: &[u8]) -> &[u8; 64] {
    bytes.first_chunk().expect("layouts have their full length")
}

/// The two pairs of weights of a vector, all rows at once.
#[inline(always)]
fn widened<S: Simd>(s: S, vector: &[u8; 64], scale: S::F) -> [[S::F; 2]; 2] {
    let sign = s.splat_i32(0x8000_8000_u32.cast_signed());
    let size = s.splat_i32(0x3f80_3f80);
    let codes = s.load(vector);
    let even = s.or(s.and(s.shl(codes, 8), sign), s.and(s.shl(codes, 7), size));
    let odd = s.or(s.and(codes, sign), s.and(s.shr(codes, 1), size));
    let (even, odd) = (s.widen_f16(even), s.widen_f16(odd));
    [0, 1].map(|i| [s.mul(even[i], scale), s.mul(odd[i], scale)])
}
