//! What happens to rows of values between two matrix products, and their preparation for one.

use std::hint::black_box;

use kernels::Dtype;
use kernels::ops::{self, Activation};

use crate::case::RowOp;
use crate::clock::Pair;
use crate::reference;

const WIDTH: usize = 4096;
const ROWS: usize = 16;
const EPS: f32 = 1e-6;
const CAP: f32 = 30.0;

/// What a row operation reads, and where it writes.
struct Row<'a> {
    /// One row for all, as weights, bias and the other half of a gated unit.
    other: &'a [f32],
    x: &'a [f32],
    out: &'a mut [f32],
}

pub(crate) fn op_pair(op: RowOp) -> Pair<'static> {
    Pair {
        kernel: each_row(move |row| by_kernel(op, row)),
        reference: each_row(move |row| by_reference(op, row)),
        bytes: 2 * size_of::<f32>() * ROWS * WIDTH,
        operations: ROWS * WIDTH,
    }
}

pub(crate) fn input_pair(dtype: &'static Dtype) -> Pair<'static> {
    let mut prepared = vec![0; dtype.input_bytes(WIDTH)];
    let stored_bytes = prepared.len();
    let kernel = each_row(move |row| {
        dtype.prepare_input(row.x, &mut prepared);
        black_box(&mut prepared);
    });
    let mut rounded = vec![0; WIDTH / 32 * 36];
    let reference = each_row(move |row| {
        if dtype.rounds_inputs() {
            reference::round_to_bytes(row.x, &mut rounded);
        } else {
            row.out.copy_from_slice(row.x);
        }
        black_box(&mut rounded);
    });
    let bytes = ROWS * (WIDTH * size_of::<f32>() + stored_bytes);
    Pair { kernel, reference, bytes, operations: ROWS * WIDTH }
}

/// Calls `run` for the rows of its own copy of the same values.
fn each_row(mut run: impl FnMut(Row<'_>) + 'static) -> Box<dyn FnMut()> {
    let values: Vec<f32> = (0..ROWS * WIDTH).map(|i| (i * 7 % 31) as f32 / 4.0 - 4.0).collect();
    let other: Vec<f32> = (0..WIDTH).map(|i| (i % 13) as f32 / 13.0).collect();
    let mut out = vec![0.0; ROWS * WIDTH];
    Box::new(move || {
        for (x, out) in values.chunks_exact(WIDTH).zip(out.chunks_exact_mut(WIDTH)) {
            run(Row { other: &other, x, out });
        }
        black_box(&mut out);
    })
}

/// Operations in place work on a copy: repeated, they would run into zeros.
fn by_kernel(op: RowOp, Row { other, x, out }: Row<'_>) {
    match op {
        RowOp::Softmax => ops::softmax_in_place(copied(x, out)),
        RowOp::Softcap => ops::softcap_in_place(copied(x, out), CAP),
        RowOp::SiluGlu => ops::glu(Activation::Silu, x, other, out),
        RowOp::GeluTanhGlu => ops::glu(Activation::GeluTanh, x, other, out),
        RowOp::RmsNorm => ops::rms_norm(x, other, EPS, 0.0, out),
        RowOp::LayerNorm => ops::layer_norm(x, other, Some(other), EPS, out),
        RowOp::RopeNeox => {
            let (cos, sin) = other.split_at(WIDTH / 2);
            ops::rope_neox(copied(x, out), cos, sin);
        }
    }
}

fn by_reference(op: RowOp, Row { other, x, out }: Row<'_>) {
    match op {
        RowOp::Softmax => reference::softmax(copied(x, out)),
        RowOp::Softcap => reference::softcap(copied(x, out), CAP),
        RowOp::SiluGlu => reference::silu_glu(x, other, out),
        RowOp::GeluTanhGlu => reference::gelu_tanh_glu(x, other, out),
        RowOp::RmsNorm => reference::rms_norm(x, other, EPS, out),
        RowOp::LayerNorm => reference::layer_norm(x, other, other, EPS, out),
        RowOp::RopeNeox => {
            let (cos, sin) = other.split_at(WIDTH / 2);
            reference::rope_neox(copied(x, out), cos, sin);
        }
    }
}

fn copied<'a>(x: &[f32], out: &'a mut [f32]) -> &'a mut [f32] {
    out.copy_from_slice(x);
    out
}
