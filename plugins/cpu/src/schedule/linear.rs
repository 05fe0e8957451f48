//! Linear nodes: those that read one value become one stage, with what follows them.
//!
//! A gate and an up become one member, an activation is done where the product is. It chooses what
//! is computed together, never how it is cut.

use super::Scheduler;
use crate::linear::{Finish, LinearStage, Member, Projection};
use crate::plan::Stage;
use graph::{Op, Output, ValueId};

impl Scheduler<'_> {
    /// Schedules every linear node that reads `value`.
    pub(super) fn linear(&mut self, value: ValueId) {
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
        let is_logits = self.widths.selected[node] && self.graph.output == Output::Logits;
        let purpose = if is_logits { "logits" } else { "linear" };
        let kind = self.kinds.product(purpose, &self.inventory.matrices[matrix].source.kernel);
        Projection { matrix, bias, input, output: self.create_value(node), kind }
    }

    pub(super) fn member(&self, main: Projection, finish: Finish) -> Member {
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
}

fn least_common_multiple(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}
