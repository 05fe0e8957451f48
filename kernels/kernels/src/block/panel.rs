//! Many tokens at once: weights are unpacked once into a panel that all tokens read.
//!
//! For one token, codes go from memory to the sum as they are packed. For many, taking them apart
//! costs as much as multiplying them, and inputs no longer fit the nearest cache; so some parts of
//! some row groups are unpacked to bytes and f32 scales, as large as that cache allows, and every
//! token is multiplied with them before the next parts are. Only how scales are used tells formats
//! apart then: the products are compiled once for all of them. Sums wait in the outputs. Each lane
//! goes through the operations of [`super::add_part`] in their order, so its bits are the same.

use std::cell::UnsafeCell;
use std::ops::Range;
use std::slice::from_raw_parts;

use super::input::InputPart;
use super::{BlockFormat, Blocks, PART, Scales, WORDS, body_bytes, codes, input_parts, unit_bytes};
use crate::isa::Kernel;
use crate::simd::{Lanes, Simd};
use crate::tile::{MatmulTile, PREFETCH_BYTES, ROW_GROUP, Strip, unrolled};

/// Parts of a row that are unpacked together.
const PARTS: usize = 16;
/// Row groups that are unpacked together for many tokens: each input that is read serves all of
/// them. The inputs of few tokens stay in the nearest cache, which one row group leaves room for.
const GROUPS: usize = 4;
const MANY_TOKENS: usize = 32;

/// Some parts of one row group.
type Panel = [PanelPart; PARTS];

thread_local! {
    /// Kept, because filling them with zeros first takes as long as some tokens.
    static PANELS: UnsafeCell<[Panel; GROUPS]> = const {
        let zero = [Lanes::ZERO; 2];
        let words = [Lanes::ZERO; WORDS];
        UnsafeCell::new([[PanelPart { words, scales: zero, minus_mins: zero }; PARTS]; GROUPS])
    };
}

/// One part of sixteen rows, each vector on a cache line of its own.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct PanelPart {
    /// The bits of codes whose zero is 128.
    words: [Lanes; WORDS],
    /// One for each half of the part, or one.
    scales: [Lanes; 2],
    minus_mins: [Lanes; 2],
}

/// All tokens of a tile times some of its row groups, which must be whole.
///
/// # Safety
/// The pointers of `tile` must be valid for its shape, and `groups` inside it.
#[inline(always)]
pub(super) unsafe fn multiply<S: Simd, F: BlockFormat>(
    s: S,
    tile: &MatmulTile,
    groups: Range<usize>,
) {
    let group_bytes = <Blocks<F> as Strip>::group_bytes(tile.k);
    let parts = tile.k / PART;
    let panels = PANELS.with(UnsafeCell::get);
    // SAFETY: this thread has them alone, and nothing below calls this function.
    let panels = unsafe { &mut *panels };
    let together = if tile.token_count < MANY_TOKENS { 1 } else { GROUPS };
    for group in groups.clone().step_by(together) {
        let panels = &mut panels[..together.min(groups.end - group)];
        let row = group * ROW_GROUP;
        for first in (0..parts).step_by(PARTS) {
            let range = first..parts.min(first + PARTS);
            for (i, panel) in panels.iter_mut().enumerate() {
                let packed = tile.weights.wrapping_add((group + i) * group_bytes);
                // SAFETY: the caller says that this group lies inside the packed weights.
                unsafe { unpack::<S, F>(s, packed, range.clone(), panel) };
            }
            let at = Place { tile, panels, part: first, part_count: range.len(), row };
            match (F::Scales::PER_PART, F::Scales::HAS_MIN) {
                (1, false) => s.apart(Products::<1, false>(at)),
                (1, true) => s.apart(Products::<1, true>(at)),
                (_, false) => s.apart(Products::<2, false>(at)),
                (_, true) => s.apart(Products::<2, true>(at)),
            }
        }
    }
}

/// # Safety
/// `group` must be a whole packed row group with the parts of `range`.
#[inline(always)]
unsafe fn unpack<S: Simd, F: BlockFormat>(
    s: S,
    group: *const u8,
    range: Range<usize>,
    panel: &mut Panel,
) {
    for (index, out) in range.zip(panel) {
        let (unit, part) = (index / F::Scales::PARTS, index % F::Scales::PARTS);
        let unit = group.wrapping_add(unit * unit_bytes::<F>(F::Scales::PARTS));
        let at = unit.wrapping_add(unit_bytes::<F>(part));
        for line in (0..body_bytes::<F>()).step_by(64) {
            s.prefetch(at.wrapping_add(PREFETCH_BYTES + line));
        }
        // SAFETY: a unit begins with its header, and the caller says that this one is there.
        let header = unsafe { from_raw_parts(unit, F::Scales::HEADER) };
        // SAFETY: as above; nobody writes packed weights while they are multiplied.
        let body = unsafe { from_raw_parts(at, body_bytes::<F>()) };
        unpack_part::<S, F>(s, header, body, part, out);
    }
}

