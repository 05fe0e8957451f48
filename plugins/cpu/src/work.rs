//! What an op reads and computes in one step, from shapes and the batch.
//!
//! Bytes are those an op cannot do without: its weights, the keys and values that are seen, the
//! rows it reads, each counted once however often a cache is asked for them. Operations are
//! multiplications and additions of products, attention, norms and sums; an activation counts as
//! one. Nothing here is computed unless a session is profiled.

use crate::elementwise::Change;
use crate::frame::Frame;
use crate::inventory::Tensor;
use crate::kinds::Kind;
use crate::linear::{Member, Projection};
use crate::moe::{Choice, ChoiceOp, Routes};
use crate::plan::{BufferId, RowSet, Stage};
use crate::rows::{Norm, RowOp};
use graph::{Pooling, WeightId};

/// Of one op in one step.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Work {
    pub(crate) bytes: usize,
    pub(crate) operations: usize,
}

impl Work {
    fn reading(bytes: usize) -> Self {
        Self { bytes, operations: 0 }
    }
}

impl Stage {
    /// Calls `note` with every op of the stage.
    pub(crate) fn for_each_op(
        &self,
        frame: &Frame<'_>,
        routes: &Routes,
        mut note: impl FnMut(Kind, Work),
    ) {
        match self {
            Self::Rows(stage) => {
                let rows = Rows { frame, count: frame.row_count(stage.rows) };
                stage.ops.iter().for_each(|op| note(op.kind(), rows.work(op)));
            }
            Self::Linear(stage) => {
                let count = frame.row_count(stage.rows);
                let parts = stage.members.iter().flat_map(Member::projections);
                parts.for_each(|part| note(part.kind, part.work(frame, count)));
            }
            Self::Attention(stage) => note(Kind::ATTENTION, stage.work(frame)),
            Self::Route(stage) => {
                let rows = Rows { frame, count: frame.row_count(stage.rows) };
                note(Kind::ROUTING, Work::reading(rows.bytes(stage.choices)));
            }
            Self::Experts(stage) => stage.shares(routes).for_each(|(member, places)| {
                member
                    .projections()
                    .for_each(|part| note(part.kind, part.work(frame, places.len())));
            }),
        }
    }
}

impl RowOp {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Embed { .. } => Kind::EMBEDDING,
            Self::Copy { .. } | Self::Select { .. } => Kind::COPY,
            Self::Pool { .. } => Kind::POOL,
            Self::Norm { .. } => Kind::NORM,
            Self::Angles { .. } | Self::Rope { .. } => Kind::ROPE,
            Self::Change { .. } | Self::Join { .. } => Kind::ELEMENTWISE,
            Self::Prepare { .. } | Self::Moe { op: ChoiceOp::Prepare { .. }, .. } => Kind::PREPARE,
            Self::Store { .. } => Kind::STORE,
            Self::Moe { .. } => Kind::ROUTING,
        }
    }
}

impl Projection {
    fn work(&self, frame: &Frame<'_>, token_count: usize) -> Work {
        let Tensor { kernel, rows, k, .. } = frame.weights.matrix(self.matrix);
        let bias = self.bias.map_or(0, |bias| vector_bytes(frame, bias));
        Work {
            bytes: kernel.packed_bytes(rows, k) + bias + token_count * kernel.input_bytes(k),
            operations: 2 * rows * k * token_count,
        }
    }
}

/// As many rows as an op of a row stage works on.
#[derive(Clone, Copy)]
struct Rows<'a> {
    frame: &'a Frame<'a>,
    count: usize,
}

impl Rows<'_> {
    fn work(self, op: &RowOp) -> Work {
        match *op {
            RowOp::Embed { table, .. } => {
                let Tensor { kernel, k, .. } = self.frame.weights.tensor(table);
                Work::reading(self.count * kernel.row_bytes(k))
            }
            RowOp::Copy { from, .. } | RowOp::Select { from, .. } | RowOp::Prepare { from, .. } => {
                Work::reading(self.bytes(from))
            }
            RowOp::Pool { from, how: Pooling::First, .. } => Work::reading(self.bytes(from)),
            RowOp::Pool { from, .. } => {
                let all = Rows { count: self.frame.row_count(RowSet::All), ..self };
                Work { bytes: all.bytes(from), operations: all.values(from) }
            }
            RowOp::Norm { from, norm, .. } => self.norm(from, norm),
            RowOp::Angles { .. } => Work::default(),
            // Each pair of values is multiplied by a 2 by 2 matrix of one cosine and one sine.
            RowOp::Rope { on, angles, heads, .. } => Work {
                bytes: self.bytes(on) + self.bytes(angles),
                operations: 3 * heads * self.values(angles),
            },
            RowOp::Change { on, change } => {
                let bias = match change {
                    Change::Bias(weight) => vector_bytes(self.frame, weight),
                    Change::Scale(_)
                    | Change::Softcap(_)
                    | Change::Activate(_)
                    | Change::Normalize(_) => 0,
                };
                Work { bytes: self.bytes(on) + bias, operations: self.values(on) }
            }
            RowOp::Join { on, from, .. } => {
                Work { bytes: self.bytes(on) + self.bytes(from), operations: self.values(on) }
            }
            RowOp::Store { keys, values, .. } => {
                Work::reading(self.bytes(keys) + self.bytes(values))
            }
            RowOp::Moe { choices, ref op } => self.choices(choices, op),
        }
    }

    /// Squares, their sum, and a product with factor and weight; around a mean twice as many.
    fn norm(self, from: BufferId, norm: Norm) -> Work {
        let (weights, operations) = match norm {
            Norm::Rms { weight, .. } => (vector_bytes(self.frame, weight), 4),
            Norm::Layer { weight, bias, .. } => {
                let bias = bias.map_or(0, |bias| vector_bytes(self.frame, bias));
                (vector_bytes(self.frame, weight) + bias, 8)
            }
        };
        Work { bytes: self.bytes(from) + weights, operations: operations * self.values(from) }
    }

    fn choices(self, choices: BufferId, op: &ChoiceOp) -> Work {
        let per_row = self.frame.plan.places[choices].row_bytes / size_of::<Choice>();
        let chosen = Rows { count: per_row * self.count, ..self };
        match *op {
            ChoiceOp::Choose { scores: from, .. } | ChoiceOp::Scatter { from, .. } => {
                Work::reading(self.bytes(from))
            }
            ChoiceOp::Prepare { from, .. } => Work::reading(chosen.bytes(from)),
            ChoiceOp::Combine { from, .. } => {
                Work { bytes: chosen.bytes(from), operations: 2 * chosen.values(from) }
            }
        }
    }

    fn bytes(self, buffer: BufferId) -> usize {
        self.count * self.frame.plan.places[buffer].row_bytes
    }

    fn values(self, buffer: BufferId) -> usize {
        self.bytes(buffer) / size_of::<f32>()
    }
}

fn vector_bytes(frame: &Frame<'_>, weight: WeightId) -> usize {
    size_of_val(frame.weights.vector(weight))
}
