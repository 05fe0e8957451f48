//! Row stages: everything that works on one row at a time, fused.
//!
//! Between two matrix products there are norms, rotations, sums and the preparation of the next
//! input. A row stage runs all of them on a row while it is in the first-level cache, and many
//! rows in parallel; a single row costs no barrier at all. An op reads and writes its own row
//! only, except that one row may stand for many: a pooled sequence, or a row at its experts.

use crate::batch::range;
use crate::elementwise::{Change, Join};
use crate::frame::{Frame, Row};
use crate::kernel::Kernel;
use crate::kv::KvRow;
use crate::moe::ChoiceOp;
use crate::plan::{BufferId, RowSet};
use crate::pool;
use crate::rotate::{angles, rotate};
use graph::{Pooling, RopeStyle, WeightId};
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
        by: Lookup,
        to: BufferId,
    },
    /// To the values of `to` that begin at `at`.
    Copy {
        from: BufferId,
        to: BufferId,
        at: usize,
    },
    /// Row `i` of the selected ones, from among all.
    Select {
        from: BufferId,
        to: BufferId,
    },
    /// Row `i` of the selected ones, from all rows of sequence `i`.
    Pool {
        from: BufferId,
        to: BufferId,
        how: Pooling,
    },
    Norm {
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
    Change {
        on: BufferId,
        change: Change,
    },
    Join {
        on: BufferId,
        from: BufferId,
        join: Join,
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
    /// Part of a mixture of experts.
    Moe {
        choices: BufferId,
        op: ChoiceOp,
    },
}

/// What says which row of an embedding is a row's.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lookup {
    Token,
    Position,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Norm {
    Rms { weight: WeightId, eps: f32, weight_add: f32 },
    Layer { weight: WeightId, bias: Option<WeightId>, eps: f32 },
}

impl RowStage {
    pub(crate) fn run(&self, frame: &Frame<'_>) -> Result<(), Error> {
        let count = frame.row_count(self.rows);
        let size = (CHUNK_FLOATS / self.row_floats.max(1)).max(1);
        pool::run(frame.threads, count.div_ceil(size), &|chunk, worker| {
            let mut watch = frame.laps.watch(worker);
            for index in chunk * size..count.min((chunk + 1) * size) {
                // SAFETY: the row is below the count of its set and in this chunk only.
                let mut row = unsafe { frame.row(index) };
                for op in &self.ops {
                    op.run(&mut row)?;
                    watch.lap(|| op.kind());
                }
            }
            Ok(())
        })
    }
}

impl RowOp {
    /// The buffers it reads or writes.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = BufferId> {
        let (first, second, third) = match *self {
            Self::Embed { to, .. } | Self::Angles { to, .. } => (to, None, None),
            Self::Copy { from, to, .. }
            | Self::Select { from, to }
            | Self::Pool { from, to, .. }
            | Self::Norm { from, to, .. }
            | Self::Prepare { from, to, .. } => (from, Some(to), None),
            Self::Rope { on, angles, .. } => (on, Some(angles), None),
            Self::Change { on, .. } => (on, None, None),
            Self::Join { on, from, .. } => (on, Some(from), None),
            Self::Store { keys, values, .. } => (keys, Some(values), None),
            Self::Moe { choices, ref op } => {
                let (first, second) = op.buffers();
                (choices, Some(first), second)
            }
        };
        std::iter::once(first).chain(second).chain(third)
    }

    /// Runs the op on one row.
    fn run(&self, row: &mut Row<'_>) -> Result<(), Error> {
        let frame = row.frame;
        match *self {
            Self::Embed { table, by, to } => return embed(row, table, by, to),
            Self::Copy { from, to, at } => {
                let (from, to) = row.read_write::<f32, f32>(from, to);
                to[at..at + from.len()].copy_from_slice(from);
            }
            Self::Select { from, to } => {
                let index = frame.batch.logit_rows[row.index] as usize;
                // SAFETY: the checker made sure that it is a row; no op of a stage of selected
                // rows writes a buffer of all rows.
                let source = unsafe { frame.row(index) };
                row.write::<f32>(to).copy_from_slice(source.read(from));
            }
            Self::Pool { from, to, how } => pool_rows(row, from, to, how),
            Self::Norm { from, to, norm } => {
                let (from, to) = row.read_write(from, to);
                norm.run(frame, from, to);
            }
            Self::Angles { table, to } => {
                let (table, index) = (&frame.plan.rope_tables[table], row.index);
                angles(table, frame.batch, index, row.write(to));
            }
            Self::Rope { on, angles, heads, style } => {
                let (angles, on) = row.read_write(angles, on);
                rotate(on, angles, heads, style);
            }
            Self::Change { on, change } => change.run(frame, row.write(on)),
            Self::Join { on, from, join } => {
                let (from, on) = row.read_write(from, on);
                join.run(from, on);
            }
            Self::Prepare { from, to, kernel } => {
                let (from, to) = row.read_write(from, to);
                return kernel.prepare_input(from, to);
            }
            Self::Store { keys, values, cache } => {
                let slot = frame.batch.slots[row.index] as usize;
                let stored = KvRow { keys: row.read(keys), values: row.read(values) };
                // SAFETY: the checker refused batches in which two rows have one slot, and
                // attention reads in another stage.
                unsafe { frame.kv.store(cache, slot, stored) };
            }
            Self::Moe { choices, ref op } => return op.run(row, choices),
        }
        Ok(())
    }
}

fn embed(row: &mut Row<'_>, table: WeightId, by: Lookup, to: BufferId) -> Result<(), Error> {
    let batch = row.frame.batch;
    let index = match by {
        Lookup::Token => batch.token_ids[row.index],
        Lookup::Position => batch.positions[row.index],
    };
    let weights = row.frame.weights;
    let values = weights.table_row(table, index as usize);
    weights.tensor(table).kernel.dequantize(values, row.write(to))
}

/// One row for the sequence whose number the row has.
fn pool_rows(row: &mut Row<'_>, from: BufferId, to: BufferId, how: Pooling) {
    let frame = row.frame;
    let mut rows = range(frame.batch.sequence_starts, row.index);
    // SAFETY: the checker made sure that the sequences have rows; no op of a stage of selected
    // rows writes a buffer of all rows.
    let source = |index| unsafe { frame.row(index) };
    let (count, to) = (rows.len(), row.write(to));
    to.copy_from_slice(source(rows.start).read(from));
    if how == Pooling::First {
        return;
    }
    rows.start += 1;
    rows.for_each(|index| ops::add_in_place(to, source(index).read(from)));
    ops::scale_in_place(to, 1.0 / count as f32);
}

impl Norm {
    fn run(self, frame: &Frame<'_>, from: &[f32], to: &mut [f32]) {
        match self {
            Self::Rms { weight, eps, weight_add } => {
                // Each part of the row that is as long as the weight.
                let weight = frame.weights.vector(weight);
                let to = to.chunks_exact_mut(weight.len());
                for (from, to) in from.chunks_exact(weight.len()).zip(to) {
                    ops::rms_norm(from, weight, eps, weight_add, to);
                }
            }
            Self::Layer { weight, bias, eps } => {
                let bias = bias.map(|bias| frame.weights.vector(bias));
                ops::layer_norm(from, frame.weights.vector(weight), bias, eps, to);
            }
        }
    }
}
