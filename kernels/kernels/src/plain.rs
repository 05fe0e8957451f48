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
use crate::tile::{PREFETCH_BYTES, ROW_GROUP, Strip, unrolled};

/// What one plain dtype has of its own.
pub(crate) trait PlainFormat: 'static {
    const NAME: &'static str;
    const BYTES: usize;
    fn read(bytes: &[u8]) -> f32;
    fn write(value: f32, bytes: &mut [u8]);
    /// Puts a pair of elements of row `lane`, or a last single one, into their packed bytes.
    fn put(pair: &[u8], lane: usize, packed: &mut [u8]);
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
    #[inline(always)]
    fn put(pair: &[u8], lane: usize, packed: &mut [u8]) {
        put_apart(pair, 4, lane, packed);
    }
    #[inline(always)]
    fn pair<S: Simd>(s: S, packed: &[u8]) -> [S::F; 2] {
        [s.as_f32(s.load(piece(packed, 0))), s.as_f32(s.load(piece(packed, 64)))]
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
    #[inline(always)]
    fn put(pair: &[u8], lane: usize, packed: &mut [u8]) {
        put_apart(pair, 2, lane, packed);
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
    #[inline(always)]
    fn put(pair: &[u8], lane: usize, packed: &mut [u8]) {
        packed[4 * lane..][..pair.len()].copy_from_slice(pair);
    }
    #[inline(always)]
    fn pair<S: Simd>(s: S, packed: &[u8]) -> [S::F; 2] {
        let both = s.load(piece(packed, 0));
        let odd = s.and(both, s.splat_i32(0xffff_0000_u32.cast_signed()));
        [s.as_f32(s.shl(both, 16)), s.as_f32(odd)]
    }
}

pub(crate) fn dequantize<P: PlainFormat>(src: &[u8], dst: &mut [f32]) {
    for (bytes, value) in src.chunks_exact(P::BYTES).zip(dst) {
        *value = P::read(bytes);
    }
}

/// Each value is rounded on its own, so no importance changes anything.
pub(crate) fn quantize<P: PlainFormat>(
    _isa: Isa,
    src: &[f32],
    _importance: Option<&[f32]>,
    dst: &mut [u8],
) {
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
    let pair_len = 2 * P::BYTES;
    for (index, packed) in group.chunks_exact_mut(pair_bytes::<P>()).enumerate() {
        for (lane, row) in rows.chunks_exact(k * P::BYTES).enumerate() {
            // Whole pairs on their own: their copies have a length that the compiler knows.
            match row.get(pair_len * index..pair_len * (index + 1)) {
                Some(pair) => P::put(pair, lane, packed),
                None => P::put(&row[pair_len * index..], lane, packed),
            }
        }
    }
}

/// Puts either element of a pair, of which the second may be missing, where it belongs.
#[inline(always)]
fn put_apart(pair: &[u8], bytes: usize, lane: usize, packed: &mut [u8]) {
    for (parity, element) in pair.chunks_exact(bytes).enumerate() {
        packed[(ROW_GROUP * parity + lane) * bytes..][..bytes].copy_from_slice(element);
    }
}

impl<P: PlainFormat> Strip for Plain<P> {
    fn tokens<S: Simd>() -> usize {
        S::FLOAT_TOKENS
    }

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
        let mut sums = PairSums::zero(s);
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
            // SAFETY: an input row is padded to whole pairs.
            unsafe { sums.add(s, P::pair(s, packed), &inputs, pair) };
        }
        sums.total(s)
    }
}

/// Sums over the even and the odd elements of a row, for each token.
pub(crate) struct PairSums<S: Simd, const T: usize> {
    even: [S::F; T],
    odd: [S::F; T],
}

impl<S: Simd, const T: usize> PairSums<S, T> {
    #[inline(always)]
    pub(crate) fn zero(s: S) -> Self {
        PairSums { even: [s.splat(0.0); T], odd: [s.splat(0.0); T] }
    }

    /// Adds the products of a pair of weights of each row with pair `index` of each input.
    ///
    /// # Safety
    /// Each of `inputs` must be a prepared row with more than `index` pairs.
    #[inline(always)]
    pub(crate) unsafe fn add(
        &mut self,
        s: S,
        [even, odd]: [S::F; 2],
        inputs: &[*const u8; T],
        index: usize,
    ) {
        unrolled!(t < T, {
            let x = inputs[t].wrapping_add(8 * index);
            // SAFETY: the caller vouches for the row.
            self.even[t] = s.fma(even, s.splat(unsafe { read(x) }), self.even[t]);
            // SAFETY: as above.
            self.odd[t] = s.fma(odd, s.splat(unsafe { read(x.wrapping_add(4)) }), self.odd[t]);
        });
    }

    #[inline(always)]
    pub(crate) fn total(self, s: S) -> [S::F; T] {
        let mut sums = self.even;
        unrolled!(t < T, {
            sums[t] = s.add(self.even[t], self.odd[t]);
        });
        sums
    }
}

/// One value of a prepared row. Two apart, because of one load of both, either would have to be
/// broadcast from an integer register.
///
/// # Safety
/// `at` must be valid for reads of 4 bytes.
#[inline(always)]
unsafe fn read(at: *const u8) -> f32 {
    // SAFETY: the caller vouches for the bytes.
    f32::from_le_bytes(unsafe { *at.cast() })
}
