//! Many tokens at once: weights are unpacked once into a panel that all tokens read.
//!
//! For one token, codes go from memory to the sum as they are packed. For many, taking them apart
//! costs as much as multiplying them, and inputs no longer fit the nearest cache; so some parts of
//! some row groups are unpacked to bytes and f32 scales, as large as that cache allows, and every
//! token is multiplied with them before the next parts are. Formats then differ in how scales are
//! used, and on some CPUs in the width of codes, and share the products that are compiled once for
//! each such kind. Sums wait in the outputs. Each lane goes through the operations of
//! [`super::add_part`] in their order, so its bits are the same.

use std::cell::UnsafeCell;
use std::ops::Range;
use std::slice::from_raw_parts;

use super::input::InputPart;
use super::{
    BlockFormat, Blocks, PART, Scales, WORDS, body_bytes, input_parts, most, unit_bytes, unpacked,
};
use crate::isa::Kernel;
use crate::simd::{Lanes, PanelCodes, Simd};
use crate::tile::{MatmulTile, PREFETCH_BYTES, ROW_GROUP, Strip, unrolled};

/// Parts of a row that are unpacked together.
const PARTS: usize = 8;
/// Row groups that are unpacked together for few tokens, whose inputs stay in the nearest cache, and
/// for many: each part of an input that is read serves all of them.
const FEW_GROUPS: usize = 2;
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
    /// The bits of codes; their zero is 128 where all formats are multiplied alike.
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
    let together = if tile.token_count < MANY_TOKENS { FEW_GROUPS } else { GROUPS };
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
            let zero = if S::ANY_CODES { 128 } else { F::ZERO };
            let at = Place { tile, panels, part: first, part_count: range.len(), row, zero };
            match panel_bits::<S, F>() {
                ..=4 => products::<S, F, 4>(s, at),
                5 => products::<S, F, 5>(s, at),
                6 => products::<S, F, 6>(s, at),
                7 => products::<S, F, 7>(s, at),
                _ => products::<S, F, 8>(s, at),
            }
        }
    }
}

/// Bits that the codes in a panel need.
fn panel_bits<S: Simd, F: BlockFormat>() -> u32 {
    match most::<F>() {
        Some(most) if !S::ANY_CODES => u8::BITS - most.leading_zeros(),
        _ => u8::BITS,
    }
}

