//! Plain dtypes: one value per element, multiplied in f32.
//!
//! Weights are widened in registers; bf16 is widened by a shift because the bf16 dot of current
//! CPUs is slower than f32 and rounds differently. Even and odd elements have an accumulator
//! each, in every kernel, so that two sums are in flight and the order stays fixed. It must not
//! round activations.

use std::marker::PhantomData;

use half::{bf16, f16};

use crate::isa::Isa;
use crate::simd::Simd;
use crate::tile::{PREFETCH_BYTES, ROW_GROUP, Strip};

/// What one plain dtype has of its own.
pub(crate) trait PlainFormat: 'static {
    const NAME: &'static str;
    const BYTES: usize;
    fn read(bytes: &[u8]) -> f32;
    fn write(value: f32, bytes: &mut [u8]);
    /// Where element `parity` (0 or 1) of a pair of row `lane` lies in the pair's packed bytes.
    fn place(lane: usize, parity: usize) -> usize;
    /// The elements of one packed pair, all rows of the group at once.
    fn pair<S: Simd>(s: S, packed: &[u8]) -> [S::F; 2];
}

pub(crate) struct Single;
pub(crate) struct Half;
pub(crate) struct Bf16;

/// The strip of a plain format.
pub(crate) struct Plain<P>(PhantomData<P>);

const fn pair_bytes<P: PlainFormat>() -> usize {
    2 * ROW_GROUP * P::BYTES
}

fn piece<const N: usize>(bytes: &[u8], at: usize) -> &[u8; N] {
    bytes[at..].first_chunk().expect("a packed pair has its full length")
}

impl PlainFormat for Single {
    const NAME: &'static str = "f32";
    const BYTES: usize = 4;

    fn read(bytes: &[u8]) -> f32 {
        f32::from_le_bytes(*piece(bytes, 0))
    }
    fn write(value: f32, bytes: &mut [u8]) {
        bytes.copy_from_slice(&value.to_le_bytes());
    }
    fn place(lane: usize, parity: usize) -> usize {
        64 * parity + 4 * lane
    }
    #[inline(always)]
    fn pair<S: Simd>(s: S, packed: &[u8]) -> [S::F; 2] {
        [s.from_bits(s.load(piece(packed, 0))), s.from_bits(s.load(piece(packed, 64)))]
    }
}

impl PlainFormat for Half {
    const NAME: &'static str = "f16";
    const BYTES: usize = 2;

    fn read(bytes: &[u8]) -> f32 {
        f16::from_le_bytes(*piece(bytes, 0)).to_f32()
    }
    fn write(value: f32, bytes: &mut [u8]) {
        bytes.copy_from_slice(&f16::from_f32(value).to_le_bytes());
    }
    fn place(lane: usize, parity: usize) -> usize {
        32 * parity + 2 * lane
    }
    #[inline(always)]
    fn pair<S: Simd>(s: S, packed: &[u8]) -> [S::F; 2] {
        [s.load_f16(piece(packed, 0)), s.load_f16(piece(packed, 32))]
    }
}

impl PlainFormat for Bf16 {
    const NAME: &'static str = "bf16";
    const BYTES: usize = 2;

    fn read(bytes: &[u8]) -> f32 {
        bf16::from_le_bytes(*piece(bytes, 0)).to_f32()
    }
    fn write(value: f32, bytes: &mut [u8]) {
        bytes.copy_from_slice(&bf16::from_f32(value).to_le_bytes());
    }
    /// The pair of one row shares a 32-bit lane: a shift or a mask makes either an f32.
    fn place(lane: usize, parity: usize) -> usize {
        4 * lane + 2 * parity
    }
    #[inline(always)]
    fn pair<S: Simd>(s: S, packed: &[u8]) -> [S::F; 2] {
        let both = s.load(piece(packed, 0));
        let odd = s.and(both, s.splat_i32(0xffff_0000_u32.cast_signed()));
        [s.from_bits(s.shl(both, 16)), s.from_bits(odd)]
    }
}

pub(crate) fn dequantize<P: PlainFormat>(src: &[u8], dst: &mut [f32]) {
    for (bytes, value) in src.chunks_exact(P::BYTES).zip(dst) {
        *value = P::read(bytes);
    }
}

pub(crate) fn quantize<P: PlainFormat>(src: &[f32], dst: &mut [u8]) {
    for (bytes, value) in dst.chunks_exact_mut(P::BYTES).zip(src) {
        P::write(*value, bytes);
    }
}

pub(crate) fn input_bytes(k: usize) -> usize {
    (4 * k).next_multiple_of(64)
}

/// The f32 values and zeros up to the row's end, so that an odd last pair can be read whole.
pub(crate) fn prepare_input(_isa: Isa, x: &[f32], dst: &mut [u8]) {
    let (values, padding) = dst.split_at_mut(4 * x.len());
    for (bytes, value) in values.as_chunks_mut::<4>().0.iter_mut().zip(x) {
        *bytes = value.to_le_bytes();
    }
    padding.fill(0);
}

pub(crate) fn pack_group<P: PlainFormat>(rows: &[u8], k: usize, group: &mut [u8]) {
    for (lane, row) in rows.chunks_exact(k * P::BYTES).enumerate() {
        let pairs = group.chunks_exact_mut(pair_bytes::<P>());
        for (packed, elements) in pairs.zip(row.chunks(2 * P::BYTES)) {
            for (parity, element) in elements.chunks_exact(P::BYTES).enumerate() {
                packed[P::place(lane, parity)..][..P::BYTES].copy_from_slice(element);
            }
        }
    }
}

impl<P: PlainFormat> Strip for Plain<P> {
    fn group_bytes(k: usize) -> usize {
        k.div_ceil(2) * pair_bytes::<P>()
    }

    #[inline(always)]
    unsafe fn run<S: Simd, const T: usize>(
        s: S,
        group: *const u8,
        k: usize,
        inputs: [*const u8; T],
        cold: bool,
    ) -> [S::F; T] {
        let mut even = [s.splat(0.0); T];
        let mut odd = [s.splat(0.0); T];
        for pair in 0..k.div_ceil(2) {
            // SAFETY: the caller gives a whole group, which has `k.div_ceil(2)` pairs.
            let at = unsafe { group.add(pair * pair_bytes::<P>()) };
            if cold {
                for line in (0..pair_bytes::<P>()).step_by(64) {
                    s.prefetch(at.wrapping_add(PREFETCH_BYTES + line));
                }
            }
            // SAFETY: as above; nobody writes packed weights while they are multiplied.
            let packed = unsafe { std::slice::from_raw_parts(at, pair_bytes::<P>()) };
            let [w_even, w_odd] = P::pair(s, packed);
            for t in 0..T {
                // SAFETY: an input row is padded to whole pairs and lives as long as the call.
                let x = unsafe { *inputs[t].add(8 * pair).cast::<[[u8; 4]; 2]>() };
                even[t] = s.fma(w_even, s.splat(f32::from_le_bytes(x[0])), even[t]);
                odd[t] = s.fma(w_odd, s.splat(f32::from_le_bytes(x[1])), odd[t]);
            }
        }
        let mut sums = even;
        for t in 0..T {
            sums[t] = s.add(even[t], odd[t]);
        }
        sums
    }
}
