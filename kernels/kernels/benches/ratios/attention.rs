//! Attention at the end of a long context, over a cache in blocks.

use std::hint::black_box;
use std::ops::Range;

use kernels::attention::{
    AttentionScratch, AttentionSpec, KvDtype, KvRun, QueryRows, attend, store_kv,
};

use crate::case::Phase;
use crate::clock::Pair;
use crate::reference;

const SPEC: AttentionSpec =
    AttentionSpec { heads_per_kv: 4, head_dim: 128, scale: 0.1, softcap: None };
const BLOCK_SIZE: usize = 16;
/// Key/value heads in the cache; each turn takes the next one, so that it comes from memory.
const KV_HEADS: usize = 16;

/// One row after 4096 positions, or sixteen after 1024; kernel and plain loop multiply as often.
pub(crate) fn pair(kv: KvDtype, phase: Phase) -> Pair<'static> {
    let (rows, positions) = match phase {
        Phase::Decode => (1, 4096),
        Phase::Prefill => (16, 1024),
    };
    let head_len = positions * SPEC.head_dim;
    let plain = [7, 11].map(|step| -> Vec<f32> {
        (0..KV_HEADS * head_len).map(|i| (i * step % 31) as f32 / 31.0).collect()
    });
    let stored = plain.each_ref().map(|values| store(kv, values));
    let bytes = (stored[0].len() + stored[1].len()) / KV_HEADS;
    let width = SPEC.heads_per_kv * SPEC.head_dim;
    let query: Vec<f32> = (0..rows * width).map(|i| (i % 17) as f32 / 8.0 - 1.0).collect();
    Pair {
        kernel: kernel(kv, stored, query.clone(), vec![0..positions; rows]),
        reference: plain_loop(plain, query, positions),
        bytes,
        operations: 4 * rows * width * positions,
    }
}

fn kernel(
    kv: KvDtype,
    cache: [Vec<u8>; 2],
    query: Vec<f32>,
    visible: Vec<Range<usize>>,
) -> Box<dyn FnMut()> {
    let (mut heads, mut scratch) = ((0..KV_HEADS).cycle(), AttentionScratch::default());
    let mut out = vec![0.0; query.len()];
    Box::new(move || {
        let head = heads.next().unwrap_or(0);
        let rows = QueryRows { query: &query, visible: &visible, begin: 0, sink: None };
        let [keys, values] = cache
            .each_ref()
            .map(|cache| part(cache, head).chunks_exact(BLOCK_SIZE * row_bytes(kv)));
        let runs = keys.zip(values);
        let runs = runs.map(|(keys, values)| KvRun { keys, values, count: BLOCK_SIZE });
        attend(&SPEC, kv, rows, runs, &mut scratch, &mut out);
        black_box(&mut out);
    })
}

fn plain_loop(cache: [Vec<f32>; 2], query: Vec<f32>, positions: usize) -> Box<dyn FnMut()> {
    let (mut heads, mut scores) = ((0..KV_HEADS).cycle(), vec![0.0; positions]);
    let mut out = vec![0.0; query.len()];
    Box::new(move || {
        let head = heads.next().unwrap_or(0);
        let cache = cache.each_ref().map(|cache| part(cache, head));
        let rows = query.chunks_exact(SPEC.head_dim).zip(out.chunks_exact_mut(SPEC.head_dim));
        for (query, out) in rows {
            reference::attention(query, cache, SPEC.scale, &mut scores, out);
        }
        black_box(&mut out);
    })
}

/// What a cache holds for one of its heads.
fn part<T>(cache: &[T], head: usize) -> &[T] {
    let len = cache.len() / KV_HEADS;
    &cache[head * len..(head + 1) * len]
}

fn row_bytes(kv: KvDtype) -> usize {
    kv.row_bytes(SPEC.head_dim).expect("a small head")
}

fn store(kv: KvDtype, values: &[f32]) -> Vec<u8> {
    let mut stored = vec![0; values.len() / SPEC.head_dim * row_bytes(kv)];
    let rows = stored.chunks_exact_mut(row_bytes(kv));
    rows.zip(values.chunks_exact(SPEC.head_dim)).for_each(|(dst, x)| store_kv(kv, x, dst));
    stored
}
