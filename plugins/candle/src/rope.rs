//! Rotary positions: pairs of values of a head, turned by an angle that grows with the position.
//!
//! An angle is the f32 product of position and frequency, its sine and cosine are those of f64, as
//! every compute plugin has them: 16,000 positions away an f32 sine would be another number.

use crate::batch::Sequence;
use candle_core::{Device, Result, Tensor};
use graph::{RopeStyle, RopeTable};

/// Turns every head of every row.
pub(crate) fn rope(
    x: &Tensor,
    heads: usize,
    table: &RopeTable,
    style: RopeStyle,
    sequences: &[Sequence<'_>],
) -> Result<Tensor> {
    let pairs = table.frequencies.len();
    if pairs == 0 {
        return Ok(x.clone());
    }
    let (rows, width) = x.dims2()?;
    let [cos, sin] = angles(table, sequences, x.device())?;
    let x = x.reshape((rows, heads, width / heads))?;
    // The two values of a pair lie along one dimension of their own.
    let (shape, both) = match style {
        RopeStyle::Neox => ([rows, heads, 2, pairs], 2),
        RopeStyle::Interleaved => ([rows, heads, pairs, 2], 3),
    };
    let turning = x.narrow(2, 0, 2 * pairs)?.reshape(&shape)?;
    let (a, b) = (turning.get_on_dim(both, 0)?, turning.get_on_dim(both, 1)?);
    let turned_a = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
    let turned_b = (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?;
    let turned = Tensor::stack(&[turned_a, turned_b], both)?.reshape((rows, heads, 2 * pairs))?;
    let rest = x.narrow(2, 2 * pairs, width / heads - 2 * pairs)?;
    Tensor::cat(&[turned, rest], 2)?.reshape((rows, width))
}

/// Cosines and sines of every row, `[rows, 1, pairs]`.
fn angles(table: &RopeTable, sequences: &[Sequence<'_>], device: &Device) -> Result<[Tensor; 2]> {
    let (mut cos, mut sin) = (Vec::new(), Vec::new());
    for sequence in sequences {
        let long = table.long.as_ref().filter(|long| sequence.length > long.above);
        let frequencies = long.map_or(&table.frequencies, |long| &long.frequencies);
        for &position in sequence.positions {
            for frequency in frequencies {
                let (s, c) = f64::from(position as f32 * frequency).sin_cos();
                cos.push(c as f32 * table.magnitude);
                sin.push(s as f32 * table.magnitude);
            }
        }
    }
    let shape = (cos.len() / table.frequencies.len(), 1, table.frequencies.len());
    Ok([Tensor::from_vec(cos, shape, device)?, Tensor::from_vec(sin, shape, device)?])
}
