//! Row stages: everything that works on one row at a time, fused.
//!
//! Between two matrix products there are norms, rotations, sums and the preparation of the next
//! input. A row stage runs all of them on a row while it is in the first-level cache, and many
//! rows in parallel; a single row costs no barrier at all. An op reads and writes its own row
//! only.

use crate::frame::{Frame, Row};
use crate::kernel::Kernel;
use crate::kv::KvRow;
use crate::plan::{BufferId, RowSet};
use crate::pool;
use graph::{Activation, RopeStyle, WeightId};
use kernels::ops;
use plugin_api::Error;

/// Floats that one chunk touches: enough to be worth handing out.
const CHUNK_FLOATS: usize = 1 << 14;

/// Ops on every row of a set.
#[derive(Debug)]
pub(crate) struct RowStage {
    pub(crate) rows: RowSet,
    pub(crate) ops: Vec<RowOp>,
    /// Floats the ops touch in a row, roughly.
    pub(crate) row_floats: usize,
}

/// One op on one row. `on` is changed in place.
#[derive(Debug, Clone)]
pub(crate) enum RowOp {
    Embed {
        table: WeightId,
        to: BufferId,
    },
    Copy {
        from: BufferId,
        to: BufferId,
    },
    /// Row `i` of the selected ones, from among all.
    Select {
        from: BufferId,
        to: BufferId,
    },
    RmsNorm {
        from: BufferId,
        to: BufferId,
        norm: Norm,
    },
    /// Cosines, then sines, of the row's position.
    Angles {
        table: usize,
        to: BufferId,
    },
    Rope {
        on: BufferId,
        angles: BufferId,
        heads: usize,
        style: RopeStyle,
    },
    Add {
        on: BufferId,
        from: BufferId,
    },
    Mul {
        on: BufferId,
        from: BufferId,
    },
    Scale {
        on: BufferId,
        by: f32,
    },
    Softcap {
        on: BufferId,
        cap: f32,
    },
    Activate {
        on: BufferId,
        function: Activation,
    },
    /// The input that matrices of one input format share.
    Prepare {
        from: BufferId,
        to: BufferId,
        kernel: Kernel,
    },
    /// Keys and values of the row's position to their slot.
    Store {
        keys: BufferId,
        values: BufferId,
        cache: usize,
    },
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Norm {
    pub(crate) weight: WeightId,
    pub(crate) eps: f32,
    pub(crate) weight_add: f32,
}

impl RowStage {
    pub(crate) fn run(&self, frame: &Frame<'_>) -> Result<(), Error> {
        let count = frame.row_count(self.rows);
        let size = (CHUNK_FLOATS / self.row_floats.max(1)).max(1);
        pool::run(frame.threads, count.div_ceil(size), &|chunk, _| {
            for index in chunk * size..count.min((chunk + 1) * size) {
                // SAFETY: the row is below the count of its set and in this chunk only.
                let mut row = unsafe { frame.row(index) };
                self.ops.iter().try_for_each(|op| op.run(&mut row))?;
            }
            Ok(())
        })
    }
}

impl RowOp {
    /// The buffers it reads or writes; the first is as wide as its work.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = BufferId> {
        let (first, second) = match *self {
            Self::Embed { to, .. } | Self::Angles { to, .. } => (to, None),
            Self::Copy { from, to }
            | Self::Select { from, to }
            | Self::RmsNorm { from, to, .. }
            | Self::Prepare { from, to, .. } => (from, Some(to)),
            Self::Rope { on, angles, .. } => (on, Some(angles)),
            Self::Add { on, from } | Self::Mul { on, from } => (on, Some(from)),
            Self::Scale { on, .. } | Self::Softcap { on, .. } | Self::Activate { on, .. } => {
                (on, None)
            }
            Self::Store { keys, values, .. } => (keys, Some(values)),
        };
        std::iter::once(first).chain(second)
    }

