//! Watching what matrices are multiplied with: a graph whose answer is the inputs of its matrices.
//!
//! An importance matrix is the mean square of each of those values over some text. Because it is a
//! graph like any other, every compute plugin can be asked, and none has to know about it.

use crate::{Graph, Node, Op, Output, ValueId, WeightId};
use std::ops::Range;

/// The inputs of some matrices in the answer of an observing graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The matrices that read them.
    pub weights: Vec<WeightId>,
    /// Which values of a row they are.
    pub columns: Range<usize>,
}

/// A valid graph's twin that answers with the inputs of its linear nodes, one after the other; of a
/// mixture of experts those of the gates. Nothing for a graph without such nodes.
#[must_use]
pub fn observe(graph: &Graph) -> Option<(Graph, Vec<Observed>)> {
    let widths = graph.widths().ok()?;
    let mut inputs: Vec<(ValueId, Vec<WeightId>)> = Vec::new();
    for node in &graph.nodes {
        let weights: Vec<WeightId> = match &node.op {
            Op::Linear { weight, .. } => vec![*weight],
            Op::Moe { experts, .. } => experts.iter().flat_map(|e| [e.gate, e.up]).collect(),
            _ => continue,
        };
        match inputs.iter_mut().find(|(value, _)| *value == node.inputs[0]) {
            Some((_, known)) => known.extend(weights),
            None => inputs.push((node.inputs[0], weights)),
        }
    }
    if inputs.is_empty() {
        return None;
    }
    let mut twin = Graph { output: Output::Embedding, ..graph.clone() };
    let mut push = |op, inputs| {
        twin.nodes.push(Node { op, inputs });
        twin.nodes.len() - 1
    };
    let (mut selected, mut observed, mut end) = (Vec::new(), Vec::new(), 0);
    for (value, weights) in inputs {
        let begin = end;
        end += widths.width[value];
        observed.push(Observed { weights, columns: begin..end });
        let is_selected = widths.selected[value];
        selected.push(if is_selected { value } else { push(Op::SelectRows, vec![value]) });
    }
    push(Op::Concat, selected);
    Some((twin, observed))
}