/// One of the kernels that all formats share.
#[inline(always)]
fn products<S: Simd, F: BlockFormat, const BITS: u32>(s: S, at: Place<'_>) {
    match (F::Scales::PER_PART, F::Scales::HAS_MIN) {
        (1, false) => s.apart(Products::<1, false, BITS>(at)),
        (1, true) => s.apart(Products::<1, true, BITS>(at)),
        (_, false) => s.apart(Products::<2, false, BITS>(at)),
        (_, true) => s.apart(Products::<2, true, BITS>(at)),
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
    // No byte carries into the next: codes are below 128 where this adds anything.
    let shift = if S::ANY_CODES { 128 - F::ZERO } else { 0 };
    let shift = s.splat_i32(i32::from_le_bytes([shift as u8; 4]));
    for (word, out) in unpacked::<S, F>(s, body).into_iter().zip(&mut out.words) {
        s.store(s.as_f32(s.add_i32(word, shift)), &mut out.0);
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
    /// The code that stands for zero.
    zero: i32,
}

/// Adds the products of panels and all tokens to the outputs; made by [`multiply`] only, whose
/// caller vouches for the tile. Parts have `HALVES` scales, and codes `BITS` bits.
struct Products<'a, const HALVES: usize, const MINS: bool, const BITS: u32>(Place<'a>);

impl<const HALVES: usize, const MINS: bool, const BITS: u32> Kernel
    for Products<'_, HALVES, MINS, BITS>
{
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, s: S) {
        let count = self.0.tile.token_count;
        let mut token = 0;
        while token < count {
            // Each arm takes no more tokens than there are; eight are better as four and four.
            token += match count - token {
                // SAFETY: see `Products`.
                6 | 9.. if BITS < 8 || S::ANY_CODES => unsafe { self.add::<S, 6>(s, token) },
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

impl<const HALVES: usize, const MINS: bool, const BITS: u32> Products<'_, HALVES, MINS, BITS> {
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
        let (pairs, rest) =
            if S::PANEL_GROUPS == 2 { at.panels.as_chunks::<2>() } else { (&[][..], at.panels) };
        for pair in pairs {
            // SAFETY: passed on to the caller.
            unsafe { self.add_groups(s, pair, inputs, outputs) };
            outputs = outputs.map(|output| output.wrapping_add(2 * ROW_GROUP));
        }
        for panel in rest {
            // SAFETY: as above.
            unsafe { self.add_groups(s, std::array::from_ref(panel), inputs, outputs) };
            outputs = outputs.map(|output| output.wrapping_add(ROW_GROUP));
        }
        T
    }

    /// # Safety
    /// Inputs must be prepared rows, and outputs have room for the rows of the panels.
    #[inline(always)]
    unsafe fn add_groups<S: Simd, const T: usize, const G: usize>(
        &self,
        s: S,
        panels: &[Panel; G],
        inputs: [*const u8; T],
        outputs: [*mut f32; T],
    ) {
        let at = self.0;
        let mut sums = [[s.splat(0.0); T]; G];
        if at.part > 0 {
            for (g, sums) in sums.iter_mut().enumerate() {
                for t in 0..T {
                    let output = outputs[t].wrapping_add(g * ROW_GROUP);
                    // SAFETY: sixteen rows of this token, which no other thread has.
                    sums[t] = s.load_f32(unsafe { &*output.cast() });
                }
            }
        }
        for i in 0..at.part_count {
            // SAFETY: a prepared row has all parts that packed rows have.
            let x = unsafe { input_parts(&inputs, at.part + i) };
            self.add_part(s, panels.each_ref().map(|p| &p[i]), x, &mut sums);
        }
        for (g, sums) in sums.iter().enumerate() {
            for t in 0..T {
                let output = outputs[t].wrapping_add(g * ROW_GROUP);
                // SAFETY: as above.
                s.store(sums[t], unsafe { &mut *output.cast() });
            }
        }
    }

    /// As the function of that name for packed parts, for `G` row groups.
    #[inline(always)]
    fn add_part<S: Simd, const T: usize, const G: usize>(
        &self,
        s: S,
        parts: [&PanelPart; G],
        x: [&InputPart; T],
        sums: &mut [[S::F; T]; G],
    ) {
        let most = (BITS < 8).then_some(((1_u16 << BITS) - 1) as u8);
        for half in 0..HALVES {
            let start =
                x.map(|x| self.zero_at(if HALVES == 1 { x.start() } else { x.half_start(half) }));
            let words = parts.map(|part| &part.words);
            let dots = if HALVES == 1 {
                s.panel_dots(start, PanelCodes { words, most }, x.map(InputPart::values))
            } else {
                let words = words.map(|words| &words.as_chunks::<{ WORDS / 2 }>().0[half]);
                let x = x.map(|x| &x.values().as_chunks::<{ WORDS / 2 }>().0[half]);
                s.panel_dots(start, PanelCodes { words, most }, x)
            };
            unrolled!(t < T, {
                let x_scale = s.splat(x[t].scale());
                unrolled!(g < G, {
                    let factor = s.mul(s.load_f32(&parts[g].scales[half].0), x_scale);
                    sums[g][t] = s.fma(factor, s.to_f32(dots[g][t]), sums[g][t]);
                });
            });
            if MINS {
                unrolled!(t < T, {
                    let sum =
                        if HALVES == 1 { x[t].scaled_sum() } else { x[t].scaled_half_sum(half) };
                    unrolled!(g < G, {
                        let minus_min = s.load_f32(&parts[g].minus_mins[half].0);
                        sums[g][t] = s.fma(minus_min, s.splat(sum), sums[g][t]);
                    });
                });
            }
        }
    }

    /// `start`, which moves the zero of codes to 128, so that it moves it to that of the panel.
    #[inline(always)]
    fn zero_at(&self, start: i32) -> i32 {
        if BITS == 8 { start } else { (start >> 7) * self.0.zero }
    }
}
