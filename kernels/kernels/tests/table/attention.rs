//! Attention over a paged cache against softmax in f64.

use std::ops::Range;

use kernels::attention::{
    AttentionScratch, AttentionSpec, KvDtype, KvRun, QueryRows, attend, attend_rows, store_kv,
};

use crate::random::Random;

/// A query row, its cache and the block size the cache is cut by.
struct Case {
    spec: AttentionSpec,
    kv: KvDtype,
    query: Vec<f32>,
    keys: Vec<u8>,
    values: Vec<u8>,
    sink: Option<Vec<f32>>,
    block: usize,
}

fn stored(kv: KvDtype, x: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; x.len() * kv.bytes()];
    store_kv(kv, x, &mut bytes);
    bytes
}

fn loaded(kv: KvDtype, bytes: &[u8]) -> Vec<f64> {
    bytes
        .chunks_exact(kv.bytes())
        .map(|bytes| match kv {
            KvDtype::F32 => f64::from(f32::from_le_bytes(bytes.try_into().expect("4 bytes"))),
            KvDtype::F16 => half::f16::from_le_bytes(bytes.try_into().expect("2 bytes")).to_f64(),
        })
        .collect()
}

impl Case {
    fn new(kv: KvDtype, heads_per_kv: usize, head_dim: usize, positions: usize) -> Self {
        let mut random = Random::new((head_dim * 1000 + positions) as u64);
        let scale = 1.0 / (head_dim as f32).sqrt();
        let mut cache = || stored(kv, &random.floats(positions * head_dim));
        let (keys, values) = (cache(), cache());
        let query: Vec<f32> =
            random.floats(heads_per_kv * head_dim).iter().map(|x| x * 8.0).collect();
        let spec = AttentionSpec { heads_per_kv, head_dim, scale, softcap: None };
        Case { spec, kv, query, keys, values, sink: None, block: 16 }
    }

    /// The runs of some positions, cut at block borders.
    fn runs(&self, positions: Range<usize>) -> impl Iterator<Item = KvRun<'_>> {
        let row = self.spec.head_dim * self.kv.bytes();
        let mut begin = positions.start;
        std::iter::from_fn(move || {
            let end = positions.end.min((begin / self.block + 1) * self.block);
            let bytes = begin * row..end * row;
            let count = end.checked_sub(begin).filter(|count| *count > 0)?;
            begin = end;
            Some(KvRun { keys: &self.keys[bytes.clone()], values: &self.values[bytes], count })
        })
    }

    fn run(&self, positions: Range<usize>) -> Vec<f32> {
        let mut out = vec![f32::NAN; self.query.len()];
        let mut scratch = AttentionScratch::default();
        let (runs, sink) = (self.runs(positions), self.sink.as_deref());
        attend(&self.spec, self.kv, &self.query, runs, sink, &mut scratch, &mut out);
        out
    }

    fn expected(&self, head: usize, positions: Range<usize>) -> Vec<f64> {
        let dim = self.spec.head_dim;
        let (keys, values) = (loaded(self.kv, &self.keys), loaded(self.kv, &self.values));
        let query = &self.query[head * dim..][..dim];
        let weights: Vec<f64> = positions
            .clone()
            .map(|position| {
                let key = &keys[position * dim..][..dim];
                let dot: f64 = query.iter().zip(key).map(|(q, k)| f64::from(*q) * k).sum();
                let score = dot * f64::from(self.spec.scale);
                match self.spec.softcap.map(f64::from) {
                    Some(cap) => (cap * (score / cap).tanh()).exp(),
                    None => score.exp(),
                }
            })
            .collect();
        let sink = self.sink.as_ref().map_or(0.0, |sink| f64::from(sink[head]).exp());
        let total: f64 = weights.iter().sum::<f64>() + sink;
        let column = |d: usize| {
            let terms = positions.clone().zip(&weights);
            terms.map(|(position, weight)| weight / total * values[position * dim + d]).sum()
        };
        (0..dim).map(column).collect()
    }

    fn check(&self, positions: Range<usize>) {
        let out = self.run(positions.clone());
        for (head, out) in out.chunks_exact(self.spec.head_dim).enumerate() {
            for (found, expected) in out.iter().zip(self.expected(head, positions.clone())) {
                let error = (f64::from(*found) - expected).abs();
                let spec = &self.spec;
                assert!(error < 2e-6, "{found} for {expected}, {positions:?}, {spec:?}");
            }
        }
    }
}

