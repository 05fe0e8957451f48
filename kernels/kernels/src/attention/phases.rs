//! The arithmetic of attention: scores, running softmax, weighted values.
//!
//! A group of positions goes through three phases for all its readers together: scores, softmax,
//! weighted values. Keys and values are widened to f32 sixteen positions at a time, once for all
//! readers, and stay in the nearest cache meanwhile. A position always has the same lane of the
//! same tile, the weight of a hidden one adds zero to the softmax sum, and weighted values are
//! added position by position: hidden positions around the seen ones leave no trace. It must not
//! let their elements, which may be anything, into a result, nor look at where runs end.

use std::ops::Range;

use super::group::{Group, Groups, TILES};
use super::{AttentionScratch, AttentionSpec, KvDtype, KvRun, QueryRows};
use crate::activation::{Map, Softcap};
use crate::isa::{Isa, Kernel, dispatch};
use crate::math::exp;
use crate::simd::{LANES, Lanes, Simd};

/// Chunks of lanes whose sums of values have room in registers together.
const WIDE: usize = 4;

/// Maximum of the scores so far and the sum of their exponentials relative to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SoftmaxState {
    most: f32,
    sum: f32,
    /// What the last group made of earlier sums.
    correction: f32,
}

pub(crate) struct Attend<'a, 'r> {
    pub(crate) spec: &'a AttentionSpec,
    pub(crate) kv: KvDtype,
    pub(crate) rows: QueryRows<'a>,
    pub(crate) runs: &'a mut dyn Iterator<Item = KvRun<'r>>,
    pub(crate) scratch: &'a mut AttentionScratch,
    pub(crate) out: &'a mut [f32],
}

impl Attend<'_, '_> {
    /// Not generic over the iterator, so that it is compiled here and not in every caller.
    pub(crate) fn run(self, isa: Isa) {
        dispatch(isa, self);
    }
}

impl Kernel for Attend<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, s: S) {
        let Attend { spec, kv, rows, runs, scratch, out } = self;
        begin(spec, rows, scratch);
        let row_bytes = kv.row_bytes(spec.head_dim).expect("a head of a query in memory is small");
        let mut groups = Groups::new(runs, rows, kv, row_bytes);
        while let Some(group) = groups.next() {
            score(s, spec, &group, scratch);
            weigh(s, spec, &group, scratch);
            accumulate(s, spec, &group, scratch);
        }
        finish(spec, scratch, out);
    }
}

/// Lanes that hold one head.
fn width(spec: &AttentionSpec) -> usize {
    spec.head_dim.div_ceil(LANES)
}

/// Sets up padded queries, with the scale in them, and empty sums.
#[inline(always)]
fn begin(spec: &AttentionSpec, rows: QueryRows<'_>, scratch: &mut AttentionScratch) {
    let width = width(spec);
    let heads = rows.visible.len() * spec.heads_per_kv;
    for lanes in [&mut scratch.query, &mut scratch.sums] {
        lanes.clear();
        lanes.resize(heads * width, Lanes::ZERO);
    }
    // Of these, only hidden positions are read before they are written.
    for lanes in [&mut scratch.keys, &mut scratch.values] {
        lanes.resize(LANES * width, Lanes::ZERO);
    }
    scratch.scores.resize(heads, [Lanes::ZERO; TILES]);
    let padded = scratch.query.chunks_exact_mut(width.max(1));
    for (padded, head) in padded.zip(rows.query.chunks_exact(spec.head_dim.max(1))) {
        for (padded, values) in padded.iter_mut().zip(head.chunks(LANES)) {
            for (padded, value) in padded.0.iter_mut().zip(values) {
                *padded = value * spec.scale;
            }
        }
    }
    scratch.states.clear();
    scratch.states.extend((0..heads).map(|head| {
        let (most, sum) = match rows.sink {
            Some(sink) => (sink[head % spec.heads_per_kv], 1.0),
            None => (f32::NEG_INFINITY, 0.0),
        };
        SoftmaxState { most, sum, correction: 1.0 }
    }));
}

/// The lanes of a tile that are among some places of its group.
#[inline(always)]
fn lanes(tile: usize, places: &Range<usize>) -> Range<usize> {
    let lane = |place: usize| place.saturating_sub(tile * LANES).min(LANES);
    lane(places.start)..lane(places.end)
}

/// First phase: the scores of every head with every position that one of its tiles has.
#[inline(always)]
fn score<S: Simd>(s: S, spec: &AttentionSpec, group: &Group<'_>, scratch: &mut AttentionScratch) {
    let width = width(spec);
    for tile in group.tiles() {
        group.widen(s, tile, |kv| kv.keys, &mut scratch.keys);
        for row in 0..group.visible.len() {
            if lanes(tile, &group.seen(row)).is_empty() {
                continue;
            }
            for head in row * spec.heads_per_kv..(row + 1) * spec.heads_per_kv {
                let query = &scratch.query[head * width..(head + 1) * width];
                let products = products(s, query, &scratch.keys);
                let bounded = match spec.softcap {
                    Some(cap) => Softcap(cap).apply(s, products),
                    None => products,
                };
                s.store(bounded, &mut scratch.scores[head][tile].0);
            }
        }
    }
}

