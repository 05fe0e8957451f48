//! The arithmetic of attention: scores, running softmax, weighted values.
//!
//! A run is widened to f32 once for all its readers. Scores are dots over lanes; the softmax sum
//! and the weighted values go position by position, so a hidden position at either end of a run
//! leaves no trace. It must not read the elements of hidden positions into a result, which may
//! be uninitialised slots.

use std::ops::Range;

use crate::activation::{Map, Softcap, padded};
use crate::attention::{AttentionScratch, AttentionSpec, KvDtype, KvRun, QueryRows};
use crate::isa::Kernel;
use crate::math::exp;
use crate::simd::{LANES, Simd};

/// Maximum of the scores so far and the sum of their exponentials relative to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SoftmaxState {
    most: f32,
    sum: f32,
}

pub(crate) struct Attend<'a, 'r> {
    pub(crate) spec: &'a AttentionSpec,
    pub(crate) kv: KvDtype,
    pub(crate) rows: QueryRows<'a>,
    pub(crate) runs: &'a mut dyn Iterator<Item = KvRun<'r>>,
    pub(crate) scratch: &'a mut AttentionScratch,
    pub(crate) out: &'a mut [f32],
}

impl Kernel for Attend<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, s: S) {
        let Attend { spec, kv, rows, runs, scratch, out } = self;
        let width = spec.head_dim.next_multiple_of(LANES);
        begin(spec, rows, width, scratch);
        let mut position = 0;
        for run in runs {
            assert!(
                run.keys.len() == run.count * spec.head_dim * kv.bytes()
                    && run.values.len() == run.keys.len(),
                "a run has count rows of keys and of values"
            );
            widen(s, kv, run.keys, spec.head_dim, &mut scratch.keys);
            widen(s, kv, run.values, spec.head_dim, &mut scratch.values);
            for (row, visible) in rows.visible.iter().enumerate() {
                let seen = visible.start.max(position)..visible.end.min(position + run.count);
                if seen.is_empty() {
                    continue;
                }
                let seen = seen.start - position..seen.end - position;
                for head in row * spec.heads_per_kv..(row + 1) * spec.heads_per_kv {
                    add_run(s, spec, head, seen.clone(), scratch);
                }
            }
            position += run.count;
        }
        finish(spec, width, scratch, out);
    }
}

/// Sets up padded queries, with the scale in them, and empty sums.
#[inline(always)]
fn begin(spec: &AttentionSpec, rows: QueryRows<'_>, width: usize, scratch: &mut AttentionScratch) {
    let heads = rows.visible.len() * spec.heads_per_kv;
    scratch.query.clear();
    scratch.query.resize(heads * width, 0.0);
    scratch.sums.clear();
    scratch.sums.resize(heads * width, 0.0);
    let padded = scratch.query.chunks_exact_mut(width.max(1));
    for (padded, head) in padded.zip(rows.query.chunks_exact(spec.head_dim.max(1))) {
        for (padded, value) in padded.iter_mut().zip(head) {
            *padded = value * spec.scale;
        }
    }
    scratch.states.clear();
    scratch.states.extend((0..heads).map(|head| match rows.sink {
        Some(sink) => SoftmaxState { most: sink[head % spec.heads_per_kv], sum: 1.0 },
        None => SoftmaxState { most: f32::NEG_INFINITY, sum: 0.0 },
    }));
}

/// Rows of `dim` elements as f32, each padded with zeros to whole lanes, and zero rows up to a
/// whole tile of positions.
#[inline(always)]
fn widen<S: Simd>(s: S, kv: KvDtype, elements: &[u8], dim: usize, out: &mut Vec<f32>) {
    let (width, row_bytes) = (dim.next_multiple_of(LANES), dim * kv.bytes());
    if width == 0 {
        return;
    }
    let count = elements.len() / row_bytes;
    let len = count.next_multiple_of(LANES) * width;
    if out.len() < len {
        out.resize(len, 0.0);
    }
    for (row, out) in elements.chunks_exact(row_bytes).zip(out.chunks_exact_mut(width)) {
        let chunks = row.chunks(LANES * kv.bytes());
        for (bytes, out) in chunks.zip(out.as_chunks_mut::<LANES>().0) {
            let mut lanes = [0; 4 * LANES];
            let bytes = if bytes.len() == LANES * kv.bytes() {
                bytes
            } else {
                lanes[..bytes.len()].copy_from_slice(bytes);
                &lanes[..LANES * kv.bytes()]
            };
            let values = match kv {
                KvDtype::F32 => s.from_bits(s.load(chunk(bytes))),
                KvDtype::F16 => s.load_f16(chunk(bytes)),
            };
            s.store(values, out);
        }
    }
}

#[inline(always)]
fn chunk<T, const N: usize>(values: &[T]) -> &[T; N] {
    values.first_chunk().expect("scratch is padded to whole lanes")
}

