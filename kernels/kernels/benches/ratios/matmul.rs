//! Matrix products of weights that come from memory: kernel and plain loop each walk on through a
//! matrix that is larger than caches, a share of it in each turn.

use std::hint::black_box;

use kernels::{Dtype, MatmulTile, ROW_GROUP};

use crate::clock::Pair;
use crate::memory::huge_pages;
use crate::reference;

/// Values of a row.
const K: usize = 1024;
/// Multiplications of a turn: so few that a turn seldom loses its core.
const PRODUCTS: usize = 4 << 20;
/// Bytes of either matrix.
const MATRIX_BYTES: usize = 128 << 20;

/// The memory of the weights, which every case uses anew.
pub(crate) struct Matrices {
    packed: &'static mut [u8],
    plain: Vec<f32>,
}

/// Which rows come next.
struct Cursor {
    next: usize,
    rows: usize,
}

impl Matrices {
    pub(crate) fn new() -> Self {
        let packed = huge_pages(MATRIX_BYTES);
        Matrices { packed, plain: vec![0.5; MATRIX_BYTES / 4] }
    }

    /// For one token either reads as many bytes, for more either multiplies as often.
    pub(crate) fn pair(&mut self, dtype: &'static Dtype, tokens: usize) -> Pair<'_> {
        let row_bytes = dtype.packed_bytes(ROW_GROUP, K) / ROW_GROUP;
        let rows = PRODUCTS / K / tokens;
        let plain_rows = if tokens == 1 { rows * row_bytes / (4 * K) } else { rows };
        let values: Vec<f32> = (0..tokens * K).map(|i| (i % 17) as f32 - 8.0).collect();
        let mut prepared = vec![0; tokens * dtype.input_bytes(K)];
        let inputs = prepared.chunks_exact_mut(dtype.input_bytes(K));
        inputs.zip(values.chunks_exact(K)).for_each(|(dst, x)| dtype.prepare_input(x, dst));

        fill(dtype, self.packed);
        let packed = &*self.packed;
        let (mut output, mut place) = (vec![0.0; tokens * rows], Cursor { next: 0, rows });
        let kernel = move || {
            let weights = place.take(packed, row_bytes);
            multiply(dtype, weights, &prepared, &mut output);
            black_box(&mut output);
        };
        let plain = self.plain.as_slice();
        let (mut output, mut place) =
            (vec![0.0; tokens * plain_rows], Cursor { next: 0, rows: plain_rows });
        let reference = move || {
            reference::matmul(place.take(plain, K), &values, K, &mut output);
            black_box(&mut output);
        };
        Pair {
            kernel: Box::new(kernel),
            reference: Box::new(reference),
            bytes: rows * row_bytes,
            operations: 2 * rows * K * tokens,
        }
    }
}

impl Cursor {
    /// The next rows of a matrix of `width` elements a row, from its start when it ends.
    fn take<'a, T>(&mut self, matrix: &'a [T], width: usize) -> &'a [T] {
        if (self.next + self.rows) * width > matrix.len() {
            self.next = 0;
        }
        let begin = self.next * width;
        self.next += self.rows;
        &matrix[begin..begin + self.rows * width]
    }
}

/// Fills memory with packed groups of equal rows.
fn fill(dtype: &Dtype, matrix: &mut [u8]) {
    let mut group = vec![0; dtype.packed_bytes(ROW_GROUP, K)];
    dtype.pack(&vec![0x3c; ROW_GROUP * dtype.row_bytes(K)], K, &mut group);
    matrix.chunks_exact_mut(group.len()).for_each(|packed| packed.copy_from_slice(&group));
}

/// `output[token][row]` of whole row groups and prepared inputs.
fn multiply(dtype: &Dtype, weights: &[u8], inputs: &[u8], output: &mut [f32]) {
    let input_stride = dtype.input_bytes(K);
    let token_count = inputs.len() / input_stride;
    let rows = output.len() / token_count;
    assert_eq!(weights.len(), dtype.packed_bytes(rows, K), "bytes of packed weights");
    let tile = MatmulTile {
        weights: weights.as_ptr(),
        k: K,
        row_begin: 0,
        row_end: rows,
        inputs: inputs.as_ptr(),
        input_stride,
        token_count,
        output: output.as_mut_ptr(),
        output_stride: rows,
    };
    // SAFETY: the weights and inputs are whole and of this dtype, the output has `rows` for each
    // token and is borrowed alone.
    unsafe { dtype.matmul(&tile) };
}
