//! From the graph's nodes to stages, and from values to buffers with a life.
//!
//! Nodes that work row by row join the open row stage; linear nodes that read one value become one
//! stage, wherever they stand; an elementwise node works in place when nobody else reads its
//! input. Nothing here knows sizes of a batch or where a buffer lies.

mod linear;
mod moe;

use crate::attention::AttentionStage;
use crate::elementwise::{Change, Join};
use crate::inventory::Inventory;
use crate::kinds::Kinds;
use crate::plan::{BufferId, RowSet, Stage};
use crate::rows::{Lookup, Norm, RowOp, RowStage};
use graph::{Graph, Op, ValueId, WeightId, Widths};
use kernels::attention::AttentionSpec;

/// Stages of a graph, and the buffers they refer to.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) stages: Vec<Stage>,
    pub(crate) buffers: Vec<Life>,
    /// The buffer of the last value.
    pub(crate) logits: BufferId,
    pub(crate) kinds: Kinds,
}

/// When a buffer is in use: from stage `first` to stage `last`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Life {
    pub(crate) row_bytes: usize,
    /// Its rows for each row of a step: more than one for the rows of experts.
    pub(crate) per_row: usize,
    pub(crate) first: usize,
    pub(crate) last: usize,
}

impl Schedule {
    /// Schedules a valid graph.
    pub(crate) fn of(graph: &Graph, widths: &Widths, inventory: &Inventory) -> Self {
        let mut users = vec![Vec::new(); graph.nodes.len()];
        for (index, node) in graph.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|&input| users[input].push(index));
        }
        let mut scheduler = Scheduler {
            graph,
            widths,
            inventory,
            users,
            buffer_of: vec![None; graph.nodes.len()],
            prepared: Vec::new(),
            angles: vec![None; graph.rope_tables.len()],
            stages: Vec::new(),
            open: None,
            buffers: Vec::new(),
            kinds: Kinds::new(),
        };
        for node in 0..graph.nodes.len() {
            if scheduler.buffer_of[node].is_none() {
                scheduler.node(node);
            }
        }
        scheduler.close();
        let logits = scheduler.buffer(graph.nodes.len() - 1);
        let Scheduler { stages, buffers, kinds, .. } = scheduler;
        Self { stages, buffers, logits, kinds }
    }
}

