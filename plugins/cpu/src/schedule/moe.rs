//! A mixture of experts as stages: choose, route, scatter, gate and up, down, combine.
//!
//! The rows of all experts lie in buffers with `top_k` rows for each row of the step. All experts
//! of a mixture read the same prepared rows, which [`crate::moe::check`] made sure of.

use super::Scheduler;
use crate::linear::{Finish, Member, Projection};
use crate::moe::{Choice, ChoiceOp, ExpertStage, RouteStage};
use crate::plan::{BufferId, Stage};
use crate::rows::RowOp;
use graph::{Activation, Expert, Op, ValueId, WeightId};

/// A mixture being scheduled.
#[derive(Clone, Copy)]
struct Mixture<'a> {
    node: ValueId,
    experts: &'a [Expert],
    top_k: usize,
    /// The experts of each row.
    choices: BufferId,
}

impl Scheduler<'_> {
    pub(super) fn moe(&mut self, node: ValueId) {
        let graph = self.graph;
        let Op::Moe { experts, top_k, function, normalize, scale } = &graph.nodes[node].op else {
            unreachable!("only mixtures have experts")
        };
        let (x, scores) = (graph.nodes[node].inputs[0], graph.nodes[node].inputs[1]);
        let choices = self.create(top_k * size_of::<Choice>());
        let mixture = Mixture { node, experts, top_k: *top_k, choices };
        let prepared = [experts[0].gate, experts[0].up]
            .map(|weight| self.prepared(x, self.inventory.matrix_of(weight)));
        let scores = self.own(node, scores);
        let choose = ChoiceOp::Choose { scores, normalize: *normalize, scale: *scale };
        self.push(node, RowOp::Moe { choices, op: choose });
        self.route(mixture);
        let gated = self.gate_and_up(mixture, *function, prepared);
        let outputs = self.down(mixture, gated);
        let to = self.create_value(node);
        self.push(node, RowOp::Moe { choices, op: ChoiceOp::Combine { from: outputs, to } });
    }

    fn route(&mut self, mixture: Mixture<'_>) {
        let Mixture { node, experts, choices, .. } = mixture;
        self.close();
        self.touch(choices);
        let rows = self.row_set(node);
        let stage = RouteStage { rows, choices, expert_count: experts.len() };
        self.stages.push(Stage::Route(stage));
    }

    /// Every expert's gate and up on its rows; the buffer of the gated values.
    fn gate_and_up(
        &mut self,
        mixture: Mixture<'_>,
        function: Activation,
        [gate_rows, up_rows]: [BufferId; 2],
    ) -> BufferId {
        let gate_input = self.scatter(mixture, gate_rows);
        let up_input =
            if up_rows == gate_rows { gate_input } else { self.scatter(mixture, up_rows) };
        let inner = self.graph.weights[mixture.experts[0].gate].shape[0];
        let [gated, up] =
            [(); 2].map(|()| self.create_times(mixture.top_k, inner * size_of::<f32>()));
        let members = mixture.experts.iter().map(|expert| {
            let up = self.expert_matrix(expert.up, up_input, up);
            let gate = self.expert_matrix(expert.gate, gate_input, gated);
            self.member(gate, Finish::Glu { function, up })
        });
        let members = members.collect();
        self.experts(members);
        gated
    }

    /// Every expert's down on its rows; the buffer of the outputs.
    fn down(&mut self, mixture: Mixture<'_>, gated: BufferId) -> BufferId {
        let Mixture { node, experts, top_k, choices } = mixture;
        let source = self.inventory.matrices[self.inventory.matrix_of(experts[0].down)].source;
        let input = self.create_times(top_k, source.kernel.input_bytes(source.k));
        let op = ChoiceOp::Prepare { from: gated, to: input, kernel: source.kernel };
        self.push(node, RowOp::Moe { choices, op });
        let output = self.create_times(top_k, self.widths.width[node] * size_of::<f32>());
        let members = experts.iter().map(|expert| {
            let down = self.expert_matrix(expert.down, input, output);
            self.member(down, Finish::Nothing)
        });
        let members = members.collect();
        self.experts(members);
        output
    }

    /// Copies prepared rows to where their experts find them.
    fn scatter(&mut self, mixture: Mixture<'_>, from: BufferId) -> BufferId {
        let Mixture { node, top_k, choices, .. } = mixture;
        let to = self.create_times(top_k, self.buffers[from].row_bytes);
        self.push(node, RowOp::Moe { choices, op: ChoiceOp::Scatter { from, to } });
        to
    }

    fn expert_matrix(&mut self, weight: WeightId, input: BufferId, output: BufferId) -> Projection {
        let matrix = self.inventory.matrix_of(weight);
        let kind = self.kinds.product("experts", &self.inventory.matrices[matrix].source.kernel);
        Projection { matrix, bias: None, input, output, kind }
    }

    fn experts(&mut self, members: Vec<Member>) {
        self.close();
        members.iter().flat_map(Member::buffers).for_each(|buffer| self.touch(buffer));
        self.stages.push(Stage::Experts(ExpertStage { members }));
    }
}
