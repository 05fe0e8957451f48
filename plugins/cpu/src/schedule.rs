//! From the graph's nodes to stages, and from values to buffers with a life.
//!
//! Nodes that work row by row join the open row stage; linear nodes that read one value become one
//! stage, wherever they stand; an elementwise node works in place when nobody else reads its
//! input. Nothing here knows sizes of a batch or where a buffer lies.

use crate::attention::AttentionStage;
use crate::inventory::Inventory;
use crate::linear::{Finish, LinearStage, Member, Projection};
use crate::plan::{BufferId, RowSet, Stage};
use crate::rows::{Norm, RowOp, RowStage};
use graph::{Graph, Op, ValueId, Widths};
use kernels::attention::AttentionSpec;

/// Stages of a graph, and the buffers they refer to.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) stages: Vec<Stage>,
    pub(crate) buffers: Vec<Life>,
    /// The buffer of the last value.
    pub(crate) logits: BufferId,
}

/// When a buffer is in use: from stage `first` to stage `last`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Life {
    pub(crate) row_bytes: usize,
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
        };
        for node in 0..graph.nodes.len() {
            if scheduler.buffer_of[node].is_none() {
                scheduler.node(node);
            }
        }
        scheduler.close();
        let logits = scheduler.buffer(graph.nodes.len() - 1);
        Self { stages: scheduler.stages, buffers: scheduler.buffers, logits }
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
}

