//! Block dtypes: integer codes with scales, multiplied as integers.
//!
//! Every format is brought to one shape: parts of 32 codes per row with a scale (or two) and
//! perhaps a minimum. A packed row group is a run of units: a header with the scales of some
//! parts of all sixteen rows, then a body of codes for each part. One kernel serves all formats;
//! a format only says where its codes and scales are. It must not saturate or reorder: the dot
//! of a part is an exact integer, and parts are added in order with one fused multiply-add each.

mod affine;
mod afq;
mod codes;
mod hqq;
mod input;
mod int4;
mod iq1_grid;
mod iq1_m;
mod iq1_s;
mod iq2_grids;
mod iq2_s;
mod iq2_xs;
mod iq2_xxs;
mod iq3_grids;
mod iq3_s;
mod iq3_xxs;
mod iq4_nl;
mod iq4_xs;
mod k_scales;
mod min_scales;
mod multiples;
mod mxfp4;
mod pair_scales;
mod panel;
mod points;
mod q2_k;
mod q3_k;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;
mod tq1_0;
mod tq2_0;

use std::marker::PhantomData;
use std::ops::Range;

pub(crate) use affine::Affine;
pub(crate) use afq::Afq;
pub(crate) use hqq::Hqq;
pub(crate) use input::{input_bytes, prepare_input};
pub(crate) use int4::Int4;
pub(crate) use iq1_m::Iq1M;
pub(crate) use iq1_s::Iq1S;
pub(crate) use iq2_s::Iq2S;
pub(crate) use iq2_xs::Iq2Xs;
pub(crate) use iq2_xxs::Iq2Xxs;
pub(crate) use iq3_s::Iq3S;
pub(crate) use iq3_xxs::Iq3Xxs;
pub(crate) use iq4_nl::Iq4Nl;
pub(crate) use iq4_xs::Iq4Xs;
pub(crate) use mxfp4::Mxfp4;
pub(crate) use q2_k::Q2K;
pub(crate) use q3_k::Q3K;
pub(crate) use q4_0::Q40;
pub(crate) use q4_1::Q41;
pub(crate) use q4_k::Q4K;
pub(crate) use q5_0::Q50;
pub(crate) use q5_1::Q51;
pub(crate) use q5_k::Q5K;
pub(crate) use q6_k::Q6K;
pub(crate) use q8_0::Q80;
pub(crate) use tq1_0::Tq10;
pub(crate) use tq2_0::Tq20;

use crate::isa::{Isa, Kernel, dispatch};
use crate::quantize::Quantize;
use crate::simd::{Codes, Simd};
use crate::tile::{MatmulTile, PREFETCH_BYTES, ROW_GROUP, Strip, unrolled};
use input::InputPart;

/// Values of a part: what one activation scale covers.
pub(crate) const PART: usize = 32;

/// Words of four codes in a part.
pub(crate) const WORDS: usize = PART / 4;

/// What one block dtype has of its own.
pub(crate) trait BlockFormat: 'static {
    const NAME: &'static str;
    /// Values per block.
    const LEN: usize;
    /// Bytes per block.
    const BYTES: usize;
    /// Bits per code: 2, 3, 4, 5, 6 or 8.
    const BITS: usize;
    /// The code that stands for zero: 0 or a power of two, and 128 if there are codes above 127.
    const ZERO: i32;
    /// How values are written, if they can be.
    const QUANTIZE: Option<Quantize> = None;
    /// What codes of at most 4 bits stand for, if not for themselves; [`BlockFormat::ZERO`] counts
    /// in these.
    const TABLE: Option<[u8; 16]> = None;
    type Scales: Scales;

    /// The codes of one part of a block, four to a word in the order of their values.
    fn codes(block: &[u8], part: usize) -> [u32; WORDS];
}

