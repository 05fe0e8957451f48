//! Ops that choose rows, or make one of many.

use crate::batch::Sequence;
use candle_core::{Result, Tensor};
use graph::Pooling;

/// The rows of `x` with these numbers.
pub(crate) fn select(x: &Tensor, rows: &[u32]) -> Result<Tensor> {
    x.index_select(&Tensor::new(rows, x.device())?, 0)
}

/// For each of `rows` one value for the whole sequence that it belongs to.
pub(crate) fn pool(
    x: &Tensor,
    how: Pooling,
    rows: &[u32],
    sequences: &[Sequence<'_>],
) -> Result<Tensor> {
    let mut pooled = Vec::new();
    for &row in rows {
        let has_row = |sequence: &&Sequence<'_>| sequence.rows.contains(&(row as usize));
        let Some(sequence) = sequences.iter().find(has_row) else {
            candle_core::bail!("row {row} belongs to no sequence")
        };
        let all = x.narrow(0, sequence.rows.start, sequence.rows.len())?;
        pooled.push(match how {
            Pooling::Mean => all.mean_keepdim(0)?,
            Pooling::First => all.narrow(0, 0, 1)?,
        });
    }
    Tensor::cat(&pooled, 0)
}