#[inline(always)]
fn unpack_part<S: Simd, F: BlockFormat>(
    s: S,
    header: &[u8],
    body: &[u8],
    part: usize,
    out: &mut PanelPart,
) {
    let mut words = codes::unpack(s, F::BITS, body);
    if let Some(table) = &F::TABLE {
        words.iter_mut().for_each(|word| *word = s.lookup(table, *word));
    }
    // No byte carries into the next: codes are below 128 where this adds anything.
    let shift = s.splat_i32(i32::from_le_bytes([(128 - F::ZERO) as u8; 4]));
    for (word, out) in words.iter().zip(&mut out.words) {
        s.store(s.as_f32(s.add_i32(*word, shift)), &mut out.0);
    }
    for half in 0..F::Scales::PER_PART {
        s.store(F::Scales::scale(s, header, part, half), &mut out.scales[half].0);
        if F::Scales::HAS_MIN {
            let min = F::Scales::min(s, header, part, half);
            s.store(s.sub(s.splat(0.0), min), &mut out.minus_mins[half].0);
        }
    }
}

/// Where products belong.
#[derive(Clone, Copy)]
struct Place<'a> {
    tile: &'a MatmulTile,
    panels: &'a [Panel],
    /// First of the parts that are in the panels, and their count.
    part: usize,
    part_count: usize,
    /// First row of the panels.
    row: usize,
}

/// Adds the products of panels and all tokens to the outputs; made by [`multiply`] only, whose
/// caller vouches for the tile. Parts have `HALVES` scales.
struct Products<'a, const HALVES: usize, const MINS: bool>(Place<'a>);

impl<const HALVES: usize, const MINS: bool> Kernel for Products<'_, HALVES, MINS> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, s: S) {
        let count = self.0.tile.token_count;
        let mut token = 0;
        while token < count {
            // Each arm takes no more tokens than there are.
            token += match count - token {
                // SAFETY: see `Products`.
                8.. => unsafe { self.add::<S, 8>(s, token) },
                // SAFETY: as above.
                4.. => unsafe { self.add::<S, 4>(s, token) },
                // SAFETY: as above.
                2.. => unsafe { self.add::<S, 2>(s, token) },
                // SAFETY: as above.
                _ => unsafe { self.add::<S, 1>(s, token) },
            };
        }
    }
}

impl<const HALVES: usize, const MINS: bool> Products<'_, HALVES, MINS> {
    /// Adds those of `T` tokens and gives `T`.
    ///
    /// # Safety
    /// The tile's pointers must be valid, and the rows of the panels and the tokens inside it.
    #[inline(always)]
    unsafe fn add<S: Simd, const T: usize>(&self, s: S, token: usize) -> usize {
        let at = self.0;
        let (mut inputs, mut outputs) = ([at.tile.inputs; T], [at.tile.output; T]);
        for t in 0..T {
            inputs[t] = at.tile.inputs.wrapping_add((token + t) * at.tile.input_stride);
            outputs[t] = at.tile.output.wrapping_add((token + t) * at.tile.output_stride + at.row);
        }
        for panel in at.panels {
            let mut sums = [s.splat(0.0); T];
            if at.part > 0 {
                for t in 0..T {
                    // SAFETY: sixteen rows of this token, which no other thread has.
                    sums[t] = s.load_f32(unsafe { &*outputs[t].cast() });
                }
            }
            for (i, part) in panel[..at.part_count].iter().enumerate() {
                // SAFETY: a prepared row has all parts that packed rows have.
                let x = unsafe { input_parts(&inputs, at.part + i) };
                add_part::<S, T, HALVES, MINS>(s, part, x, &mut sums);
            }
            for t in 0..T {
                // SAFETY: as above.
                s.store(sums[t], unsafe { &mut *outputs[t].cast() });
                outputs[t] = outputs[t].wrapping_add(ROW_GROUP);
            }
        }
        T
    }
}

/// As the function of that name for packed parts.
#[inline(always)]
fn add_part<S: Simd, const T: usize, const HALVES: usize, const MINS: bool>(
    s: S,
    part: &PanelPart,
    x: [&InputPart; T],
    sums: &mut [S::F; T],
) {
    let span = WORDS / HALVES;
    for half in 0..HALVES {
        let mut dots = [s.splat_i32(0); T];
        unrolled!(t < T, {
            let start = if HALVES == 1 { x[t].start() } else { x[t].half_start(half) };
            dots[t] = s.signed_start(s.splat_i32(start));
        });
        unrolled!(word < WORDS, {
            if word / span == half {
                let codes = s.as_bits(s.load_f32(&part.words[word].0));
                unrolled!(t < T, {
                    let values = i32::from_le_bytes(x[t].values()[word]);
                    dots[t] = s.dot_signed(dots[t], codes, values);
                });
                dots = s.in_order(dots);
            }
        });
        let scale = s.load_f32(&part.scales[half].0);
        unrolled!(t < T, {
            let factor = s.mul(scale, s.splat(x[t].scale()));
            sums[t] = s.fma(factor, s.to_f32(dots[t]), sums[t]);
        });
        if MINS {
            let minus_min = s.load_f32(&part.minus_mins[half].0);
            unrolled!(t < T, {
                let sum = if HALVES == 1 { x[t].scaled_sum() } else { x[t].scaled_half_sum(half) };
                sums[t] = s.fma(minus_min, s.splat(sum), sums[t]);
            });
        }
    }
}
