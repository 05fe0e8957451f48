//! Mixtures of experts: which rows go to which expert, and back.
//!
//! Each row chooses its experts; one serial pass then gives every choice a place, so that the rows
//! of an expert lie one after another. The products are those of `linear`, each expert with the
//! rows it has; the matrices of an expert that nobody chose are not read. A row's outputs are
//! summed in the order of its experts' numbers, so its bits depend on no other row. Nothing here
//! multiplies matrices.

use crate::frame::{Frame, Row};
use crate::inventory::Inventory;
use crate::kernel::Kernel;
use crate::linear::{Member, Share, run_shares};
use crate::plan::{BufferId, RowSet};
use graph::{Expert, Graph, Op, WeightId};
use kernels::ops;
use plugin_api::Error;
use std::cmp::Ordering;
use std::ops::Range;

/// One of the experts of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub(crate) struct Choice {
    expert: u32,
    /// Which row of the experts' buffers is this one's; no other choice of the step has it.
    place: u32,
    weight: f32,
}

/// Which places each expert has, from one route stage to the next.
#[derive(Debug)]
pub(crate) struct Routes {
    /// By expert: its first place that is not given away.
    next: Vec<usize>,
    /// Experts with rows, and their places.
    active: Vec<(usize, Range<usize>)>,
}

/// Gives every choice a place.
#[derive(Debug)]
pub(crate) struct RouteStage {
    pub(crate) rows: RowSet,
    pub(crate) choices: BufferId,
    pub(crate) expert_count: usize,
}

/// One member for each expert, run on the places of that expert.
#[derive(Debug)]
pub(crate) struct ExpertStage {
    pub(crate) members: Vec<Member>,
}

/// One op on the choices of a row, and on the rows at their places.
#[derive(Debug, Clone)]
pub(crate) enum ChoiceOp {
    /// Makes the choices; the scores are used up.
    Choose { scores: BufferId, normalize: bool, scale: f32 },
    /// The prepared row to each of its places.
    Scatter { from: BufferId, to: BufferId },
    /// The input of the next matrices, at each place.
    Prepare { from: BufferId, to: BufferId, kernel: Kernel },
    /// The weighted sum of what is at the places.
    Combine { from: BufferId, to: BufferId },
}

impl Routes {
    pub(crate) fn new(experts_max: usize) -> Self {
        Self { next: Vec::with_capacity(experts_max), active: Vec::with_capacity(experts_max) }
    }

    /// Bytes that routes take.
    pub(crate) fn bytes(experts_max: usize) -> usize {
        experts_max * (size_of::<usize>() + size_of::<(usize, Range<usize>)>())
    }

    /// Gives the experts their places, one after another; `next` has counts before.
    fn lay_out(&mut self) {
        self.active.clear();
        let mut begin = 0;
        for (expert, next) in self.next.iter_mut().enumerate() {
            let count = std::mem::replace(next, begin);
            if count > 0 {
                self.active.push((expert, begin..begin + count));
            }
            begin += count;
        }
    }

    /// The next place of an expert.
    fn take(&mut self, expert: u32) -> u32 {
        let next = &mut self.next[expert as usize];
        *next += 1;
        u32::try_from(*next - 1).expect("`check` refused batches with more places")
    }
}

impl RouteStage {
    pub(crate) fn run(&self, frame: &Frame<'_>, routes: &mut Routes) {
        routes.next.clear();
        routes.next.resize(self.expert_count, 0);
        let rows = frame.row_count(self.rows);
        for index in 0..rows {
            // SAFETY: the row is below the count, and no other thread runs this stage.
            let row = unsafe { frame.row(index) };
            for choice in row.read::<Choice>(self.choices) {
                routes.next[choice.expert as usize] += 1;
            }
        }
        routes.lay_out();
        for index in 0..rows {
            // SAFETY: as above.
            let mut row = unsafe { frame.row(index) };
            for choice in row.write::<Choice>(self.choices) {
                choice.place = routes.take(choice.expert);
            }
        }
    }
}

impl ExpertStage {
    pub(crate) fn run(&self, frame: &Frame<'_>, routes: &Routes) -> Result<(), Error> {
        run_shares(frame, &self.shares(routes))
    }

    /// The experts that have rows.
    pub(crate) fn shares<'m>(
        &'m self,
        routes: &'m Routes,
    ) -> impl Iterator<Item = Share<'m>> + Clone + Sync {
        routes.active.iter().map(|(expert, places)| (&self.members[*expert], places.clone()))
    }
}

impl ChoiceOp {
    /// The buffers it reads or writes besides the choices.
    pub(crate) fn buffers(&self) -> (BufferId, Option<BufferId>) {
        match *self {
            Self::Choose { scores, .. } => (scores, None),
            Self::Scatter { from, to }
            | Self::Prepare { from, to, .. }
            | Self::Combine { from, to } => (from, Some(to)),
        }
    }

    /// Runs the op on one row.
    pub(crate) fn run(&self, row: &mut Row<'_>, choices: BufferId) -> Result<(), Error> {
        match *self {
            Self::Choose { scores, normalize, scale } => {
                ops::softmax_in_place(row.write(scores));
                let (shares, choices) = row.read_write(scores, choices);
                choose(shares, choices);
                weigh(choices, normalize, scale);
            }
            Self::Scatter { from, to } => {
                for choice in row.read::<Choice>(choices) {
                    let mut place = choice.row(row.frame);
                    place.write::<u8>(to).copy_from_slice(row.read(from));
                }
            }
            Self::Prepare { from, to, kernel } => {
                return row.read(choices).iter().try_for_each(|choice: &Choice| {
                    let mut place = choice.row(row.frame);
                    let (from, to) = place.read_write(from, to);
                    kernel.prepare_input(from, to)
                });
            }
            Self::Combine { from, to } => {
                let frame = row.frame;
                let (choices, to) = row.read_write::<Choice, f32>(choices, to);
                to.fill(0.0);
                for choice in choices {
                    ops::add_scaled_in_place(to, choice.row(frame).read(from), choice.weight);
                }
            }
        }
        Ok(())
    }
}