/// Where a format keeps its scales, in the file and in a packed header.
pub(crate) trait Scales: 'static {
    /// Bytes of a packed header, a multiple of 64.
    const HEADER: usize;
    /// Parts that share a header.
    const PARTS: usize;
    /// Scales per part: 1, or 2 for one per 16 values.
    const PER_PART: usize;
    /// Whether each scale has a minimum to subtract.
    const HAS_MIN: bool;

    fn read(block: &[u8], part: usize) -> PartScales;
    /// Writes the scales of `block`, whose first part is part `part` of the unit, for row `lane`.
    fn pack(block: &[u8], lane: usize, part: usize, header: &mut [u8]);
    /// Scale `half` of a part for all rows; it must equal what [`Scales::read`] gives.
    fn scale<S: Simd>(s: S, header: &[u8], part: usize, half: usize) -> S::F;
    /// The minimum that goes with a scale, for all rows, if [`Scales::HAS_MIN`].
    #[inline(always)]
    fn min<S: Simd>(s: S, _header: &[u8], _part: usize, _half: usize) -> S::F {
        s.splat(0.0)
    }
}

/// Factors of one part of one row: value = scale * (code - zero) - min.
pub(crate) struct PartScales {
    /// One of each for each half of the part.
    scales: [f32; 2],
    mins: [f32; 2],
}

/// The strip of a block format.
pub(crate) struct Blocks<F>(PhantomData<F>);

const fn body_bytes<F: BlockFormat>() -> usize {
    PART * ROW_GROUP * F::BITS / 8
}

const fn unit_bytes<F: BlockFormat>(parts: usize) -> usize {
    F::Scales::HEADER + parts * body_bytes::<F>()
}

/// `N` little-endian words from byte `at`, checked once so that loops over them vectorise.
#[inline(always)]
fn words<const N: usize>(bytes: &[u8], at: usize) -> [u32; N] {
    let (words, _) = bytes[at..][..4 * N].as_chunks::<4>();
    std::array::from_fn(|i| u32::from_le_bytes(words[i]))
}

/// `N` elements of a header, a body or a row; lengths are fixed by the layout, so the check folds away.
#[inline(always)]
fn piece<T, const N: usize>(bytes: &[T], at: usize) -> &[T; N] {
    bytes[at..].first_chunk().expect("layouts have their full length")
}

pub(crate) fn dequantize<F: BlockFormat>(src: &[u8], dst: &mut [f32]) {
    for (block, values) in src.chunks_exact(F::BYTES).zip(dst.chunks_exact_mut(F::LEN)) {
        for (part, values) in values.chunks_exact_mut(PART).enumerate() {
            let factors = F::Scales::read(block, part);
            let codes = F::codes(block, part).map(u32::to_le_bytes);
            for (i, (value, code)) in values.iter_mut().zip(codes.as_flattened()).enumerate() {
                let half = 2 * i / PART;
                let code = F::TABLE.map_or(*code, |table| table[usize::from(*code)]);
                let scaled = factors.scales[half] * (i32::from(code) - F::ZERO) as f32;
                *value = if F::Scales::HAS_MIN { scaled - factors.mins[half] } else { scaled };
            }
        }
    }
}

pub(crate) fn pack_group<F: BlockFormat>(rows: &[u8], k: usize, group: &mut [u8]) {
    dispatch(Isa::detect(), PackGroup { rows, k, group, format: PhantomData::<F> });
}

struct PackGroup<'a, F> {
    rows: &'a [u8],
    k: usize,
    group: &'a mut [u8],
    format: PhantomData<F>,
}

impl<F: BlockFormat> Kernel for PackGroup<'_, F> {
    type Output = ();

    /// Unit by unit, so that each is written while it is in the nearest cache.
    #[inline(always)]
    fn call<S: Simd>(self, _s: S) {
        let row_bytes = self.k / F::LEN * F::BYTES;
        let run_bytes = F::Scales::PARTS * PART / F::LEN * F::BYTES;
        let units = self.group.chunks_mut(unit_bytes::<F>(F::Scales::PARTS));
        for (index, unit) in units.enumerate() {
            for (lane, row) in self.rows.chunks_exact(row_bytes).enumerate() {
                let blocks = &row[index * run_bytes..row_bytes.min((index + 1) * run_bytes)];
                pack_unit::<F>(blocks, lane, unit);
            }
        }
    }
}