#[test]
fn attention_agrees_with_softmax_in_float64() {
    for kv in [KvDtype::F32, KvDtype::F16] {
        for (heads, dim) in [(1, 64), (7, 64), (4, 128), (2, 80), (3, 20), (1, 1), (1, 256)] {
            for positions in [1, 15, 16, 17, 70, 300] {
                let case = Case::new(kv, heads, dim, positions);
                case.check(0..positions);
                Case { spec: AttentionSpec { softcap: Some(2.0), ..case.spec }, ..case }
                    .check(positions / 3..positions);
            }
        }
    }
}

#[test]
fn sinks_take_their_share() {
    let case = Case::new(KvDtype::F16, 2, 64, 40);
    Case { sink: Some(vec![1.5, -2.0]), ..case }.check(0..40);
}

#[test]
fn no_position_gives_zero() {
    let case = Case::new(KvDtype::F32, 2, 64, 4);
    assert_eq!(case.run(0..0), [0.0; 128]);
    let case = Case { sink: Some(vec![0.0; 2]), ..case };
    assert_eq!(case.run(0..0), [0.0; 128]);
}

#[test]
fn scores_far_apart_do_not_overflow() {
    let mut case = Case::new(KvDtype::F32, 1, 16, 40);
    case.query.iter_mut().for_each(|q| *q *= 1e4);
    assert!(case.run(0..40).iter().all(|x| x.is_finite() && x.abs() <= 1.0));
}

/// Many rows at once against one row over just the positions it sees.
fn check_rows(kv: KvDtype, window: usize, block: usize) {
    let (heads, dim, positions) = (2, 48, 75);
    let case = Case { block, ..Case::new(kv, heads, dim, positions) };
    let visible: Vec<_> =
        (1..=positions).map(|end: usize| end.saturating_sub(window)..end).collect();
    let query = Random::new(9).floats(positions * heads * dim);
    let mut out = vec![f32::NAN; query.len()];
    let mut scratch = AttentionScratch::default();
    let rows = QueryRows { query: &query, visible: &visible, sink: None };
    attend_rows(&case.spec, kv, rows, case.runs(0..positions), &mut scratch, &mut out);
    for (row, visible) in visible.into_iter().enumerate() {
        let range = row * heads * dim..(row + 1) * heads * dim;
        let single =
            Case { query: query[range.clone()].to_vec(), ..Case::new(kv, heads, dim, positions) };
        let single = Case { block, ..single };
        let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert!(bits(&single.run(visible)) == bits(&out[range]), "row {row}, window {window}");
    }
}

#[test]
fn prefill_rows_have_the_bits_of_decode() {
    for kv in [KvDtype::F32, KvDtype::F16] {
        for (window, block) in [(usize::MAX, 16), (usize::MAX, 32), (20, 16), (1, 8), (33, 64)] {
            check_rows(kv, window, block);
        }
    }
}

#[test]
fn scratch_of_another_call_changes_nothing() {
    let (small, large) = (Case::new(KvDtype::F16, 1, 20, 5), Case::new(KvDtype::F32, 3, 128, 90));
    let mut scratch = AttentionScratch::default();
    let mut out = vec![0.0; large.query.len()];
    attend(&large.spec, large.kv, &large.query, large.runs(0..90), None, &mut scratch, &mut out);
    let mut out = vec![0.0; small.query.len()];
    attend(&small.spec, small.kv, &small.query, small.runs(0..5), None, &mut scratch, &mut out);
    assert_eq!(out, small.run(0..5));
}

#[test]
fn hidden_slots_may_hold_anything() {
    let mut case = Case::new(KvDtype::F32, 2, 32, 32);
    let clean = case.run(0..20);
    for bytes in [&mut case.keys, &mut case.values] {
        for value in bytes[20 * 32 * 4..].as_chunks_mut::<4>().0 {
            *value = f32::NAN.to_le_bytes();
        }
    }
    let visible = Range { start: 0, end: 20 };
    let visible = std::slice::from_ref(&visible);
    let rows = QueryRows { query: &case.query, visible, sink: None };
    let mut out = vec![0.0; case.query.len()];
    let mut scratch = AttentionScratch::default();
    attend_rows(&case.spec, case.kv, rows, case.runs(0..32), &mut scratch, &mut out);
    assert_eq!(out, clean);
}