impl Choice {
    /// The row at its place; of its buffers, only those of experts may be used.
    fn row<'a>(&self, frame: &'a Frame<'a>) -> Row<'a> {
        // SAFETY: a route stage gave the place to this choice alone and below the count of all
        // choices, and the row that chose is one thread's alone.
        unsafe { frame.row(self.place as usize) }
    }
}

/// Fills in the experts of the largest shares, in the order of their numbers; of equal shares the
/// expert of the lower number comes first.
fn choose(shares: &[f32], choices: &mut [Choice]) {
    let order = |a: &(usize, f32), b: &(usize, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    let mut last = None;
    for choice in &mut *choices {
        let behind = |found: &(usize, f32)| {
            last.is_none_or(|last: (usize, f32)| order(&last, found) == Ordering::Less)
        };
        let next = shares.iter().copied().enumerate().filter(behind).min_by(order);
        let (expert, weight) = next.expect("a row has no more choices than experts");
        let expert = u32::try_from(expert).expect("`check` refused more experts");
        *choice = Choice { expert, place: 0, weight };
        last = next;
    }
    choices.sort_unstable_by_key(|choice| choice.expert);
}

fn weigh(choices: &mut [Choice], normalize: bool, scale: f32) {
    let sum: f32 = choices.iter().map(|choice| choice.weight).sum();
    for choice in choices {
        choice.weight = if normalize { choice.weight / sum } else { choice.weight } * scale;
    }
}

/// Makes sure that places have 32-bit numbers and that the experts of each mixture read the same
/// prepared rows. Returns the most experts of a mixture.
pub(crate) fn check(
    graph: &Graph,
    inventory: &Inventory,
    batch_tokens_max: usize,
) -> Result<usize, Error> {
    let mut experts_max = 0;
    for node in &graph.nodes {
        let Op::Moe { experts, top_k, .. } = &node.op else { continue };
        let places = batch_tokens_max.checked_mul(*top_k);
        if [places, Some(experts.len())].iter().any(|n| n.is_none_or(|n| u32::try_from(n).is_err()))
        {
            return Err(Error::invalid(format!(
                "{batch_tokens_max} rows with {top_k} of {} experts each are more than 2^32 - 1: \
                 ask for smaller batches",
                experts.len()
            )));
        }
        let parts: [fn(&Expert) -> WeightId; 3] = [|e| e.gate, |e| e.up, |e| e.down];
        for part in parts {
            experts.iter().try_for_each(|expert| {
                check_inputs(graph, inventory, [part(&experts[0]), part(expert)])
            })?;
        }
        experts_max = experts_max.max(experts.len());
    }
    Ok(experts_max)
}

fn check_inputs(graph: &Graph, inventory: &Inventory, pair: [WeightId; 2]) -> Result<(), Error> {
    let [a, b] = pair.map(|weight| inventory.matrices[inventory.matrix_of(weight)].source);
    let inputs = [a, b].map(|m| (m.kernel.input_format(), m.kernel.input_bytes(m.k)));
    if inputs[0] == inputs[1] {
        return Ok(());
    }
    let [a_role, b_role] = pair.map(|weight| &graph.weights[weight].role);
    Err(Error::unsupported(format!(
        "weight {a_role} has dtype {}, weight {b_role} dtype {}, and their kernels read different \
         inputs: give the experts of a layer one dtype",
        a.kernel.name(),
        b.kernel.name()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Choice = Choice { expert: u32::MAX, place: 0, weight: 0.0 };

    fn chosen(shares: &[f32], top_k: usize) -> Vec<(u32, f32)> {
        let mut choices = vec![NOBODY; top_k];
        choose(shares, &mut choices);
        choices.iter().map(|choice| (choice.expert, choice.weight)).collect()
    }

    #[test]
    fn the_largest_shares_are_chosen_in_the_order_of_experts() {
        assert_eq!(chosen(&[0.1, 0.4, 0.2, 0.3], 2), [(1, 0.4), (3, 0.3)]);
        assert_eq!(chosen(&[0.4, 0.1, 0.2, 0.3], 3), [(0, 0.4), (2, 0.2), (3, 0.3)]);
        assert_eq!(chosen(&[1.0], 1), [(0, 1.0)]);
    }

    #[test]
    fn of_equal_shares_the_lower_expert_is_chosen() {
        assert_eq!(chosen(&[0.25; 4], 2), [(0, 0.25), (1, 0.25)]);
        assert_eq!(chosen(&[0.1, 0.3, 0.3, 0.3], 2), [(1, 0.3), (2, 0.3)]);
    }

    #[test]
    fn shares_that_are_no_numbers_choose_different_experts() {
        let experts: Vec<u32> = chosen(&[f32::NAN; 5], 3).iter().map(|choice| choice.0).collect();
        assert_eq!(experts, [0, 1, 2]);
    }

    #[test]
    fn places_of_an_expert_lie_one_after_another() {
        let mut routes = Routes::new(4);
        routes.next.extend([2, 0, 3, 1]);
        routes.lay_out();
        assert_eq!(routes.active, [(0, 0..2), (2, 2..5), (3, 5..6)]);
        let places = [2, 0, 2, 3, 0, 2].map(|expert| routes.take(expert));
        assert_eq!(places, [2, 0, 3, 5, 1, 4]);
    }
}