/// Writes the blocks of one row into a unit.
#[inline(always)]
fn pack_unit<F: BlockFormat>(blocks: &[u8], lane: usize, unit: &mut [u8]) {
    let (header, bodies) = unit.split_at_mut(F::Scales::HEADER);
    let parts = F::LEN / PART;
    let bodies = bodies.chunks_exact_mut(parts * body_bytes::<F>());
    for (index, (block, bodies)) in blocks.chunks_exact(F::BYTES).zip(bodies).enumerate() {
        F::Scales::pack(block, lane, index * parts, header);
        // A constant number of parts, so that the shifts of codes are constants too.
        for part in 0..parts {
            let body = &mut bodies[part * body_bytes::<F>()..][..body_bytes::<F>()];
            codes::pack(F::BITS, &F::codes(block, part), lane, body);
        }
    }
}

impl<F: BlockFormat> Strip for Blocks<F> {
    fn tokens<S: Simd>() -> usize {
        S::TOKENS.min(S::PANEL_TOKENS_MIN - 1)
    }

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

    #[inline(always)]
    unsafe fn many<S: Simd>(s: S, tile: &MatmulTile, groups: Range<usize>) -> usize {
        if S::PANEL_TOKENS_MIN == usize::MAX {
            return groups.start;
        }
        // SAFETY: passed on to the caller.
        unsafe { panel::multiply::<S, F>(s, tile, groups.clone()) };
        groups.end
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

/// The codes of one part of sixteen rows, as what they stand for.
#[inline(always)]
fn unpacked<S: Simd, F: BlockFormat>(s: S, body: &[u8]) -> [S::I; WORDS] {
    let mut codes = codes::unpack(s, F::BITS, body);
    if let Some(table) = &F::TABLE {
        codes.iter_mut().for_each(|word| *word = s.lookup(table, *word));
    }
    codes
}

/// Adds one part of sixteen rows for each token.
#[inline(always)]
fn add_part<S: Simd, F: BlockFormat, const T: usize>(
    s: S,
    packed: Packed<'_>,
    x: [&InputPart; T],
    sums: &mut [S::F; T],
) {
    let codes = unpacked::<S, F>(s, packed.body);
    // The words under one scale. Tokens go innermost: their sums do not wait for each other.
    let span = WORDS / F::Scales::PER_PART;
    for half in 0..F::Scales::PER_PART {
        let scale = F::Scales::scale(s, packed.header, packed.part, half);
        let mut dots = [s.splat_i32(0); T];
        unrolled!(t < T, {
            let start = if span == WORDS { x[t].start() } else { x[t].half_start(half) };
            dots[t] = zero_at::<S, F>(s, start);
        });
        let dots = if span == WORDS {
            let x = x.map(InputPart::values);
            s.dots(dots, Codes { words: &codes, most: most::<F>() }, x)
        } else {
            let words = &codes.as_chunks::<{ WORDS / 2 }>().0[half];
            let x = x.map(|x| &x.values().as_chunks::<{ WORDS / 2 }>().0[half]);
            s.dots(dots, Codes { words, most: most::<F>() }, x)
        };
        unrolled!(t < T, {
            let factor = s.mul(scale, s.splat(x[t].scale()));
            sums[t] = s.fma(factor, s.to_f32(dots[t]), sums[t]);
        });
        if F::Scales::HAS_MIN {
            let min = F::Scales::min(s, packed.header, packed.part, half);
            let minus = s.sub(s.splat(0.0), min);
            unrolled!(t < T, {
                let sum = x[t].scaled_sum();
                let sum = if span == WORDS { sum } else { x[t].scaled_half_sum(half) };
                sums[t] = s.fma(minus, s.splat(sum), sums[t]);
            });
        }
    }
}

/// The greatest code of a format whose codes stay below 128.
const fn most<F: BlockFormat>() -> Option<u8> {
    if F::ZERO == 128 {
        return None;
    }
    let Some(table) = F::TABLE else { return Some(((1_u16 << F::BITS) - 1) as u8) };
    let (mut most, mut i) = (0, 0);
    while i < table.len() {
        if table[i] > most {
            most = table[i];
        }
        i += 1;
    }
    Some(most)
}

/// What a chain of dots begins with, so that codes count from the format's zero; `start` would move
/// it to 128.
#[inline(always)]
fn zero_at<S: Simd, F: BlockFormat>(s: S, start: i32) -> S::I {
    match F::ZERO {
        0 => s.splat_i32(0),
        128 => s.signed_start(s.splat_i32(start)),
        zero => s.splat_i32(start >> (128 / zero).trailing_zeros()),
    }
}
