//! Attention over a paged cache against softmax in f64.

use std::ops::Range;

use kernels::attention::{
    AttentionScratch, AttentionSpec, KvDtype, KvRun, QueryRows, attend, store_kv,
};

use crate::random::Random;

/// A query row and a cache.
struct Case {
    spec: AttentionSpec,
    kv: KvDtype,
    query: Vec<f32>,
    keys: Vec<u8>,
    values: Vec<u8>,
    sink: Option<Vec<f32>>,
}

/// Positions and the lengths of the runs that have them.
struct Cut<'a> {
    positions: Range<usize>,
    lengths: &'a [usize],
}

fn stored(kv: KvDtype, head_dim: usize, x: &[f32]) -> Vec<u8> {
    let heads = x.chunks(head_dim).map(|x| {
        let mut bytes = vec![0; kv.row_bytes(head_dim).expect("small")];
        store_kv(kv, x, &mut bytes);
        bytes
    });
    heads.collect::<Vec<_>>().concat()
}

/// The values of rows of `head_dim`, read the plain way.
fn loaded(kv: KvDtype, head_dim: usize, bytes: &[u8]) -> Vec<f64> {
    let rows = bytes.chunks_exact(kv.row_bytes(head_dim).expect("small"));
    let half = |bytes: &[u8]| u16::from_le_bytes([bytes[0], bytes[1]]);
    let value = |row: &[u8], i: usize| match kv {
        KvDtype::F32 => {
            f64::from(f32::from_le_bytes(*row[4 * i..].first_chunk().expect("4 bytes")))
        }
        KvDtype::F16 => half::f16::from_bits(half(&row[2 * i..])).to_f64(),
        KvDtype::Bf16 => {
            let at = i / 32 * 64 + i % 16 * 4 + i % 32 / 16 * 2;
            half::bf16::from_bits(half(&row[at..])).to_f64()
        }
        KvDtype::Q8_0 => {
            let block = &row[i / 32 * 34..];
            let code = f64::from(block[2 + i % 32].cast_signed());
            half::f16::from_bits(half(block)).to_f64() * code
        }
    };
    rows.flat_map(|row| (0..head_dim).map(move |i| value(row, i))).collect()
}

impl Case {
    fn new(kv: KvDtype, heads_per_kv: usize, head_dim: usize, positions: usize) -> Self {
        let mut random = Random::new((head_dim * 1000 + positions) as u64);
        let scale = 1.0 / (head_dim as f32).sqrt();
        let mut cache = || stored(kv, head_dim, &random.floats(positions * head_dim));
        let (keys, values) = (cache(), cache());
        let query: Vec<f32> =
            random.floats(heads_per_kv * head_dim).iter().map(|x| x * 8.0).collect();
        let spec = AttentionSpec { heads_per_kv, head_dim, scale, softcap: None };
        Case { spec, kv, query, keys, values, sink: None }
    }

    /// The positions in runs of these lengths, over and over.
    fn runs<'a>(&'a self, cut: Cut<'a>) -> impl Iterator<Item = KvRun<'a>> {
        let row = self.kv.row_bytes(self.spec.head_dim).expect("small");
        let Cut { mut positions, lengths } = cut;
        let mut lengths = lengths.iter().cycle();
        std::iter::from_fn(move || {
            let count = (*lengths.next()?).min(positions.len());
            let bytes = positions.start * row..(positions.start + count) * row;
            positions.start += count;
            let run = KvRun { keys: &self.keys[bytes.clone()], values: &self.values[bytes], count };
            (count > 0).then_some(run)
        })
    }

    /// The rows of `query`.
    fn rows(&self, query: &[f32], visible: &[Range<usize>], cut: Cut<'_>) -> Vec<f32> {
        let mut out = vec![f32::NAN; query.len()];
        let (begin, sink) = (cut.positions.start, self.sink.as_deref());
        let rows = QueryRows { query, visible, begin, sink };
        let mut scratch = AttentionScratch::default();
        attend(&self.spec, self.kv, rows, self.runs(cut), &mut scratch, &mut out);
        out
    }

    /// The case's row, which sees all of the positions.
    fn run(&self, positions: Range<usize>) -> Vec<f32> {
        let cut = Cut { positions: positions.clone(), lengths: &[16] };
        self.rows(&self.query, &[positions], cut)
    }