impl Scheduler<'_> {
    fn node(&mut self, node: ValueId) {
        let inputs = &self.graph.nodes[node].inputs;
        match self.graph.nodes[node].op {
            Op::Embed { weight } => {
                let to = self.create_value(node);
                self.push(node, RowOp::Embed { table: weight, to });
            }
            Op::Linear { .. } => self.linear(inputs[0]),
            Op::RmsNorm { weight, eps, weight_add, .. } => {
                let (from, to) = (self.buffer(inputs[0]), self.create_value(node));
                let norm = Norm { weight, eps, weight_add };
                self.push(node, RowOp::RmsNorm { from, to, norm });
            }
            Op::Rope { heads, table, style } => {
                let angles = self.angles(node, table);
                let on = self.operand(node, inputs[0]);
                self.push(node, RowOp::Rope { on, angles, heads, style });
            }
            Op::Attention { .. } => self.attention(node),
            Op::Add => {
                let (on, from) = self.operands(node);
                self.push(node, RowOp::Add { on, from });
            }
            Op::Mul => {
                let (on, from) = self.operands(node);
                self.push(node, RowOp::Mul { on, from });
            }
            Op::Scale { by } => {
                let on = self.operand(node, inputs[0]);
                self.push(node, RowOp::Scale { on, by });
            }
            Op::Softcap { cap } => {
                let on = self.operand(node, inputs[0]);
                self.push(node, RowOp::Softcap { on, cap });
            }
            Op::Activate { function } => {
                let on = self.operand(node, inputs[0]);
                self.push(node, RowOp::Activate { on, function });
            }
            Op::Glu { function } => {
                let on = self.operand(node, inputs[0]);
                let from = self.buffer(inputs[1]);
                self.push(node, RowOp::Activate { on, function });
                self.push(node, RowOp::Mul { on, from });
            }
            Op::SelectRows => {
                let (from, to) = (self.buffer(inputs[0]), self.create_value(node));
                self.push(node, RowOp::Select { from, to });
            }
        }
    }

    fn attention(&mut self, node: ValueId) {
        let Op::Attention { heads, cache, scale, window, softcap } = self.graph.nodes[node].op
        else {
            return;
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
        self.stages.push(Stage::Attention(AttentionStage { query, out, cache, spec, window }));
    }

    /// Schedules every linear node that reads `value`.
    fn linear(&mut self, value: ValueId) {
        let mut nodes = self.users[value].clone();
        nodes.retain(|&node| matches!(self.graph.nodes[node].op, Op::Linear { .. }));
        let parts: Vec<_> =
            nodes.into_iter().map(|node| (node, self.projection(node, value))).collect();
        self.close();
        let mut members: Vec<Member> = Vec::new();
        for &(node, part) in &parts {
            if self
                .pair_of(node, &parts)
                .is_some_and(|(glu, _)| self.graph.nodes[glu].inputs[1] == node)
            {
                continue;
            }
            let finish = self.finish(node, &parts);
            members.push(self.member(part, finish));
        }
        let stage = LinearStage { rows: self.row_set(value), members };
        stage.buffers().for_each(|buffer| self.touch(buffer));
        self.stages.push(Stage::Linear(stage));
    }

    /// The gated unit whose gate or up is `node`, if both are among `parts` and nobody else reads
    /// them, and its up.
    fn pair_of(
        &self,
        node: ValueId,
        parts: &[(ValueId, Projection)],
    ) -> Option<(ValueId, Projection)> {
        let &[user] = self.users[node].as_slice() else { return None };
        let &[gate, up] = self.graph.nodes[user].inputs.as_slice() else { return None };
        let is_glu = matches!(self.graph.nodes[user].op, Op::Glu { .. });
        let part = |value| parts.iter().find(|(part, _)| *part == value);
        let alone = |value: ValueId| self.users[value].len() == 1;
        if !is_glu || gate == up || !alone(gate) || !alone(up) {
            return None;
        }
        part(gate).and(part(up)).map(|(_, up)| (user, *up))
    }

    /// What follows a linear node in its own stage; schedules the node that says so.
    fn finish(&mut self, node: ValueId, parts: &[(ValueId, Projection)]) -> Finish {
        if let Some((glu, up)) = self.pair_of(node, parts)
            && let Op::Glu { function } = self.graph.nodes[glu].op
        {
            self.buffer_of[glu] = self.buffer_of[node];
            return Finish::Glu { function, up };
        }
        if let &[user] = self.users[node].as_slice()
            && let Op::Activate { function } = self.graph.nodes[user].op
        {
            self.buffer_of[user] = self.buffer_of[node];
            return Finish::Activate(function);
        }
        Finish::Nothing
    }

    fn projection(&mut self, node: ValueId, value: ValueId) -> Projection {
        let Op::Linear { weight, bias } = self.graph.nodes[node].op else {
            unreachable!("only linear nodes are projections")
        };
        let matrix = self.inventory.matrix_of(weight);
        let input = self.prepared(value, matrix);
        Projection { matrix, bias, input, output: self.create_value(node) }
    }

    fn member(&self, main: Projection, finish: Finish) -> Member {
        let source = |part: Projection| self.inventory.matrices[part.matrix].source;
        let matrix = source(main);
        let mut row_group = matrix.kernel.row_group();
        let up = if let Finish::Glu { up, .. } = finish { Some(source(up)) } else { None };
        if let Some(up) = up {
            row_group = least_common_multiple(row_group, up.kernel.row_group());
        }
        let group_bytes = [Some(matrix), up].into_iter().flatten().map(|tensor| {
            let rows = row_group.min(tensor.rows);
            tensor.kernel.packed_bytes(rows, tensor.k)
        });
        let group_bytes = group_bytes.sum();
        Member { main, finish, row_count: matrix.rows, row_group, group_bytes }
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

    /// The buffer an elementwise node changes: its input's if nobody else reads that, else a copy.
    fn operand(&mut self, node: ValueId, input: ValueId) -> BufferId {
        let from = self.buffer(input);
        if self.users[input].len() == 1 {
            self.buffer_of[node] = Some(from);
            return from;
        }
        let to = self.create_value(node);
        self.push(node, RowOp::Copy { from, to });
        to
    }

    /// The buffer a commutative node changes, and the one it reads.
    fn operands(&mut self, node: ValueId) -> (BufferId, BufferId) {
        let (a, b) = (self.graph.nodes[node].inputs[0], self.graph.nodes[node].inputs[1]);
        let swap = self.users[a].len() > 1 && self.users[b].len() == 1;
        let (a, b) = if swap { (b, a) } else { (a, b) };
        (self.operand(node, a), self.buffer(b))
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
        self.buffers.push(Life { row_bytes, first: usize::MAX, last: 0 });
        self.buffers.len() - 1
    }

    /// Adds an op to the row stage of the rows of `value`.
    fn push(&mut self, value: ValueId, op: RowOp) {
        let rows = self.row_set(value);
        if self.open.as_ref().is_some_and(|open| open.rows != rows) {
            self.close();
        }
        op.buffers().for_each(|buffer| self.touch(buffer));
        let floats = op.buffers().map(|id| self.buffers[id].row_bytes).max().unwrap_or(0) / 4;
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

fn least_common_multiple(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}
