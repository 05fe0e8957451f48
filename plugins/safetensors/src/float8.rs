//! Matrices of 8-bit floats with scales, read as rows of `f8_e4m3`.
//!
//! Codes lie as the matrix does; a scale is for all of it, for a row, or for a block of rows and
//! columns, and multiplies the values in spite of the name `weight_scale_inv`. A tensor without
//! scales has values as they are. Where rows, or the columns with one scale, are no whole blocks of
//! 32, the rows are the same values in f32. Scales of activations (`input_scale`) are left alone,
//! because activations are not rounded here. Sources: DeepSeek-AI, DeepSeek-V3 Technical Report,
//! 2024, and transformers' `FineGrainedFP8Config`; AutoFP8; compressed-tensors' `float-quantized`.

use crate::shard::Shard;
use crate::stored::{ScaleSpan, Scales, Span, Stored, StoredTensors};
use kernel_dtypes::F8E4m3;
use plugin_api::{Dtype, Error};
use std::ops::Range;

/// What follows the name of a tensor in the names of its scales: of blocks, and of any kind.
const BLOCK_SCALES: &str = "_scale_inv";
const SCALES: &str = "_scale";
/// Ends of the names of scales of weights.
pub(crate) const SCALE_ENDS: [&str; 2] = ["weight_scale_inv", "weight_scale"];
const F32_BYTES: usize = 4;

/// A matrix and its scales.
#[derive(Debug)]
pub(crate) struct Float8 {
    codes: Span,
    scales: Option<ScaleSpan>,
    rows: usize,
    columns: usize,
    /// Rows and columns with one scale.
    sides: [usize; 2],
    in_blocks: bool,
}

impl Float8 {
    /// The matrix of `codes`, or the matrices one upon the other; `block` is how many rows and
    /// columns share a scale, if blocks do.
    pub(crate) fn new(
        tensors: &StoredTensors<'_>,
        codes: Stored<'_>,
        block: Option<[usize; 2]>,
    ) -> Result<Self, Error> {
        let name = &codes.info.name;
        let (columns, rows) = match codes.info.shape.split_last() {
            Some((&columns, outer)) => (columns, outer.iter().product()),
            None => (1, 1),
        };
        if rows == 0 || columns == 0 {
            return Err(codes.other("a tensor that is not empty"));
        }
        let part = |end: &str| tensors.get(&format!("{name}{end}"));
        let (scales, sides) = match (part(BLOCK_SCALES), part(SCALES)) {
            (Some(scales), None) => (Some(scales), sides(codes, scales, block, true)?),
            (None, Some(scales)) => (Some(scales), sides(codes, scales, block, false)?),
            (None, None) => (None, [rows, columns]),
            (Some(scales), Some(_)) => {
                return Err(scales.fault("_scale too", "scales of one kind"));
            }
        };
        let whole = |count: usize| count.is_multiple_of(F8E4m3::BLOCK_LEN);
        let in_blocks = whole(columns) && (sides[1] >= columns || whole(sides[1]));
        let scales = scales.map(|scales| scales.scales()).transpose()?;
        Ok(Self { codes: codes.span(), scales, rows, columns, sides, in_blocks })
    }

    pub(crate) fn dtype(&self) -> &'static str {
        if self.in_blocks { F8E4m3::NAME } else { "f32" }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn row_bytes(&self) -> usize {
        if self.in_blocks {
            self.columns / F8E4m3::BLOCK_LEN * F8E4m3::BLOCK_BYTES
        } else {
            self.columns * F32_BYTES
        }
    }