struct Scheduler<'a> {
    graph: &'a Graph,
    widths: &'a Widths,
    inventory: &'a Inventory,
    /// By value: the nodes that read it, once for each time they do.
    users: Vec<Vec<ValueId>>,
    /// By value: its buffer, once it is scheduled.
    buffer_of: Vec<Option<BufferId>>,
    /// Prepared inputs: value, input format and bytes, buffer.
    prepared: Vec<(ValueId, (&'static str, usize), BufferId)>,
    /// By rope table: its cosines and sines.
    angles: Vec<Option<BufferId>>,
    stages: Vec<Stage>,
    /// The row stage that further row ops may join; it follows `stages`.
    open: Option<RowStage>,
    buffers: Vec<Life>,
    kinds: Kinds,
}

impl Scheduler<'_> {
    fn node(&mut self, node: ValueId) {
        let inputs = &self.graph.nodes[node].inputs;
        match &self.graph.nodes[node].op {
            &Op::Embed { weight } => self.embed(node, weight, Lookup::Token),
            &Op::EmbedPosition { weight } => self.embed(node, weight, Lookup::Position),
            Op::Linear { .. } => self.linear(inputs[0]),
            &Op::RmsNorm { weight, eps, weight_add, .. } => {
                self.norm(node, Norm::Rms { weight, eps, weight_add });
            }
            &Op::LayerNorm { weight, bias, eps } => {
                self.norm(node, Norm::Layer { weight, bias, eps });
            }
            &Op::Rope { heads, table, style } => {
                let angles = self.angles(node, table);
                let on = self.operand(node, inputs[0]);
                self.push(node, RowOp::Rope { on, angles, heads, style });
            }
            Op::Attention { .. } => self.attention(node),
            Op::Moe { .. } => self.moe(node),
            Op::Add => self.join_either(node, Join::Add),
            Op::Mul => self.join_either(node, Join::Mul),
            Op::ScaleRows => self.join(node, [inputs[0], inputs[1]], Join::ScaleRow),
            &Op::Bias { weight } => self.change(node, Change::Bias(weight)),
            &Op::Scale { by } => self.change(node, Change::Scale(by)),
            &Op::Softcap { cap } => self.change(node, Change::Softcap(cap)),
            &Op::Normalize { eps } => self.change(node, Change::Normalize(eps)),
            &Op::Activate { function } => self.change(node, Change::Activate(function)),
            &Op::Glu { function } => {
                self.change(node, Change::Activate(function));
                let (on, from) = (self.buffer(node), self.buffer(inputs[1]));
                self.push(node, RowOp::Join { on, from, join: Join::Mul });
            }
            Op::Concat => self.concat(node),
            Op::SelectRows => {
                let (from, to) = (self.buffer(inputs[0]), self.create_value(node));
                self.push(node, RowOp::Select { from, to });
            }
            &Op::Pool { how } => {
                let (from, to) = (self.buffer(inputs[0]), self.create_value(node));
                self.push(node, RowOp::Pool { from, to, how });
            }
        }
    }

    fn embed(&mut self, node: ValueId, table: WeightId, by: Lookup) {
        let to = self.create_value(node);
        self.push(node, RowOp::Embed { table, by, to });
    }

    fn norm(&mut self, node: ValueId, norm: Norm) {
        let (from, to) = (self.buffer(self.graph.nodes[node].inputs[0]), self.create_value(node));
        self.push(node, RowOp::Norm { from, to, norm });
    }

    fn concat(&mut self, node: ValueId) {
        let to = self.create_value(node);
        let mut at = 0;
        for &input in &self.graph.nodes[node].inputs {
            let from = self.buffer(input);
            self.push(node, RowOp::Copy { from, to, at });
            at += self.widths.width[input];
        }
    }

    fn change(&mut self, node: ValueId, change: Change) {
        let on = self.operand(node, self.graph.nodes[node].inputs[0]);
        self.push(node, RowOp::Change { on, change });
    }

    /// Changes the first input by the second.
    fn join(&mut self, node: ValueId, [a, b]: [ValueId; 2], join: Join) {
        let (on, from) = (self.operand(node, a), self.buffer(b));
        self.push(node, RowOp::Join { on, from, join });
    }

    /// As [`Self::join`], where the inputs may trade places: the one nobody else reads is changed.
    fn join_either(&mut self, node: ValueId, join: Join) {
        let (a, b) = (self.graph.nodes[node].inputs[0], self.graph.nodes[node].inputs[1]);
        let swap = self.users[a].len() > 1 && self.users[b].len() == 1;
        self.join(node, if swap { [b, a] } else { [a, b] }, join);
    }

    fn attention(&mut self, node: ValueId) {
        let Op::Attention { heads, cache, scale, causal, window, softcap } =
            self.graph.nodes[node].op
        else {
            unreachable!("only attention nodes attend")
        };
        let [query, keys, values] =
            [0, 1, 2].map(|i| self.buffer(self.graph.nodes[node].inputs[i]));
        self.push(node, RowOp::Store { keys, values, cache });
        self.close();
        let spec = &self.graph.caches[cache];
        let spec = AttentionSpec {
            heads_per_kv: heads / spec.kv_heads,
            head_dim: spec.head_dim,
            scale,
            softcap,
        };
        let out = self.create_value(node);
        [query, out].into_iter().for_each(|buffer| self.touch(buffer));
        let stage = AttentionStage { query, out, cache, spec, causal, window };
        self.stages.push(Stage::Attention(stage));
    }

    /// The prepared rows of `value` for a matrix' kernel.
    fn prepared(&mut self, value: ValueId, matrix: usize) -> BufferId {
        let source = self.inventory.matrices[matrix].source;
        let (kernel, bytes) = (source.kernel, source.kernel.input_bytes(source.k));
        let key = (kernel.input_format(), bytes);
        let same = |entry: &&(ValueId, _, BufferId)| (entry.0, entry.1) == (value, key);
        if let Some(&(_, _, buffer)) = self.prepared.iter().find(same) {
            return buffer;
        }
        let (from, to) = (self.buffer(value), self.create(bytes));
        self.push(value, RowOp::Prepare { from, to, kernel });
        self.prepared.push((value, key, to));
        to
    }

    fn angles(&mut self, node: ValueId, table: usize) -> BufferId {
        if let Some(buffer) = self.angles[table] {
            return buffer;
        }
        let count = self.graph.rope_tables[table].frequencies.len();
        let to = self.create(2 * count * size_of::<f32>());
        self.push(node, RowOp::Angles { table, to });
        self.angles[table] = Some(to);
        to
    }

    /// The buffer an elementwise node changes, which becomes its value.
    fn operand(&mut self, node: ValueId, input: ValueId) -> BufferId {
        let on = self.own(node, input);
        self.buffer_of[node] = Some(on);
        on
    }

    /// A buffer of `input` that `node` may change: the value's own if nobody else reads it, else a
    /// copy.
    fn own(&mut self, node: ValueId, input: ValueId) -> BufferId {
        let from = self.buffer(input);
        if self.users[input].len() == 1 {
            return from;
        }
        let to = self.create(self.widths.width[input] * size_of::<f32>());
        self.push(node, RowOp::Copy { from, to, at: 0 });
        to
    }

    fn row_set(&self, value: ValueId) -> RowSet {
        if self.widths.selected[value] { RowSet::Selected } else { RowSet::All }
    }

    fn buffer(&self, value: ValueId) -> BufferId {
        self.buffer_of[value].expect("values are scheduled before their readers")
    }

    fn create_value(&mut self, node: ValueId) -> BufferId {
        let buffer = self.create(self.widths.width[node] * size_of::<f32>());
        self.buffer_of[node] = Some(buffer);
        buffer
    }

    fn create(&mut self, row_bytes: usize) -> BufferId {
        self.create_times(1, row_bytes)
    }

    /// A buffer with that many rows for each row of a step.
    fn create_times(&mut self, per_row: usize, row_bytes: usize) -> BufferId {
        self.buffers.push(Life { row_bytes, per_row, first: usize::MAX, last: 0 });
        self.buffers.len() - 1
    }

    /// Adds an op to the row stage of the rows of `value`.
    fn push(&mut self, value: ValueId, op: RowOp) {
        let rows = self.row_set(value);
        if self.open.as_ref().is_some_and(|open| open.rows != rows) {
            self.close();
        }
        op.buffers().for_each(|buffer| self.touch(buffer));
        let bytes = |id: BufferId| self.buffers[id].row_bytes * self.buffers[id].per_row;
        let floats = op.buffers().map(bytes).max().unwrap_or(0) / size_of::<f32>();
        let open =
            self.open.get_or_insert_with(|| RowStage { rows, ops: Vec::new(), row_floats: 0 });
        open.row_floats += floats;
        open.ops.push(op);
    }

    /// Ends the open row stage.
    fn close(&mut self) {
        self.stages.extend(self.open.take().map(Stage::Rows));
    }

    /// Notes that the stage being made uses a buffer.
    fn touch(&mut self, buffer: BufferId) {
        let stage = self.stages.len();
        let life = &mut self.buffers[buffer];
        life.first = life.first.min(stage);
        life.last = life.last.max(stage);
    }
}
