//! Attention of the query heads that share one kv head, over a paged KV cache.
//!
//! Keys and values come as runs of consecutive positions, in order. The softmax is kept as a
//! running maximum and sum that are corrected once per group of 64 positions, and groups start at
//! multiples of 64. So a row's bits depend on its query, the positions it sees, and their keys and
//! values, and on nothing else: neither on where runs start and end, nor on hidden positions
//! around them, nor on the other rows. It must not know block tables: callers walk them.

mod group;
mod phases;
mod stored;

use std::ops::Range;

use crate::isa::{Isa, dispatch};
use crate::simd::Lanes;
use group::TILES;
use phases::{Attend, SoftmaxState};
pub use stored::KvDtype;
use stored::Store;

/// The constants of one attention layer.
#[derive(Clone, Copy, Debug)]
pub struct AttentionSpec {
    /// Query heads that share a kv head.
    pub heads_per_kv: usize,
    pub head_dim: usize,
    /// Factor of every query-key product.
    pub scale: f32,
    /// Bounds the scaled products by `cap * tanh(x / cap)`.
    pub softcap: Option<f32>,
}

/// Consecutive positions of one kv head that lie together: a block or a part of one.
#[derive(Clone, Copy, Debug)]
pub struct KvRun<'a> {
    /// `count` rows, each [`KvDtype::row_bytes`] long.
    pub keys: &'a [u8],
    /// As `keys`.
    pub values: &'a [u8],
    pub count: usize,
}

/// Several query rows of one sequence that look at the same runs.
#[derive(Clone, Copy, Debug)]
pub struct QueryRows<'a> {
    /// `[row][heads_per_kv][head_dim]`.
    pub query: &'a [f32],
    /// The positions each row sees, as far as the runs have them.
    pub visible: &'a [Range<usize>],
    /// The position at which the first run starts.
    pub begin: usize,
    /// One logit per head that takes its share of the softmax and gives nothing.
    pub sink: Option<&'a [f32]>,
}

/// Working memory, kept between calls so that a step does not allocate.
#[derive(Debug, Default)]
pub struct AttentionScratch {
    keys: Vec<Lanes>,
    values: Vec<Lanes>,
    query: Vec<Lanes>,
    sums: Vec<Lanes>,
    scores: Vec<[Lanes; TILES]>,
    states: Vec<SoftmaxState>,
}

/// Attention of several query rows, each with the bits it has alone; `out` is laid out as their
/// query. Keys and values are read once for all rows. A row that sees no position gives zero.
///
/// # Panics
/// If the queries, `out`, the sink or a run are not as long as `spec` says.
pub fn attend<'a>(
    spec: &AttentionSpec,
    kv: KvDtype,
    rows: QueryRows<'_>,
    mut runs: impl Iterator<Item = KvRun<'a>>,
    scratch: &mut AttentionScratch,
    out: &mut [f32],
) {
    let len = rows.visible.len() * spec.heads_per_kv * spec.head_dim;
    assert_eq!((rows.query.len(), out.len()), (len, len), "lengths of query and output");
    assert!(rows.sink.is_none_or(|sink| sink.len() == spec.heads_per_kv), "a sink per head");
    Attend { spec, kv, rows, runs: &mut runs, scratch, out }.run(Isa::detect());
}

/// Writes one head of keys or values as elements of a cache.
///
/// # Panics
/// If `dst` is not exactly as long as `x` needs.
pub fn store_kv(kv: KvDtype, x: &[f32], dst: &mut [u8]) {
    assert_eq!(Some(dst.len()), kv.row_bytes(x.len()), "bytes of a stored head");
    dispatch(Isa::detect(), Store { kv, x, dst });
}
