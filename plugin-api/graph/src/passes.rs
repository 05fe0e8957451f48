//! Passes: pure functions from a valid graph to a simpler one with the same logits.
//!
//! They run in the host, once per load, so that every compute plugin gains. What depends on a
//! device (grouping matrices that share an input, say) belongs to the compute plugin's plan.

use crate::{Graph, GraphError, Node, Op, RopeTable, ValueId, Weight};

/// Runs every pass.
#[must_use]
pub fn simplify(graph: &Graph) -> Graph {
    dead_code(&identities(graph))
}

/// Divides the rope frequencies by the vectors of the checkpoint that say so; `read` gives the
/// values of a weight.
///
/// # Errors
/// What `read` answers, or a divisor that is not a positive number.
pub fn fold_rope_divisors<E: From<GraphError>>(
    graph: &mut Graph,
    read: impl Fn(&Weight) -> Result<Vec<f32>, E>,
) -> Result<(), E> {
    for (frequencies, divisors) in graph.rope_tables.iter_mut().flat_map(RopeTable::parts_mut) {
        let Some(divisors) = divisors.take() else { continue };
        let weight = &graph.weights[divisors];
        let values = read(weight)?;
        for (frequency, divisor) in frequencies.iter_mut().zip(values) {
            if !(divisor.is_finite() && divisor > 0.0) {
                let why = format!("{}: divisor {divisor} is not a positive number", weight.tensor);
                return Err(GraphError::Whole(why).into());
            }
            *frequency /= divisor;
        }
    }
    *graph = dead_code(graph);
    Ok(())
}

/// Bypasses nodes that change nothing: a scale by 1.
fn identities(graph: &Graph) -> Graph {
    let mut same: Vec<ValueId> = Vec::with_capacity(graph.nodes.len());
    let mut nodes = graph.nodes.clone();
    for (index, node) in nodes.iter_mut().enumerate() {
        for input in &mut node.inputs {
            *input = same[*input];
        }
        let identity = matches!(node.op, Op::Scale { by } if by == 1.0);
        let last = index + 1 == graph.nodes.len();
        same.push(if identity && !last { node.inputs[0] } else { index });
    }
    Graph { nodes, ..graph.clone() }
}

/// Removes nodes, weights and caches that the logits do not depend on.
fn dead_code(graph: &Graph) -> Graph {
    let Some(last) = graph.nodes.len().checked_sub(1) else {
        return graph.clone();
    };
    let mut live = vec![false; graph.nodes.len()];
    live[last] = true;
    for index in (0..graph.nodes.len()).rev() {
        if live[index] {
            graph.nodes[index].inputs.iter().for_each(|&input| live[input] = true);
        }
    }
    let value = renumber(&live);
    let nodes = graph.nodes.iter().zip(&live).filter(|(_, live)| **live).map(|(node, _)| Node {
        op: node.op.clone(),
        inputs: node.inputs.iter().map(|&input| value[input]).collect(),
    });
    drop_unused_weights(Graph { nodes: nodes.collect(), ..graph.clone() })
}

fn drop_unused_weights(mut graph: Graph) -> Graph {
    let mut used = vec![false; graph.weights.len()];
    graph.nodes.iter().flat_map(|node| node.op.weights()).for_each(|weight| used[weight] = true);
    graph.rope_tables.iter().flat_map(RopeTable::divisors).for_each(|weight| used[weight] = true);
    let place = renumber(&used);
    let mut keep = used.iter().copied();
    graph.weights.retain(|_| keep.next().unwrap_or(false));
    for (_, divisors) in graph.rope_tables.iter_mut().flat_map(RopeTable::parts_mut) {
        *divisors = divisors.map(|weight| place[weight]);
    }
    for node in &mut graph.nodes {
        node.op.for_each_weight(|weight| *weight = place[*weight]);
    }
    graph
}

/// Maps old indices to new ones after the entries that are not kept are gone.
fn renumber(keep: &[bool]) -> Vec<usize> {
    let mut next = 0;
    keep.iter()
        .map(|&keep| {
            let index = next;
            next += usize::from(keep);
            index
        })
        .collect()
}
