//! Matrices of 4-bit codes, as GPTQ and AWQ checkpoints keep them, read as rows of `int4`.
//!
//! Such a matrix is a group of tensors: `qweight` (the codes, eight in a word, input by input),
//! `scales` and `qzeros` (of each group of inputs, for all outputs) and maybe `g_idx` (the group of
//! each input). A weight is `scale * (code - zero)`. The codes are put in other places, never
//! rounded again. Blocks of `int4` are 32 columns with one scale and zero; where groups do not
//! allow that, because inputs were ordered by the size of their activations (`desc_act`) or a
//! group is no multiple of 32, the rows are `f16` values, rounded as by GPTQ's own kernels. Scales
//! of other types become f16 first, as there. Sources: Frantar et al., GPTQ, 2022, and AutoGPTQ's
//! `qlinear`; Lin et al., AWQ, 2023, and AutoAWQ's `WQLinear_GEMM`.

use crate::quantization::{Layout, Packing};
use crate::shard::Shard;
use crate::stored::{ScaleSpan, Scales, Span, Stored, StoredTensors};
use half::f16;
use kernel_dtypes::Int4;
use plugin_api::{Dtype, Error};
use std::array;
use std::ops::Range;

/// Codes in a word.
const WORD: usize = 8;
/// Different codes.
const CODE_COUNT: usize = 16;
const F16_BYTES: usize = 2;
/// The zero of codes without one.
const MIDDLE: u8 = 8;

/// The end of the name of the tensor of codes.
pub(crate) const CODES: &str = "qweight";
const SCALES: &str = "scales";
const ZEROS: &str = "qzeros";
const ORDER: &str = "g_idx";
/// Ends of the names of the tensors that belong to the codes.
pub(crate) const PARTS: [&str; 3] = [SCALES, ZEROS, ORDER];

/// A matrix and the tensors that it is made from.
#[derive(Debug)]
pub(crate) struct FourBit {
    layout: Layout,
    codes: Span,
    scales: ScaleSpan,
    zeros: Option<Span>,
    order: Option<Span>,
    rows: usize,
    columns: usize,
    groups: usize,
    /// Columns in a group, if no order is stored.
    group_size: usize,
    /// Whether every block of `int4` lies in one group.
    in_blocks: bool,
}