    /// Runs the op on one row.
    fn run(&self, row: &mut Row<'_>) -> Result<(), Error> {
        let frame = row.frame;
        match *self {
            Self::Embed { table, to } => {
                let token = frame.batch.token_ids[row.index] as usize;
                let values = frame.weights.table_row(table, token);
                return frame.weights.tensor(table).kernel.dequantize(values, row.write(to));
            }
            Self::Copy { from, to } => {
                let (from, to) = row.read_write(from, to);
                to.copy_from_slice(from);
            }
            Self::Select { from, to } => {
                let (from, to) = row.select(from, to);
                to.copy_from_slice(from);
            }
            Self::RmsNorm { from, to, norm } => {
                let (from, to) = row.read_write(from, to);
                norm.run(frame.weights.vector(norm.weight), from, to);
            }
            Self::Angles { table, to } => {
                let position = frame.batch.positions[row.index];
                angles(&frame.plan.rope_tables[table], position, row.write(to));
            }
            Self::Rope { on, angles, heads, style } => {
                let (angles, on) = row.read_write(angles, on);
                rotate(on, angles, heads, style);
            }
            Self::Add { on, from } => {
                let (from, on) = row.read_write(from, on);
                ops::add_in_place(on, from);
            }
            Self::Mul { on, from } => {
                let (from, on) = row.read_write(from, on);
                ops::mul_in_place(on, from);
            }
            Self::Scale { on, by } => ops::scale_in_place(row.write(on), by),
            Self::Softcap { on, cap } => ops::softcap_in_place(row.write(on), cap),
            Self::Activate { on, function } => ops::activate(activation(function), row.write(on)),
            Self::Prepare { from, to, kernel } => {
                let (from, to) = row.read_write_bytes(from, to);
                return kernel.prepare_input(from, to);
            }
            Self::Store { keys, values, cache } => {
                let slot = frame.batch.slots[row.index] as usize;
                let stored = KvRow { keys: row.read(keys), values: row.read(values) };
                // SAFETY: the checker refused batches in which two rows have one slot, and
                // attention reads in another stage.
                unsafe { frame.kv.store(cache, slot, stored) };
            }
        }
        Ok(())
    }
}

impl Norm {
    /// Normalises each part of the row that is as long as the weight.
    fn run(&self, weight: &[f32], from: &[f32], to: &mut [f32]) {
        let width = weight.len();
        for (from, to) in from.chunks_exact(width).zip(to.chunks_exact_mut(width)) {
            ops::rms_norm(from, weight, self.eps, self.weight_add, to);
        }
    }
}

/// Cosines, then sines, of a position; they depend on nothing else, so every layer and every
/// batch sees the same bits.
fn angles(table: &graph::RopeTable, position: u32, to: &mut [f32]) {
    let (cos, sin) = to.split_at_mut(table.frequencies.len());
    for ((cos, sin), frequency) in cos.iter_mut().zip(sin).zip(&table.frequencies) {
        let (s, c) = f64::from(position as f32 * frequency).sin_cos();
        *cos = c as f32 * table.magnitude;
        *sin = s as f32 * table.magnitude;
    }
}

fn rotate(on: &mut [f32], angles: &[f32], heads: usize, style: RopeStyle) {
    let (cos, sin) = angles.split_at(angles.len() / 2);
    let head_dim = on.len() / heads;
    for head in on.chunks_exact_mut(head_dim) {
        match style {
            RopeStyle::Neox => ops::rope_neox(head, cos, sin),
            RopeStyle::Interleaved => ops::rope_interleaved(head, cos, sin),
        }
    }
}

/// The graph's word for a function in the kernels' words.
pub(crate) fn activation(function: Activation) -> ops::Activation {
    match function {
        Activation::Silu => ops::Activation::Silu,
        Activation::Gelu => ops::Activation::Gelu,
        Activation::GeluTanh => ops::Activation::GeluTanh,
        Activation::Relu => ops::Activation::Relu,
    }
}
