//! The arithmetic of attention: scores, running softmax, weighted values.
//!
//! A run goes through three phases for all its readers together: scores, softmax, weighted
//! values. Keys and values are widened to f32 sixteen positions at a time, once for all readers,
//! and stay in the nearest cache meanwhile. Scores are dots over lanes; the softmax sum and the
//! weighted values go position by position, so a hidden position at either end of a run leaves
//! no trace. It must not let the elements of hidden positions, which may be anything, into a
//! result.

use std::ops::Range;

use super::run::Run;
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
    /// What the last run made of earlier sums.
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
        let row_bytes = spec.head_dim * kv.bytes();
        let mut position = 0;
        for run in runs {
            let lengths = (run.keys.len(), run.values.len());
            let expected = run.count * row_bytes;
            assert_eq!(lengths, (expected, expected), "a run has count rows of keys and values");
            let run = Run { kv: run, dtype: kv, row_bytes, position, visible: rows.visible };
            score(s, spec, &run, scratch);
            weigh(s, spec, &run, scratch);
            accumulate(s, spec, &run, scratch);
            position += run.kv.count;
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
    for (lanes, len) in [
        (&mut scratch.query, heads * width),
        (&mut scratch.sums, heads * width),
        (&mut scratch.keys, LANES * width),
        (&mut scratch.values, LANES * width),
    ] {
        lanes.clear();
        lanes.resize(len, Lanes::ZERO);
    }
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

/// First phase: the scores of every head with every position that one of its tiles has.
#[inline(always)]
fn score<S: Simd>(s: S, spec: &AttentionSpec, run: &Run<'_>, scratch: &mut AttentionScratch) {
    let (width, stride) = (width(spec), run.stride());
    let len = scratch.states.len() * stride;
    if scratch.scores.len() < len {
        scratch.scores.resize(len, Lanes::ZERO);
    }
    for (index, tile) in run.tiles().enumerate() {
        run.widen(s, run.rows(run.kv.keys, &tile), &mut scratch.keys);
        for row in 0..run.visible.len() {
            let seen = run.seen(row);
            if seen.start >= tile.end || seen.end <= tile.start {
                continue;
            }
            for head in row * spec.heads_per_kv..(row + 1) * spec.heads_per_kv {
                let query = &scratch.query[head * width..(head + 1) * width];
                let products = products(s, query, &scratch.keys);
                let bounded = match spec.softcap {
                    Some(cap) => Softcap(cap).apply(s, products),
                    None => products,
                };
                s.store(bounded, &mut scratch.scores[head * stride + index].0);
            }
        }
    }
}

/// The products of one query with sixteen keys.
#[inline(always)]
fn products<S: Simd>(s: S, query: &[Lanes], keys: &[Lanes]) -> S::F {
    let mut products = [s.splat(0.0); LANES];
    if S::TOKENS >= 8 {
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
fn weigh<S: Simd>(s: S, spec: &AttentionSpec, run: &Run<'_>, scratch: &mut AttentionScratch) {
    let stride = run.stride();
    for (head, state) in scratch.states.iter_mut().enumerate() {
        let seen = run.seen(head / spec.heads_per_kv);
        if seen.is_empty() {
            continue;
        }
        let tiles = seen.start / LANES..seen.end.div_ceil(LANES);
        let scores = &mut scratch.scores[head * stride..][tiles];
        let begin = seen.start % LANES;
        hide(scores, begin..begin + seen.len());
        let mut most = s.splat(state.most);
        for scores in &*scores {
            most = s.max(most, s.load_f32(&scores.0));
        }
        let most = greatest(s, most);
        let mut added = 0.0;
        for scores in &mut *scores {
            s.store(exp(s, s.sub(s.load_f32(&scores.0), s.splat(most))), &mut scores.0);
            // Weights of hidden positions are zero, which changes no sum.
            for weight in scores.0 {
                added += weight;
            }
        }
        let mut correction = Lanes::ZERO;
        s.store(exp(s, s.splat(state.most - most)), &mut correction.0);
        let [correction, ..] = correction.0;
        *state = SoftmaxState { most, sum: state.sum.mul_add(correction, added), correction };
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
fn accumulate<S: Simd>(s: S, spec: &AttentionSpec, run: &Run<'_>, scratch: &mut AttentionScratch) {
    let (width, stride) = (width(spec), run.stride());
    for (index, tile) in run.tiles().enumerate() {
        run.widen(s, run.rows(run.kv.values, &tile), &mut scratch.values);
        for row in 0..run.visible.len() {
            let seen = run.seen(row);
            let here = seen.start.max(tile.start)..seen.end.min(tile.end);
            if here.is_empty() {
                continue;
            }
            for head in row * spec.heads_per_kv..(row + 1) * spec.heads_per_kv {
                // Earlier sums are corrected once, with the first positions that are added.
                let first = here.start == seen.start;
                let correction = if first { scratch.states[head].correction } else { 1.0 };
                let weights = &scratch.scores[head * stride + index].0;
                let seen = here.start - tile.start..here.end - tile.start;
                let terms = Terms { correction, weights, seen };
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
    use super::super::run::Store;
    use super::*;

    /// Values without a pattern that a wrong index could hide in.
    fn floats(seed: usize, count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i + seed) * 7919 % 10_007) as f32 / 2500.0 - 2.0).collect()
    }

    fn stored(isa: Isa, kv: KvDtype, x: &[f32]) -> Vec<u8> {
        let mut dst = vec![0; x.len() * kv.bytes()];
        dispatch(isa, Store { kv, x, dst: &mut dst });
        dst
    }

    fn run(isa: Isa, kv: KvDtype, head_dim: usize, softcap: Option<f32>) -> Vec<u32> {
        let spec = AttentionSpec { heads_per_kv: 3, head_dim, scale: 0.3, softcap };
        let keys = stored(isa, kv, &floats(1, 50 * head_dim));
        let values = stored(isa, kv, &floats(2, 50 * head_dim));
        let row = 20 * head_dim * kv.bytes();
        let mut runs = keys.chunks(row).zip(values.chunks(row)).map(|(keys, values)| KvRun {
            keys,
            values,
            count: keys.len() / (head_dim * kv.bytes()),
        });
        let query = floats(3, 2 * 3 * head_dim);
        let rows = QueryRows { query: &query, visible: &[0..50, 7..33], sink: None };
        let mut out = vec![0.0; query.len()];
        let mut scratch = AttentionScratch::default();
        let scratch = &mut scratch;
        Attend { spec: &spec, kv, rows, runs: &mut runs, scratch, out: &mut out }.run(isa);
        out.into_iter().map(f32::to_bits).collect()
    }

    #[test]
    fn attention_has_the_same_bits_on_every_instruction_set() {
        for kv in [KvDtype::F32, KvDtype::F16] {
            for (head_dim, softcap) in [(64, None), (128, Some(5.0)), (20, None), (112, None)] {
                let expected = run(Isa::Portable, kv, head_dim, softcap);
                for isa in Isa::available() {
                    assert!(run(isa, kv, head_dim, softcap) == expected, "{isa:?}, {head_dim}");
                }
            }
        }
    }
}