impl FourBit {
    /// The matrix `name`, whose codes are `codes`; all its tensors have to fit each other.
    pub(crate) fn new(
        (tensors, shards): (&StoredTensors<'_>, &[Shard]),
        (name, codes): (&str, Stored<'_>),
        packing: &Packing,
    ) -> Result<Self, Error> {
        let [height, width] = codes.matrix("i32")?;
        let (rows, columns) = match packing.layout {
            Layout::Gptq(_) => (width, height * WORD),
            Layout::Awq => (width * WORD, height),
        };
        if !rows.is_multiple_of(WORD) || !columns.is_multiple_of(WORD) {
            return Err(codes.other("rows and columns in multiples of 8"));
        }
        let group_size = packing.group_size.unwrap_or(columns);
        let groups = columns.div_ceil(group_size);
        let part = |end: &str| tensors.get(&format!("{name}.{end}"));
        let missing = |end| codes.fault(&format!("no {name}.{end}"), "it beside the codes");
        let scales = part(SCALES).ok_or_else(|| missing(SCALES))?;
        if scales.info.shape != [groups, rows] {
            return Err(scales.other(&format!("shape {:?}", [groups, rows])));
        }
        let zeros = match part(ZEROS) {
            Some(zeros) => Some(zeros.words(&[groups, rows / WORD])?),
            None if packing.has_zeros => return Err(missing(ZEROS)),
            None => None,
        };
        let order = match part(ORDER) {
            Some(order) => {
                let span = order.words(&[columns])?;
                if order.bytes(shards).as_chunks().0.iter().any(|group| index(*group) >= groups) {
                    return Err(
                        order.fault("a group that is not there", &format!("0 to {}", groups - 1))
                    );
                }
                Some(span)
            }
            None if packing.has_order => return Err(missing(ORDER)),
            None => None,
        };
        let (codes, scales) = (codes.span(), scales.scales()?);
        let layout = packing.layout;
        let mut matrix = Self {
            layout,
            codes,
            scales,
            zeros,
            order,
            rows,
            columns,
            groups,
            group_size,
            in_blocks: false,
        };
        matrix.in_blocks = matrix.view(shards).blocks_lie_in_groups();
        Ok(matrix)
    }

    pub(crate) fn dtype(&self) -> &'static str {
        if self.in_blocks { Int4::NAME } else { "f16" }
    }

    pub(crate) fn shape(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    pub(crate) fn row_bytes(&self) -> usize {
        if self.in_blocks {
            self.columns / Int4::BLOCK_LEN * Int4::BLOCK_BYTES
        } else {
            self.columns * F16_BYTES
        }
    }

    /// Writes some rows, which the matrix has, to `dst`, which is as long as they are.
    pub(crate) fn read(
        &self,
        shards: &[Shard],
        rows: Range<usize>,
        dst: &mut [u8],
    ) -> Result<(), Error> {
        let view = self.view(shards);
        let read = if self.in_blocks { view.blocks(&rows, dst) } else { view.values(&rows, dst) };
        read.ok_or_else(|| self.scales.fault(shards))
    }

    fn view<'a>(&'a self, shards: &'a [Shard]) -> View<'a> {
        View {
            matrix: self,
            codes: self.codes.words(shards),
            scales: self.scales.scales(shards),
            zeros: self.zeros.as_ref().map(|zeros| zeros.words(shards)),
            order: self.order.as_ref().map(|order| order.words(shards)),
        }
    }
}

/// A matrix with the bytes of its tensors.
struct View<'a> {
    matrix: &'a FourBit,
    codes: &'a [[u8; 4]],
    scales: Scales<'a>,
    zeros: Option<&'a [[u8; 4]]>,
    order: Option<&'a [[u8; 4]]>,
}

impl View<'_> {
    fn group(&self, column: usize) -> usize {
        self.order.map_or(column / self.matrix.group_size, |order| index(order[column]))
    }

    fn blocks_lie_in_groups(&self) -> bool {
        let columns = self.matrix.columns;
        let in_group = |begin: usize| {
            let group = self.group(begin);
            (begin..begin + Int4::BLOCK_LEN).all(|column| self.group(column) == group)
        };
        columns.is_multiple_of(Int4::BLOCK_LEN)
            && (0..columns).step_by(Int4::BLOCK_LEN).all(in_group)
    }

    /// The codes of eight columns of a row, the first in the lowest bits.
    fn codes(&self, eighth: usize, row: usize) -> u32 {
        let FourBit { layout, rows, .. } = *self.matrix;
        match layout {
            Layout::Gptq(_) => u32::from_le_bytes(self.codes[eighth * rows + row]),
            Layout::Awq => (0..WORD).fold(0, |codes, column| {
                let word = self.codes[(eighth * WORD + column) * (rows / WORD) + row / WORD];
                codes | nibble(word, awq_place(row)) << (4 * column)
            }),
        }
    }

    /// Scale and zero of a group in a row, if they are finite numbers.
    fn scale(&self, group: usize, row: usize) -> Option<(f16, u8)> {
        let FourBit { layout, rows, .. } = *self.matrix;
        let scale = f16::from_f32(self.scales.get(group * rows + row)?);
        let stored = |place| {
            let word = self.zeros.map(|zeros| zeros[group * (rows / WORD) + row / WORD]);
            word.map(|word| nibble(word, place) as u8)
        };
        let zero = match layout {
            Layout::Gptq(less) => stored(row % WORD).map(|zero| zero + less),
            Layout::Awq => stored(awq_place(row)),
        };
        scale.is_finite().then_some((scale, zero.unwrap_or(MIDDLE)))
    }

