//! Block dtypes: integer codes with scales, multiplied as integers.
//!
//! Every format is brought to one shape: parts of 32 codes per row with a scale (or two) and
//! perhaps a minimum. A packed row group is a run of units: a header with the scales of some
//! parts of all sixteen rows, then a body of codes for each part. One kernel serves all formats;
//! a format only says where its codes and scales are. It must not saturate or reorder: the dot
//! of a part is an exact integer, and parts are added in order with one fused multiply-add each.

mod codes;
mod input;
mod k_scales;
mod pair_scales;
mod q4_0;
mod q4_k;
mod q5_0;
mod q5_k;
mod q6_k;
mod q8_0;

use std::marker::PhantomData;

pub(crate) use input::{input_bytes, prepare_input};
pub(crate) use q4_0::Q40;
pub(crate) use q4_k::Q4K;
pub(crate) use q5_0::Q50;
pub(crate) use q5_k::Q5K;
pub(crate) use q6_k::Q6K;
pub(crate) use q8_0::Q80;

use crate::simd::Simd;
use crate::tile::{PREFETCH_BYTES, ROW_GROUP, Strip};
use input::InputPart;

/// Values of a part: what one activation scale covers.
pub(crate) const PART: usize = 32;

/// What one block dtype has of its own.
pub(crate) trait BlockFormat: 'static {
    const NAME: &'static str;
    /// Values per block.
    const LEN: usize;
    /// Bytes per block.
    const BYTES: usize;
    /// Bits per code: 4, 5, 6 or 8.
    const BITS: usize;
    /// The code that stands for zero.
    const ZERO: i32;
    const QUANTIZE: Option<fn(&[f32], &mut [u8])>;
    type Scales: Scales;

    /// The codes of one part of a block.
    fn codes(block: &[u8], part: usize) -> [u8; PART];
}

/// Where a format keeps its scales, in the file and in a packed header.
pub(crate) trait Scales: 'static {
    /// Bytes of a packed header, a multiple of 64.
    const HEADER: usize;
    /// Parts that share a header.
    const PARTS: usize;
    /// Scales per part: 1, or 2 for one per 16 values.
    const PER_PART: usize;
    /// Whether a part has a minimum to subtract.
    const HAS_MIN: bool;

    fn read(block: &[u8], part: usize) -> PartScales;
    /// Writes the scales of `block`, whose first part is part `part` of the unit, for row `lane`.
    fn pack(block: &[u8], lane: usize, part: usize, header: &mut [u8]);
    /// Scale `half` of a part for all rows; it must equal what [`Scales::read`] gives.
    fn scale<S: Simd>(s: S, header: &[u8], part: usize, half: usize) -> S::F;
    /// The minimum of a part for all rows, if [`Scales::HAS_MIN`].
    fn min<S: Simd>(s: S, header: &[u8], part: usize) -> S::F;
}

/// Factors of one part of one row: value = scale * (code - zero) - min.
pub(crate) struct PartScales {
    /// One for each half of the part.
    scales: [f32; 2],
    min: f32,
}

/// The strip of a block format.
pub(crate) struct Blocks<F>(PhantomData<F>);

const fn body_bytes<F: BlockFormat>() -> usize {
    PART * ROW_GROUP * F::BITS / 8
}

const fn unit_bytes<F: BlockFormat>(parts: usize) -> usize {
    F::Scales::HEADER + parts * body_bytes::<F>()
}

/// `N` bytes of a header or body; lengths are fixed by the layout, so the check folds away.
#[inline(always)]
fn piece<const N: usize>(bytes: &[u8], at: usize) -> &[u8; N] {
    bytes[at..].first_chunk().expect("headers and bodies have their full length")
}

pub(crate) fn dequantize<F: BlockFormat>(src: &[u8], dst: &mut [f32]) {
    for (block, values) in src.chunks_exact(F::BYTES).zip(dst.chunks_exact_mut(F::LEN)) {
        for (part, values) in values.chunks_exact_mut(PART).enumerate() {
            let factors = F::Scales::read(block, part);
            let codes = F::codes(block, part);
            for (i, (value, code)) in values.iter_mut().zip(codes).enumerate() {
                let scaled = factors.scales[2 * i / PART] * (i32::from(code) - F::ZERO) as f32;
                *value = if F::Scales::HAS_MIN { scaled - factors.min } else { scaled };
            }
        }
    }
}

pub(crate) fn pack_group<F: BlockFormat>(rows: &[u8], k: usize, group: &mut [u8]) {
    let parts_per_block = F::LEN / PART;
    let blocks_per_unit = F::Scales::PARTS / parts_per_block;
    for (lane, row) in rows.chunks_exact(k / F::LEN * F::BYTES).enumerate() {
        let units = group.chunks_mut(unit_bytes::<F>(F::Scales::PARTS));
        for (unit, blocks) in units.zip(row.chunks(blocks_per_unit * F::BYTES)) {
            let (header, bodies) = unit.split_at_mut(F::Scales::HEADER);
            for (index, block) in blocks.chunks_exact(F::BYTES).enumerate() {
                let first = index * parts_per_block;
                F::Scales::pack(block, lane, first, header);
                for part in 0..parts_per_block {
                    let body = &mut bodies[(first + part) * body_bytes::<F>()..];
                    codes::pack(F::BITS, &F::codes(block, part), lane, body);
                }
            }
        }
    }
}