/// The products of one query with sixteen keys.
#[inline(always)]
fn products<S: Simd>(s: S, query: &[Lanes], keys: &[Lanes]) -> S::F {
    let mut products = [s.splat(0.0); LANES];
    if S::FLOAT_TOKENS >= 8 {
        key_products::<S, LANES>(s, query, keys, &mut products, 0);
    } else {
        for first in (0..LANES).step_by(4) {
            key_products::<S, 4>(s, query, keys, &mut products[first..first + 4], first);
        }
    }
    s.sum_each(&products)
}

/// The lane sums of `N` keys from `first`: as many as have room in registers.
#[inline(always)]
fn key_products<S: Simd, const N: usize>(
    s: S,
    query: &[Lanes],
    keys: &[Lanes],
    products: &mut [S::F],
    first: usize,
) {
    let mut sums = [s.splat(0.0); N];
    for (query, keys) in query.iter().zip(keys.as_chunks::<LANES>().0) {
        let query = s.load_f32(&query.0);
        for (n, sum) in sums.iter_mut().enumerate() {
            *sum = s.fma(query, s.load_f32(&keys[first + n].0), *sum);
        }
    }
    products.copy_from_slice(&sums);
}

/// Second phase: turns the seen scores into weights relative to the new maximum.
#[inline(always)]
fn weigh<S: Simd>(s: S, spec: &AttentionSpec, group: &Group<'_>, scratch: &mut AttentionScratch) {
    let heads = scratch.states.iter_mut().zip(&mut scratch.scores);
    for (head, (state, scores)) in heads.enumerate() {
        let seen = group.seen(head / spec.heads_per_kv);
        if seen.is_empty() {
            continue;
        }
        let scores = &mut scores[seen.start / LANES..seen.end.div_ceil(LANES)];
        let begin = seen.start % LANES;
        hide(scores, begin..begin + seen.len());
        let mut most = s.splat(state.most);
        for scores in &*scores {
            most = s.max(most, s.load_f32(&scores.0));
        }
        let most = greatest(s, most);
        // Hidden positions have the weight zero, which changes no sum.
        let mut added = s.splat(0.0);
        for scores in scores {
            let weights = exp(s, s.sub(s.load_f32(&scores.0), s.splat(most)));
            s.store(weights, &mut scores.0);
            added = s.add(added, weights);
        }
        let mut correction = Lanes::ZERO;
        s.store(exp(s, s.splat(state.most - most)), &mut correction.0);
        let [correction, ..] = correction.0;
        let sum = state.sum.mul_add(correction, s.sum(added));
        *state = SoftmaxState { most, sum, correction };
    }
}

/// Gives the scores around the seen ones, in the first and the last lanes, the weight zero.
#[inline(always)]
fn hide(scores: &mut [Lanes], seen: Range<usize>) {
    if let Some(first) = scores.first_mut() {
        first.0[..seen.start].fill(f32::NEG_INFINITY);
    }
    let before = scores.len().saturating_sub(1) * LANES;
    if let Some(last) = scores.last_mut() {
        last.0[seen.end - before..].fill(f32::NEG_INFINITY);
    }
}

/// The greatest lane, whichever way they are compared.
#[inline(always)]
fn greatest<S: Simd>(s: S, values: S::F) -> f32 {
    let mut lanes = [0.0; LANES];
    s.store(values, &mut lanes);
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            let (a, b) = (lanes[i], lanes[i + width]);
            lanes[i] = if a > b { a } else { b };
        }
        width /= 2;
    }
    lanes[0]
}

/// Third phase: `sums = sums * correction + Σ weight * value`.
#[inline(always)]
fn accumulate<S: Simd>(
    s: S,
    spec: &AttentionSpec,
    group: &Group<'_>,
    scratch: &mut AttentionScratch,
) {
    let width = width(spec);
    for tile in group.tiles() {
        group.widen(s, tile, |kv| kv.values, &mut scratch.values);
        for row in 0..group.visible.len() {
            let seen = group.seen(row);
            let here = lanes(tile, &seen);
            if here.is_empty() {
                continue;
            }
            for head in row * spec.heads_per_kv..(row + 1) * spec.heads_per_kv {
                // Earlier sums are corrected once, with the first positions that are added.
                let first = tile == seen.start / LANES;
                let correction = if first { scratch.states[head].correction } else { 1.0 };
                let weights = &scratch.scores[head][tile].0;
                let terms = Terms { correction, weights, seen: here.clone() };
                let sums = &mut scratch.sums[head * width..(head + 1) * width];
                terms.add_to(s, &scratch.values, sums);
            }
        }
    }
}

