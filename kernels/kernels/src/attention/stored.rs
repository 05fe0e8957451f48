//! How one head of keys or values is stored in a cache, and how it becomes f32 lanes again.
//!
//! f32 and f16 are stored value by value, bf16 and q8_0 in blocks of 32 whose last is padded with
//! zeros. The layout is the cache's own: a bf16 block has values 16 apart side by side, so that a
//! shift or a mask widens sixteen of them. It must not know positions or what is done with lanes.

use half::{bf16, f16};

use crate::activation::padded;
use crate::isa::Kernel;
use crate::math::ROUND;
use crate::simd::{LANES, Simd};

/// Element type of a KV cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvDtype {
    F32,
    F16,
    Bf16,
    /// Blocks of 32 signed bytes with an f16 scale, laid out as ggml's type of that name; values are
    /// rounded by the scale that is stored.
    Q8_0,
}

/// Values of a block of bf16 or q8_0.
const BLOCK: usize = 2 * LANES;
const BF16_BYTES: usize = 2 * BLOCK;
const Q8_FRONT: usize = 2;
const Q8_BYTES: usize = Q8_FRONT + BLOCK;

impl KvDtype {
    /// Bytes of a head of `head_dim` values, or nothing if that is more than memory can address.
    pub fn row_bytes(self, head_dim: usize) -> Option<usize> {
        let blocks = head_dim.div_ceil(BLOCK);
        match self {
            KvDtype::F32 => head_dim.checked_mul(4),
            KvDtype::F16 => head_dim.checked_mul(2),
            KvDtype::Bf16 => blocks.checked_mul(BF16_BYTES),
            KvDtype::Q8_0 => blocks.checked_mul(Q8_BYTES),
        }
    }
}

/// Calls `put` with the number and the values of each chunk of lanes of a stored row.
#[inline(always)]
pub(super) fn widen<S: Simd>(s: S, kv: KvDtype, row: &[u8], mut put: impl FnMut(usize, S::F)) {
    match kv {
        KvDtype::F32 => {
            for (i, bytes) in chunks::<{ 4 * LANES }>(row) {
                put(i, s.as_f32(s.load(&bytes)));
            }
        }
        KvDtype::F16 => {
            for (i, bytes) in chunks::<{ 2 * LANES }>(row) {
                put(i, s.load_f16(&bytes));
            }
        }
        KvDtype::Bf16 => {
            for (i, block) in chunks::<BF16_BYTES>(row) {
                let both = s.load(&block);
                let upper = s.and(both, s.splat_i32(0xffff_0000_u32.cast_signed()));
                for (half, bits) in [s.shl(both, 16), upper].into_iter().enumerate() {
                    put(2 * i + half, s.as_f32(bits));
                }
            }
        }
        KvDtype::Q8_0 => {
            for (i, block) in chunks::<Q8_BYTES>(row) {
                let scale = s.splat(f16::from_le_bytes([block[0], block[1]]).to_f32());
                let (codes, _) = block[Q8_FRONT..].as_chunks::<LANES>();
                for (half, codes) in codes.iter().enumerate() {
                    put(2 * i + half, s.mul(s.load_i8(codes), scale));
                }
            }
        }
    }
}

/// The chunks of a row with their numbers, the last one filled up with zeros. They are walked in a
/// loop: a closure for them that is not inlined would be compiled for the plainest machine.
#[inline(always)]
fn chunks<const BYTES: usize>(row: &[u8]) -> impl Iterator<Item = (usize, [u8; BYTES])> {
    let (whole, rest) = row.as_chunks::<BYTES>();
    let mut padded = [0; BYTES];
    padded[..rest.len()].copy_from_slice(rest);
    let last = (!rest.is_empty()).then_some(padded);
    whole.iter().copied().chain(last).enumerate()
}

/// Stores the values of a head.
pub(super) struct Store<'a> {
    pub(super) kv: KvDtype,
    pub(super) x: &'a [f32],
    pub(super) dst: &'a mut [u8],
}

impl Kernel for Store<'_> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, s: S) {
        let Store { kv, x, dst } = self;
        match kv {
            KvDtype::F32 => {
                for (bytes, value) in dst.as_chunks_mut::<4>().0.iter_mut().zip(x) {
                    *bytes = value.to_le_bytes();
                }
            }
            KvDtype::F16 => {
                for (x, bytes) in x.chunks(LANES).zip(dst.chunks_mut(2 * LANES)) {
                    let mut halves = [0; 2 * LANES];
                    s.store_f16(s.load_f32(&padded(x)), &mut halves);
                    bytes.copy_from_slice(&halves[..bytes.len()]);
                }
            }
            KvDtype::Bf16 => {
                for (x, block) in x.chunks(BLOCK).zip(dst.as_chunks_mut::<BF16_BYTES>().0) {
                    store_bf16(x, block);
                }
            }
            KvDtype::Q8_0 => {
                for (x, block) in x.chunks(BLOCK).zip(dst.as_chunks_mut::<Q8_BYTES>().0) {
                    store_q8(s, x, block);
                }
            }
        }
    }
}

#[inline(always)]
fn store_bf16(x: &[f32], block: &mut [u8; BF16_BYTES]) {
    *block = [0; BF16_BYTES];
    for (i, value) in x.iter().enumerate() {
        let at = 4 * (i % LANES) + 2 * (i / LANES);
        block[at..at + 2].copy_from_slice(&bf16::from_f32(*value).to_le_bytes());
    }
}

/// Rounds to the nearest multiple of the scale that is stored. A value that is not finite spoils
/// its block, as it would spoil every product.
#[inline(always)]
fn store_q8<S: Simd>(s: S, x: &[f32], block: &mut [u8; Q8_BYTES]) {
    let finite = x.iter().all(|value| value.is_finite());
    let most = x.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let scale = if finite { f16::from_f32(most / 127.0) } else { f16::NAN };
    let (front, codes) = block.split_at_mut(Q8_FRONT);
    front.copy_from_slice(&scale.to_le_bytes());
    let inverse = 1.0 / scale.to_f32();
    let inverse = if inverse.is_finite() { inverse } else { 0.0 };
    let mut halves = x.chunks(LANES);
    for codes in codes.as_chunks_mut::<LANES>().0 {
        let x = s.load_f32(&padded(halves.next().unwrap_or(&[])));
        let exact = s.mul(x, s.splat(inverse));
        let within = s.max(s.min(exact, s.splat(127.0)), s.splat(-127.0));
        // Only the lowest bytes of the sums are kept, which are the rounded values.
        s.store_u8(s.as_bits(s.add(within, s.splat(ROUND))), codes);
    }
}