    fn expected(&self, head: usize, positions: Range<usize>) -> Vec<f64> {
        let dim = self.spec.head_dim;
        let (keys, values) = (loaded(self.kv, dim, &self.keys), loaded(self.kv, dim, &self.values));
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
    for kv in [KvDtype::F32, KvDtype::F16, KvDtype::Bf16, KvDtype::Q8_0] {
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

/// Every row of a sequence in random tiles over random runs against the row alone over one run
/// of just the positions it sees.
fn check_tiles(case: &Case, window: usize, causal: bool) {
    const POSITIONS: usize = 200;
    let mut random = Random::new((window + case.spec.head_dim) as u64);
    let width = case.query.len();
    let query = random.floats(POSITIONS * width);
    let visible: Vec<_> = (0..POSITIONS)
        .map(|row| {
            let end = if causal { row + 1 } else { row.saturating_add(window).min(POSITIONS) };
            (row + 1).saturating_sub(window)..end
        })
        .collect();
    let alone = |row: usize| {
        let query = &query[row * width..(row + 1) * width];
        let cut = Cut { positions: visible[row].clone(), lengths: &[POSITIONS] };
        case.rows(query, &visible[row..=row], cut)
    };
    let expected: Vec<_> = (0..POSITIONS).flat_map(alone).map(f32::to_bits).collect();
    for length_max in [1, 3, 20, 40, 150] {
        let mut row = 0;
        while row < POSITIONS {
            let mut up_to = |most: usize| 1 + random.next() as usize % most;
            let rows = row..POSITIONS.min(row + up_to(16));
            // Runs may start before and end after what the rows see.
            let (first, last) = (visible[row].start, visible[rows.end - 1].end);
            let positions = first + 1 - up_to(first + 1)..last + up_to(POSITIONS + 1 - last) - 1;
            let lengths: Vec<_> = (0..5).map(|_| up_to(length_max)).collect();
            let cut = Cut { positions: positions.clone(), lengths: &lengths };
            let elements = rows.start * width..rows.end * width;
            let found = case.rows(&query[elements.clone()], &visible[rows.clone()], cut);
            let found: Vec<_> = found.into_iter().map(f32::to_bits).collect();
            assert!(
                found == expected[elements],
                "rows {rows:?} over {positions:?} in {lengths:?}, window {window}, {:?}",
                case.spec
            );
            row = rows.end;
        }
    }
}

#[test]
fn a_row_has_the_same_bits_in_every_tile_and_over_every_cut_into_runs() {
    for kv in [KvDtype::F32, KvDtype::F16, KvDtype::Bf16, KvDtype::Q8_0] {
        for (window, causal) in
            [(200, true), (200, false), (1, true), (20, true), (20, false), (64, true), (77, false)]
        {
            let case = Case::new(kv, 2, 48, 200);
            check_tiles(&case, window, causal);
            let spec = AttentionSpec { softcap: Some(2.0), ..case.spec };
            check_tiles(&Case { spec, sink: Some(vec![0.5, -1.0]), ..case }, window, causal);
        }
    }
}

#[test]
fn scratch_of_another_call_changes_nothing() {
    let (small, large) = (Case::new(KvDtype::F16, 1, 20, 5), Case::new(KvDtype::F32, 3, 128, 90));
    let mut scratch = AttentionScratch::default();
    let mut run = |case: &Case, positions: Range<usize>| {
        let mut out = vec![0.0; case.query.len()];
        let visible = std::slice::from_ref(&positions);
        let rows = QueryRows { query: &case.query, visible, begin: positions.start, sink: None };
        let runs = case.runs(Cut { positions: positions.clone(), lengths: &[16] });
        attend(&case.spec, case.kv, rows, runs, &mut scratch, &mut out);
        out
    };
    for _ in 0..2 {
        assert_eq!(run(&large, 0..90), large.run(0..90));
        assert_eq!(run(&small, 0..5), small.run(0..5));
        assert_eq!(run(&large, 37..71), large.run(37..71));
    }
}

#[test]
fn hidden_positions_may_hold_anything() {
    const SEEN: Range<usize> = 20..75;
    for kv in [KvDtype::F32, KvDtype::F16, KvDtype::Bf16, KvDtype::Q8_0] {
        let mut case = Case::new(kv, 2, 32, 100);
        let clean = case.run(SEEN);
        let row = kv.row_bytes(32).expect("small");
        let nan = stored(kv, 32, &[f32::NAN; 32]);
        for bytes in [&mut case.keys, &mut case.values] {
            for hidden in [0..SEEN.start * row, SEEN.end * row..100 * row] {
                bytes[hidden].chunks_exact_mut(nan.len()).for_each(|x| x.copy_from_slice(&nan));
            }
        }
        let cut = Cut { positions: 0..100, lengths: &[32] };
        assert_eq!(case.rows(&case.query, &[SEEN], cut), clean);
    }
}
