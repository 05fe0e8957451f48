//! Speed of the matrix kernels: GB/s of weights for one token, GOP/s for many.
//!
//! `cargo run --release -p kernels --example gemv [k] [dtype]`. Weights of about 400 MB lie in huge pages, so
//! that the one-token figures are those of memory. It checks no result: the tests do.
#![expect(unsafe_code, clippy::print_stdout, reason = "a bench of raw tiles that prints figures")]

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use kernels::{Dtype, MatmulTile, ROW_GROUP, all};

const WEIGHT_BYTES: usize = 400 << 20;
const HUGE_PAGE: usize = 2 << 20;
/// Rows a thread takes at a time.
const CHUNK: usize = 4 * ROW_GROUP;

fn main() {
    let k: usize = std::env::args().nth(1).and_then(|k| k.parse().ok()).unwrap_or(1024);
    let only = std::env::args().nth(2);
    println!("k {k}; weights GB/s for 1 token, GOP/s for 8 and 128; 1 and 2 threads");
    for dtype in all() {
        let wanted = only.as_ref().is_none_or(|name| name == dtype.name);
        if !wanted || !k.is_multiple_of(dtype.block_len) {
            continue;
        }
        let bench = Bench::new(dtype, k);
        let figures: Vec<String> = [1, 8, 128]
            .into_iter()
            .flat_map(|tokens| [1, 2].map(|threads| (tokens, threads)))
            .map(|(tokens, threads)| bench.figure(tokens, threads))
            .collect();
        println!("{:7} {}", dtype.name, figures.join(" "));
    }
}

struct Bench {
    dtype: &'static Dtype,
    k: usize,
    rows: usize,
    weights: &'static mut [u8],
}

impl Bench {
    fn new(dtype: &'static Dtype, k: usize) -> Self {
        let group_bytes = dtype.packed_bytes(ROW_GROUP, k);
        let groups = WEIGHT_BYTES / group_bytes;
        let weights = huge_pages(groups * group_bytes);
        let mut group = vec![0; group_bytes];
        dtype.pack(&vec![0x3c; ROW_GROUP * dtype.row_bytes(k)], k, &mut group);
        for packed in weights.chunks_exact_mut(group_bytes) {
            packed.copy_from_slice(&group);
        }
        Bench { dtype, k, rows: groups * ROW_GROUP, weights }
    }

    fn figure(&self, tokens: usize, threads: usize) -> String {
        // Enough rows to time, but no more than a second or two of work.
        let rows = if tokens == 1 { self.rows } else { (self.rows * 4 / tokens).min(self.rows) };
        let rows = rows.next_multiple_of(CHUNK).min(self.rows);
        let seconds = (0..3).map(|_| self.run(rows, tokens, threads)).fold(f64::MAX, f64::min);
        if tokens == 1 {
            return format!("{:6.1}", self.dtype.packed_bytes(rows, self.k) as f64 / seconds / 1e9);
        }
        format!("{:6.0}", 2.0 * (rows * self.k * tokens) as f64 / seconds / 1e9)
    }

    fn run(&self, rows: usize, tokens: usize, threads: usize) -> f64 {
        let stride = self.dtype.input_bytes(self.k);
        let mut inputs = vec![0; tokens * stride];
        let x: Vec<f32> = (0..self.k).map(|i| (i % 17) as f32 - 8.0).collect();
        inputs.chunks_exact_mut(stride).for_each(|row| self.dtype.prepare_input(&x, row));
        let mut output = vec![0.0_f32; tokens * rows];
        let (weights, inputs) = (self.weights.as_ptr().addr(), inputs.as_ptr().addr());
        let (address, next) = (output.as_mut_ptr().addr(), AtomicUsize::new(0));
        let work = || {
            loop {
                let row_begin = next.fetch_add(CHUNK, Ordering::Relaxed);
                if row_begin >= rows {
                    return;
                }
                let tile = MatmulTile {
                    weights: std::ptr::with_exposed_provenance(weights),
                    k: self.k,
                    row_begin,
                    row_end: rows.min(row_begin + CHUNK),
                    inputs: std::ptr::with_exposed_provenance(inputs),
                    input_stride: stride,
                    token_count: tokens,
                    output: std::ptr::with_exposed_provenance_mut(address),
                    output_stride: rows,
                };
                // SAFETY: the buffers outlive the scope below, and a chunk has one thread.
                unsafe { self.dtype.matmul(&tile) };
            }
        };
        let begin = Instant::now();
        std::thread::scope(|scope| {
            (1..threads).for_each(|_| drop(scope.spawn(work)));
            work();
        });
        begin.elapsed().as_secs_f64()
    }
}

/// Zeroed memory in huge pages where the system has them; never given back.
fn huge_pages(bytes: usize) -> &'static mut [u8] {
    let layout = Layout::from_size_align(bytes.next_multiple_of(HUGE_PAGE), HUGE_PAGE)
        .expect("a size and alignment that fit the address space");
    // SAFETY: the layout has a size above zero.
    let memory = unsafe { alloc_zeroed(layout) };
    if memory.is_null() {
        handle_alloc_error(layout);
    }
    #[cfg(target_os = "linux")]
    {
        unsafe extern "C" {
            fn madvise(address: *mut u8, len: usize, advice: i32) -> i32;
        }
        const MADV_HUGEPAGE: i32 = 14;
        // SAFETY: the range is this allocation; the advice changes no contents.
        unsafe { madvise(memory, layout.size(), MADV_HUGEPAGE) };
    }
    // SAFETY: `alloc_zeroed` gave at least `bytes` bytes, which nothing else has.
    unsafe { std::slice::from_raw_parts_mut(memory, bytes) }
}
