//! Rotary embedding: the angles of a row, and the rotation of its heads.
//!
//! Angles depend on the row's position and, where long sequences have frequencies of their own, on
//! the length of its sequence, and on nothing else: every layer and every batch sees the same bits.

use crate::batch::sequence_of;
use graph::{RopeStyle, RopeTable};
use kernels::ops;
use plugin_api::StepBatch;

/// Cosines, then sines, of a row of the batch.
pub(crate) fn angles(table: &RopeTable, batch: &StepBatch<'_>, row: usize, to: &mut [f32]) {
    let frequencies = match &table.long {
        Some(long) if length(batch, row) > long.above => &long.frequencies,
        _ => &table.frequencies,
    };
    let position = batch.positions[row] as f32;
    let (cos, sin) = to.split_at_mut(frequencies.len());
    for ((cos, sin), frequency) in cos.iter_mut().zip(sin).zip(frequencies) {
        let (s, c) = f64::from(position * frequency).sin_cos();
        *cos = c as f32 * table.magnitude;
        *sin = s as f32 * table.magnitude;
    }
}

/// Tokens of the row's sequence.
fn length(batch: &StepBatch<'_>, row: usize) -> usize {
    batch.sequence_lengths[sequence_of(batch, row)] as usize
}

/// Turns each head by the angles.
pub(crate) fn rotate(on: &mut [f32], angles: &[f32], heads: usize, style: RopeStyle) {
    let (cos, sin) = angles.split_at(angles.len() / 2);
    let head_dim = on.len() / heads;
    for head in on.chunks_exact_mut(head_dim) {
        match style {
            RopeStyle::Neox => ops::rope_neox(head, cos, sin),
            RopeStyle::Interleaved => ops::rope_interleaved(head, cos, sin),
        }
    }
}