impl<F: BlockFormat> Strip for Blocks<F> {
    fn group_bytes(k: usize) -> usize {
        let parts = k / PART;
        parts.div_ceil(F::Scales::PARTS) * F::Scales::HEADER + parts * body_bytes::<F>()
    }

    #[inline(always)]
    unsafe fn run<S: Simd, const T: usize>(
        s: S,
        group: *const u8,
        k: usize,
        inputs: [*const u8; T],
        cold: bool,
    ) -> [S::F; T] {
        let mut sums = [s.splat(0.0); T];
        let parts = k / PART;
        let mut unit = group;
        for first in (0..parts).step_by(F::Scales::PARTS) {
            // SAFETY: a unit begins with its header, and the caller gives whole groups.
            let header = unsafe { std::slice::from_raw_parts(unit, F::Scales::HEADER) };
            let count = F::Scales::PARTS.min(parts - first);
            for part in 0..count {
                // SAFETY: the unit has a body for each of its `count` parts.
                let at = unsafe { unit.add(unit_bytes::<F>(part)) };
                // SAFETY: as above; nobody writes packed weights while they are multiplied.
                let body = unsafe { std::slice::from_raw_parts(at, body_bytes::<F>()) };
                if cold {
                    for line in (0..body_bytes::<F>()).step_by(64) {
                        s.prefetch(at.wrapping_add(PREFETCH_BYTES + line));
                    }
                }
                // SAFETY: the caller gives prepared rows, which have a part for each 32 values.
                let x = unsafe { input_parts(&inputs, first + part) };
                add_part::<S, F, T>(s, Packed { header, body, part }, x, &mut sums);
            }
            unit = unit.wrapping_add(unit_bytes::<F>(count));
        }
        sums
    }
}

/// # Safety
/// Each of `rows` must be a prepared row with more than `index` parts, valid for the call.
#[inline(always)]
unsafe fn input_parts<'a, const T: usize>(
    rows: &[*const u8; T],
    index: usize,
) -> [&'a InputPart; T] {
    let mut parts = [InputPart::ZERO; T];
    for t in 0..T {
        let at = rows[t].wrapping_add(index * size_of::<InputPart>());
        // SAFETY: the caller vouches for the row; `InputPart` is bytes, so any alignment will do.
        parts[t] = unsafe { &*at.cast::<InputPart>() };
    }
    parts
}

#[derive(Clone, Copy)]
struct Packed<'a> {
    header: &'a [u8],
    body: &'a [u8],
    /// Index of the part in its unit.
    part: usize,
}

/// Adds one part of sixteen rows for each token.
#[inline(always)]
fn add_part<S: Simd, F: BlockFormat, const T: usize>(
    s: S,
    packed: Packed<'_>,
    x: [&InputPart; T],
    sums: &mut [S::F; T],
) {
    let codes = codes::unpack(s, F::BITS, packed.body);
    let low = F::Scales::scale(s, packed.header, packed.part, 0);
    if F::Scales::PER_PART == 1 {
        for t in 0..T {
            let scale = s.mul(low, s.splat(x[t].scale()));
            let start = start::<S, F>(s, x[t].sum(0) + x[t].sum(1));
            let sum = dot::<S, F>(s, start, &codes, x[t].values());
            sums[t] = s.fma(scale, s.to_f32(sum), sums[t]);
        }
    } else {
        let high = F::Scales::scale(s, packed.header, packed.part, 1);
        for t in 0..T {
            let x_scale = s.splat(x[t].scale());
            for (half, scale) in [low, high].into_iter().enumerate() {
                let start = start::<S, F>(s, x[t].sum(half));
                let x_half = &x[t].values()[4 * half..4 * half + 4];
                let sum = dot::<S, F>(s, start, &codes[4 * half..4 * half + 4], x_half);
                sums[t] = s.fma(s.mul(scale, x_scale), s.to_f32(sum), sums[t]);
            }
        }
    }
    if F::Scales::HAS_MIN {
        let minus = s.sub(s.splat(0.0), F::Scales::min(s, packed.header, packed.part));
        for t in 0..T {
            sums[t] = s.fma(minus, s.splat(x[t].scaled_sum()), sums[t]);
        }
    }
}

/// What a chain of dots begins with, so that codes count from the format's zero.
#[inline(always)]
fn start<S: Simd, F: BlockFormat>(s: S, x_sum: i32) -> S::I {
    if F::BITS == 8 { s.signed_start(x_sum) } else { s.splat_i32(-F::ZERO * x_sum) }
}

#[inline(always)]
fn dot<S: Simd, F: BlockFormat>(s: S, start: S::I, codes: &[S::I], x: &[[u8; 4]]) -> S::I {
    let mut sum = start;
    for i in 0..codes.len() {
        let x = i32::from_le_bytes(x[i]);
        sum = if F::BITS == 8 { s.dot_signed(sum, codes[i], x) } else { s.dot(sum, codes[i], x) };
    }
    sum
}
