//! Speed of attention over a cache of f16: microseconds for one kv head.
//!
//! `cargo run --release -p kernels --example attention [positions]`. Each figure is the least of
//! many runs on one thread: one row at the end of the positions (decode) and sixteen rows there
//! (prefill), over blocks of several sizes. It checks no result: the tests do.
#![expect(clippy::print_stdout, reason = "a bench prints figures")]

use std::time::Instant;

use kernels::attention::{AttentionScratch, AttentionSpec, KvDtype, KvRun, QueryRows, attend};

const ROWS_MAX: usize = 16;
/// Positions that a figure reads, over all its runs.
const POSITIONS_READ: usize = 1 << 20;

fn main() {
    let positions = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(4096);
    let positions = positions.max(ROWS_MAX);
    println!("us for one kv head at {positions} positions: 1 row, {ROWS_MAX} rows");
    for (heads_per_kv, head_dim) in [(1, 64), (7, 64), (4, 128), (2, 256)] {
        let spec = AttentionSpec { heads_per_kv, head_dim, scale: 0.1, softcap: None };
        for block in [8, 16, 32, 100, 128] {
            let [one, many] = [1, ROWS_MAX].map(|rows| figure(&spec, rows, positions, block));
            println!("{heads_per_kv} heads of {head_dim}, blocks of {block}: {one:8.2} {many:8.2}");
        }
    }
}

/// The least time of a call, in microseconds.
fn figure(spec: &AttentionSpec, rows: usize, positions: usize, block: usize) -> f64 {
    let row_bytes = KvDtype::F16.row_bytes(spec.head_dim).expect("a small head");
    let [keys, values] = [7, 11].map(|step| -> Vec<u8> {
        let halves = (0..positions * spec.head_dim).map(|i| 0x3000 + (i * step % 4096) as u16);
        halves.flat_map(u16::to_le_bytes).collect()
    });
    let len = rows * spec.heads_per_kv * spec.head_dim;
    let query: Vec<f32> = (0..len).map(|i| (i % 17) as f32 / 8.0 - 1.0).collect();
    let visible: Vec<_> = (1..=rows).map(|row| 0..positions - rows + row).collect();
    let (mut out, mut scratch) = (vec![0.0; len], AttentionScratch::default());
    let mut run = || {
        let blocks = keys.chunks(block * row_bytes).zip(values.chunks(block * row_bytes));
        let runs =
            blocks.map(|(keys, values)| KvRun { keys, values, count: keys.len() / row_bytes });
        let rows = QueryRows { query: &query, visible: &visible, begin: 0, sink: None };
        let begin = Instant::now();
        attend(spec, KvDtype::F16, rows, runs, &mut scratch, &mut out);
        begin.elapsed().as_secs_f64() * 1e6
    };
    (0..POSITIONS_READ.div_ceil(positions)).map(|_| run()).fold(f64::MAX, f64::min)
}