    /// Writes some rows, which the tensor has, to `dst`, which is as long as they are.
    pub(crate) fn read(
        &self,
        shards: &[Shard],
        rows: Range<usize>,
        dst: &mut [u8],
    ) -> Result<(), Error> {
        let codes = self.codes.bytes(shards);
        let scales = self.scales.as_ref().map(|scales| scales.scales(shards));
        for (row, dst) in rows.zip(dst.chunks_exact_mut(self.row_bytes())) {
            let codes = &codes[row * self.columns..][..self.columns];
            let scale = |column| self.scale(scales, row, column);
            let read =
                if self.in_blocks { blocks(codes, scale, dst) } else { values(codes, scale, dst) };
            if let (None, Some(scales)) = (read, &self.scales) {
                return Err(scales.fault(shards));
            }
        }
        Ok(())
    }

    /// The scale of a value, if it is a finite number.
    fn scale(&self, scales: Option<Scales<'_>>, row: usize, column: usize) -> Option<f32> {
        let Some(scales) = scales else { return Some(1.0) };
        let [height, width] = self.sides;
        scales.get(row / height * self.columns.div_ceil(width) + column / width)
    }
}

/// How many rows and columns of `codes` share one of `scales`, by the shapes of both.
fn sides(
    codes: Stored<'_>,
    scales: Stored<'_>,
    block: Option<[usize; 2]>,
    only_blocks: bool,
) -> Result<[usize; 2], Error> {
    let [rows, columns] = codes.matrix("f8_e4m3")?;
    let all = [rows, columns];
    let kinds = [
        (vec![], all),
        (vec![1], all),
        (vec![1, 1], all),
        (vec![rows], [1, columns]),
        (vec![rows, 1], [1, columns]),
    ];
    let kinds = kinds.into_iter().filter(|_| !only_blocks);
    let block = block.map(|[height, width]| {
        (vec![rows.div_ceil(height), columns.div_ceil(width)], [height, width])
    });
    let kinds: Vec<_> = kinds.chain(block).collect();
    if let Some((_, sides)) = kinds.iter().find(|(shape, _)| *shape == scales.info.shape) {
        return Ok(*sides);
    }
    let shapes: Vec<_> = kinds.iter().map(|(shape, _)| format!("{shape:?}")).collect();
    let expected = match shapes.as_slice() {
        [] => "weight_block_size in the quantization_config of config.json".to_owned(),
        shapes => format!("shape {}", shapes.join(" or ")),
    };
    Err(scales.other(&expected))
}

/// A row as blocks of `f8_e4m3`: its codes as they are, each 32 of them after their scale.
fn blocks(codes: &[u8], scale: impl Fn(usize) -> Option<f32>, dst: &mut [u8]) -> Option<()> {
    let blocks =
        codes.chunks_exact(F8E4m3::BLOCK_LEN).zip(dst.chunks_exact_mut(F8E4m3::BLOCK_BYTES));
    for (index, (codes, dst)) in blocks.enumerate() {
        let (front, back) = dst.split_at_mut(F32_BYTES);
        front.copy_from_slice(&scale(index * F8E4m3::BLOCK_LEN)?.to_le_bytes());
        back.copy_from_slice(codes);
    }
    Some(())
}

/// A row as values in f32, which are the ones that its blocks would have.
fn values(codes: &[u8], scale: impl Fn(usize) -> Option<f32>, dst: &mut [u8]) -> Option<()> {
    let mut values = [0.0; F8E4m3::BLOCK_LEN];
    let mut dst = dst.as_chunks_mut().0.iter_mut();
    for (index, codes) in codes.chunks(F8E4m3::BLOCK_LEN).enumerate() {
        let mut block = [0; F8E4m3::BLOCK_BYTES];
        block[..F32_BYTES].copy_from_slice(&1.0_f32.to_le_bytes());
        block[F32_BYTES..][..codes.len()].copy_from_slice(codes);
        F8E4m3::dequantize(&block, &mut values).ok()?;
        for (place, (value, dst)) in values[..codes.len()].iter().zip(&mut dst).enumerate() {
            *dst = (scale(index * F8E4m3::BLOCK_LEN + place)? * value).to_le_bytes();
        }
    }
    Some(())
}