/// What one tile adds to the sums of one head.
struct Terms<'a> {
    correction: f32,
    weights: &'a [f32; LANES],
    seen: Range<usize>,
}

impl Terms<'_> {
    #[inline(always)]
    fn add_to<S: Simd>(&self, s: S, values: &[Lanes], sums: &mut [Lanes]) {
        let (chunks, _) = values.as_chunks::<LANES>();
        let (wide, rest) = sums.as_chunks_mut::<WIDE>();
        let (wide_chunks, chunks) = chunks.split_at(wide.len() * WIDE);
        for (sums, chunks) in wide.iter_mut().zip(wide_chunks.as_chunks::<WIDE>().0) {
            self.add_chunks(s, chunks, sums);
        }
        for (sum, chunk) in rest.iter_mut().zip(chunks) {
            self.add_chunks(s, std::array::from_ref(chunk), std::array::from_mut(sum));
        }
    }

    /// The sums of `N` chunks of lanes, position by position.
    #[inline(always)]
    fn add_chunks<S: Simd, const N: usize>(
        &self,
        s: S,
        values: &[[Lanes; LANES]; N],
        sums: &mut [Lanes; N],
    ) {
        let mut totals = [s.splat(0.0); N];
        for (total, sum) in totals.iter_mut().zip(&*sums) {
            *total = s.mul(s.load_f32(&sum.0), s.splat(self.correction));
        }
        for position in self.seen.start..self.seen.end.min(LANES) {
            let weight = s.splat(self.weights[position]);
            for (total, values) in totals.iter_mut().zip(values) {
                *total = s.fma(weight, s.load_f32(&values[position].0), *total);
            }
        }
        for (total, sum) in totals.into_iter().zip(sums) {
            s.store(total, &mut sum.0);
        }
    }
}

#[inline(always)]
fn finish(spec: &AttentionSpec, scratch: &AttentionScratch, out: &mut [f32]) {
    let sums = scratch.sums.chunks_exact(width(spec).max(1));
    let heads = out.chunks_exact_mut(spec.head_dim.max(1));
    for ((head, sums), state) in heads.zip(sums).zip(&scratch.states) {
        let factor = if state.sum == 0.0 { 0.0 } else { 1.0 / state.sum };
        for (out, sums) in head.chunks_mut(LANES).zip(sums) {
            for (out, sum) in out.iter_mut().zip(sums.0) {
                *out = sum * factor;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::stored::Store;
    use super::*;

    /// Values without a pattern that a wrong index could hide in.
    fn floats(seed: usize, count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i + seed) * 7919 % 10_007) as f32 / 2500.0 - 2.0).collect()
    }

    fn stored(isa: Isa, kv: KvDtype, head_dim: usize, x: &[f32]) -> Vec<u8> {
        let heads = x.chunks(head_dim).map(|x| {
            let mut dst = vec![0; kv.row_bytes(head_dim).expect("small")];
            dispatch(isa, Store { kv, x, dst: &mut dst });
            dst
        });
        heads.collect::<Vec<_>>().concat()
    }

    /// Rows from position 40 on, over runs of `cut` positions.
    fn run(isa: Isa, kv: KvDtype, shape: (usize, Option<f32>), cut: usize) -> Vec<u32> {
        const COUNT: usize = 150;
        let (head_dim, softcap) = shape;
        let spec = AttentionSpec { heads_per_kv: 3, head_dim, scale: 0.3, softcap };
        let keys = stored(isa, kv, head_dim, &floats(1, COUNT * head_dim));
        let values = stored(isa, kv, head_dim, &floats(2, COUNT * head_dim));
        let row = kv.row_bytes(head_dim).expect("small");
        let runs = keys.chunks(cut * row).zip(values.chunks(cut * row));
        let mut runs = runs.map(|(keys, values)| KvRun { keys, values, count: keys.len() / row });
        let query = floats(3, 4 * 3 * head_dim);
        let visible = &[40..190, 47..73, 60..129, 189..190];
        let rows = QueryRows { query: &query, visible, begin: 40, sink: None };
        let mut out = vec![0.0; query.len()];
        let mut scratch = AttentionScratch::default();
        let scratch = &mut scratch;
        Attend { spec: &spec, kv, rows, runs: &mut runs, scratch, out: &mut out }.run(isa);
        out.into_iter().map(f32::to_bits).collect()
    }

    #[test]
    fn attention_has_the_same_bits_on_every_instruction_set_and_for_every_cut() {
        for kv in [KvDtype::F32, KvDtype::F16, KvDtype::Bf16, KvDtype::Q8_0] {
            for shape in [(64, None), (128, Some(5.0)), (20, None), (112, None)] {
                let expected = run(Isa::Portable, kv, shape, 150);
                for isa in Isa::available() {
                    for cut in [1, 5, 16, 24, 32, 100, 150] {
                        assert!(run(isa, kv, shape, cut) == expected, "{isa:?}, {shape:?}, {cut}");
                    }
                }
            }
        }
    }
}