    /// Rows as blocks of `int4`. A block of all rows comes before the next one, because the codes
    /// of a column lie together.
    fn blocks(&self, rows: &Range<usize>, dst: &mut [u8]) -> Option<()> {
        let row_bytes = self.matrix.row_bytes();
        for block in 0..self.matrix.columns / Int4::BLOCK_LEN {
            let group = self.group(block * Int4::BLOCK_LEN);
            for (row, dst) in rows.clone().zip(dst.chunks_exact_mut(row_bytes)) {
                let (scale, zero) = self.scale(group, row)?;
                let codes = array::from_fn(|i| self.codes(block * 4 + i, row));
                let dst = &mut dst[block * Int4::BLOCK_BYTES..][..Int4::BLOCK_BYTES];
                dst[..2].copy_from_slice(&scale.to_le_bytes());
                dst[2..4].copy_from_slice(&[zero, 0]);
                dst[4..].copy_from_slice(nibbles(codes).as_flattened());
            }
        }
        Some(())
    }

    /// Rows as values in f16, eight columns of all rows before the next ones.
    fn values(&self, rows: &Range<usize>, dst: &mut [u8]) -> Option<()> {
        let (row_bytes, levels) = (self.matrix.row_bytes(), self.levels(rows)?);
        for eighth in 0..self.matrix.columns / WORD {
            let groups: [_; WORD] = array::from_fn(|i| self.group(eighth * WORD + i));
            for (index, dst) in dst.chunks_exact_mut(row_bytes).enumerate() {
                let codes = self.codes(eighth, rows.start + index).to_le_bytes();
                let dst = &mut dst[eighth * WORD * F16_BYTES..];
                let values = dst.as_chunks_mut::<F16_BYTES>().0;
                for (place, (value, group)) in values.iter_mut().zip(groups).enumerate() {
                    let levels = levels.get(group * rows.len() + index)?;
                    *value = levels[nibble(codes, place) as usize];
                }
            }
        }
        Some(())
    }

    /// The value of each code in f16, by group and row.
    fn levels(&self, rows: &Range<usize>) -> Option<Vec<[[u8; F16_BYTES]; CODE_COUNT]>> {
        let places =
            (0..self.matrix.groups).flat_map(|group| rows.clone().map(move |row| (group, row)));
        let levels = places.map(|(group, row)| {
            let (scale, zero) = self.scale(group, row)?;
            // Exact in f32, so this rounds once.
            let value = |code| scale.to_f32() * (code as f32 - f32::from(zero));
            Some(array::from_fn(|code| f16::from_f32(value(code)).to_le_bytes()))
        });
        levels.collect()
    }
}

/// The group that `g_idx` names; one that cannot be is too large for any tensor.
fn index(word: [u8; 4]) -> usize {
    usize::try_from(i32::from_le_bytes(word)).unwrap_or(usize::MAX)
}

fn nibble(word: [u8; 4], place: usize) -> u32 {
    u32::from_le_bytes(word) >> (4 * place) & 15
}

/// The place in a word of AWQ's of a row: even rows come before odd ones.
fn awq_place(row: usize) -> usize {
    row % WORD / 2 + row % 2 * 4
}

/// Four words of codes in the order of a block: those of the second half are the upper nibbles.
fn nibbles(words: [u32; 4]) -> [[u8; WORD]; 2] {
    let [a, b, c, d] = words.map(spread);
    [a | c << 4, b | d << 4].map(u64::to_le_bytes)
}

/// The nibbles of a word, one in each byte.
fn spread(word: u32) -> u64 {
    let halves = (u64::from(word) | u64::from(word) << 16) & 0x0000_ffff_0000_ffff;
    let bytes = (halves | halves << 8) & 0x00ff_00ff_00ff_00ff;
    (bytes | bytes << 4) & 0x0f0f_0f0f_0f0f_0f0f
}