/// Adds the seen positions of the widened run to one query head.
#[inline(always)]
fn add_run<S: Simd>(
    s: S,
    spec: &AttentionSpec,
    head: usize,
    seen: Range<usize>,
    scratch: &mut AttentionScratch,
) {
    let width = spec.head_dim.next_multiple_of(LANES);
    let query = &scratch.query[head * width..(head + 1) * width];
    let end = seen.end.next_multiple_of(LANES);
    if scratch.scores.len() < end {
        scratch.scores.resize(end, 0.0);
    }
    let (tiles, _) = scratch.scores[..end].as_chunks_mut::<LANES>();
    let keys = scratch.keys.chunks_exact(width.max(1) * LANES);
    let first = seen.start / LANES;
    for (scores, keys) in tiles.iter_mut().zip(keys).skip(first) {
        let products = scores_of(s, query, keys);
        let bounded = match spec.softcap {
            Some(cap) => Softcap(cap).apply(s, products),
            None => products,
        };
        s.store(bounded, scores);
    }

    let state = &mut scratch.states[head];
    let correction = weigh(s, &mut scratch.scores[..end], seen.clone(), state);
    let sums = &mut scratch.sums[head * width..(head + 1) * width];
    let values = &scratch.values[seen.start * width..seen.end * width];
    let weights = &scratch.scores[seen];
    let (wide, rest) = sums.as_chunks_mut::<{ 4 * LANES }>();
    for (i, sums) in wide.iter_mut().enumerate() {
        add_values::<S, 4>(s, sums, correction, weights, Columns { values, width, at: 4 * i });
    }
    let done = 4 * wide.len();
    for (i, sums) in rest.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        add_values::<S, 1>(s, sums, correction, weights, Columns { values, width, at: done + i });
    }
}

/// The products of one query with sixteen keys.
#[inline(always)]
fn scores_of<S: Simd>(s: S, query: &[f32], keys: &[f32]) -> S::F {
    let mut products = [s.splat(0.0); LANES];
    if S::TOKENS >= 8 {
        for first in [0, 8] {
            key_products::<S, 8>(s, query, keys, &mut products[first..first + 8], first);
        }
    } else {
        for first in [0, 4, 8, 12] {
            key_products::<S, 4>(s, query, keys, &mut products[first..first + 4], first);
        }
    }
    s.sum_each(&products)
}

/// The lane sums of `N` keys from `first`: as many as have room in registers.
#[inline(always)]
fn key_products<S: Simd, const N: usize>(
    s: S,
    query: &[f32],
    keys: &[f32],
    products: &mut [S::F],
    first: usize,
) {
    let width = query.len();
    let mut sums = [s.splat(0.0); N];
    for (i, query) in query.as_chunks::<LANES>().0.iter().enumerate() {
        let query = s.load_f32(query);
        for n in 0..N {
            let key = chunk(&keys[(first + n) * width + i * LANES..]);
            sums[n] = s.fma(query, s.load_f32(key), sums[n]);
        }
    }
    products.copy_from_slice(&sums);
}

/// Turns seen scores into weights relative to the new maximum and gives the factor that the
/// earlier sums need.
#[inline(always)]
fn weigh<S: Simd>(s: S, scores: &mut [f32], seen: Range<usize>, state: &mut SoftmaxState) -> f32 {
    let mut most = state.most;
    for score in &scores[seen.clone()] {
        // A NaN score must reach the result, so it is not passed over.
        most = if *score <= most { most } else { *score };
    }
    let first = seen.start / LANES;
    for tile in scores.as_chunks_mut::<LANES>().0.iter_mut().skip(first) {
        let relative = s.sub(s.load_f32(tile), s.splat(most));
        s.store(exp(s, relative), tile);
    }
    let mut lanes = [0.0; LANES];
    s.store(exp(s, s.splat(state.most - most)), &mut lanes);
    let correction = lanes[0];
    let added: f32 = scores[seen].iter().sum();
    *state = SoftmaxState { most, sum: state.sum.mul_add(correction, added) };
    correction
}

/// The widened values of the seen positions, and the column of lanes to take.
#[derive(Clone, Copy)]
struct Columns<'a> {
    values: &'a [f32],
    width: usize,
    at: usize,
}

/// `sums = sums * correction + Σ weight * value`, position by position, for `N` columns.
#[inline(always)]
fn add_values<S: Simd, const N: usize>(
    s: S,
    sums: &mut [f32],
    correction: f32,
    weights: &[f32],
    columns: Columns<'_>,
) {
    let (sums, _) = sums.as_chunks_mut::<LANES>();
    let mut totals = [s.splat(0.0); N];
    for n in 0..N {
        totals[n] = s.mul(s.load_f32(&sums[n]), s.splat(correction));
    }
    for (weight, values) in weights.iter().zip(columns.values.chunks_exact(columns.width)) {
        let weight = s.splat(*weight);
        for n in 0..N {
            let value = s.load_f32(chunk(&values[(columns.at + n) * LANES..]));
            totals[n] = s.fma(weight, value, totals[n]);
        }
    }
    for n in 0..N {
        s.store(totals[n], &mut sums[n]);
    }
}

#[inline(always)]
fn finish(spec: &AttentionSpec, width: usize, scratch: &AttentionScratch, out: &mut [f32]) {
    let sums = scratch.sums.chunks_exact(width.max(1));
    let heads = out.chunks_exact_mut(spec.head_dim.max(1));
    for ((head, sums), state) in heads.zip(sums).zip(&scratch.states) {
        let factor = if state.sum == 0.0 { 0.0 } else { 1.0 / state.sum };
        for (out, sum) in head.iter_mut().zip(sums) {
            *out = sum * factor;
        }
    }
}

pub(crate) struct Store<'a> {
    pub(crate) kv: KvDtype,
    pub(crate) x: &'a [f32],
    pub(crate) dst: &'a mut [u8],
}

impl Kernel for Store<'_> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, s: S) {
        if self.kv == KvDtype::F32 {
            for (bytes, value) in self.dst.as_chunks_mut::<4>().0.iter_mut().zip(self.x) {
                *bytes = value.to_le_bytes();
            }
            return;
        }
        for (x, bytes) in self.x.chunks(LANES).zip(self.dst.chunks_mut(2 * LANES)) {
            let mut halves = [0; 2 * LANES];
            s.store_f16(s.load_f32(&padded(x)), &mut halves);
            bytes.copy_from_slice(&halves[..bytes.len()]);
        }
    }
}
