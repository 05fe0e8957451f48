//! Attention of the query heads that share one kv head, over a paged KV cache.
//!
//! Keys and values come as runs of consecutive positions, in order. The softmax is kept as a
//! running maximum and sum that are corrected once per run, so a result's bits depend on the
//! query, the keys and values it sees and where runs end, and on nothing else: neither on the
//! other rows of the step nor on how many positions of a run are hidden from it. It must not
//! know block tables: callers walk them.

mod phases;
mod run;

use std::ops::Range;

use crate::isa::{Isa, dispatch};
use crate::simd::Lanes;
use phases::{Attend, SoftmaxState};
use run::Store;

/// Element type of a KV cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvDtype {
    F32,
    F16,
}

impl KvDtype {
    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            KvDtype::F32 => 4,
            KvDtype::F16 => 2,
        }
    }
}

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

/// Consecutive positions of one kv head inside one block.
#[derive(Clone, Copy, Debug)]
pub struct KvRun<'a> {
    /// `count` rows of `head_dim` elements.
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
    /// The positions each row sees, counted from the first position of the first run.
    pub visible: &'a [Range<usize>],
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
    scores: Vec<Lanes>,
    states: Vec<SoftmaxState>,
}

/// Attention of one query row that sees every position of `runs`; `out` is laid out as `query`,
/// `[heads_per_kv][head_dim]`. Without any position and sink, the result is zero.
///
/// # Panics
/// If `query`, `out`, `sink` or a run is not as long as `spec` says.
#[expect(clippy::too_many_arguments, reason = "inputs, working memory and output of one kernel")]
pub fn attend<'a>(
    spec: &AttentionSpec,
    kv: KvDtype,
    query: &[f32],
    runs: impl Iterator<Item = KvRun<'a>>,
    sink: Option<&[f32]>,
    scratch: &mut AttentionScratch,
    out: &mut [f32],
) {
    let everything = Range { start: 0, end: usize::MAX };
    let rows = QueryRows { query, visible: std::slice::from_ref(&everything), sink };
    attend_rows(spec, kv, rows, runs, scratch, out);
}

/// Attention of several query rows, each with the bits that [`attend`] would give it over the
/// runs cut to what it sees. Keys and values are read once for all rows.
///
/// # Panics
/// As [`attend`].
pub fn attend_rows<'a>(
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
    assert_eq!(dst.len(), x.len() * kv.bytes(), "bytes of a stored head");
    dispatch(Isa::detect(), Store { kv, x, dst });
}
