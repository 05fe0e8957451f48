//! The suite of architecture plugins: graphs that are valid, repeatable and honest about what is
//! missing.

use crate::fail;
use crate::mutation::mutations;
use plugin_api::{Architecture, CheckpointInfo, CheckpointView, Error, Graph};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs the suite: `info` describes a checkpoint that the architecture serves.
///
/// - the architecture claims what the checkpoint calls itself;
/// - the graph is valid, survives its JSON form and is the same every time;
/// - a tensor of the graph that is missing or has another shape is refused by name, unless the
///   architecture has another graph that does without it;
/// - no damaged configuration makes it panic or write a graph that is not valid.
///
/// # Panics
/// The first rule that is broken, in a sentence.
pub fn architecture<T: Architecture>(info: &CheckpointInfo) {
    claims::<T>(info);
    let graph = valid_graph::<T>(info);
    missing_tensors_are_named::<T>(info, &graph);
    misshapen_tensors_are_named::<T>(info, &graph);
    damaged_configurations_are_survived::<T>(info);
}

fn build<T: Architecture>(info: &CheckpointInfo) -> Result<Graph, Error> {
    let graph = T::build(&CheckpointView::new(info.clone()))?;
    graph.widths()?;
    Ok(graph)
}

fn claims<T: Architecture>(info: &CheckpointInfo) {
    assert!(!T::NAME.is_empty(), "the provider has no name");
    let claimed = T::CLAIMS.contains(&info.architecture.as_str());
    assert!(claimed, "`{}` is not among the claims {:?}", info.architecture, T::CLAIMS);
    let mut unique = T::CLAIMS.to_vec();
    unique.sort_unstable();
    unique.dedup();
    assert!(unique.len() == T::CLAIMS.len(), "a claim is listed twice in {:?}", T::CLAIMS);
}

fn valid_graph<T: Architecture>(info: &CheckpointInfo) -> Graph {
    let graph = build::<T>(info)
        .unwrap_or_else(|error| fail(&format!("{} refuses its own checkpoint: {error}", T::NAME)));
    let json = graph.to_json().expect("a valid graph has a JSON form");
    let again = Graph::from_json(&json).expect("the JSON form is read back");
    assert!(again == graph, "the graph of {} changes on its way through JSON", T::NAME);
    let second = build::<T>(info).expect("it was built before");
    assert!(second == graph, "two builds of {} differ: keep no state, iterate no map", T::NAME);
    graph
}

fn missing_tensors_are_named<T: Architecture>(info: &CheckpointInfo, graph: &Graph) {
    let mut needed = 0;
    for tensor in tensors(graph) {
        let mut poorer = info.clone();
        poorer.tensors.retain(|known| known.name != tensor);
        match build::<T>(&poorer) {
            Err(error) => {
                needed += 1;
                assert!(
                    error.message().contains(tensor),
                    "without tensor {tensor} the message should name it, but says: {error}"
                );
            }
            Ok(other) => assert!(
                !tensors(&other).contains(&tensor),
                "tensor {tensor} is missing, yet the graph uses it"
            ),
        }
    }
    assert!(needed > 0, "{} needs no tensor at all", T::NAME);
}

fn misshapen_tensors_are_named<T: Architecture>(info: &CheckpointInfo, graph: &Graph) {
    for tensor in tensors(graph) {
        let mut other = info.clone();
        for known in other.tensors.iter_mut().filter(|known| known.name == tensor) {
            known.shape.iter_mut().for_each(|size| *size += 1);
        }
        let Err(error) = build::<T>(&other) else {
            fail(&format!("tensor {tensor} has another shape, yet a graph is built from it"));
        };
        assert!(
            error.message().contains(tensor),
            "tensor {tensor} has another shape, but the message does not name it: {error}"
        );
    }
}

fn damaged_configurations_are_survived<T: Architecture>(info: &CheckpointInfo) {
    for (what, config) in mutations(&info.config) {
        let mut damaged = info.clone();
        damaged.config = config;
        let view = CheckpointView::new(damaged);
        let built = catch_unwind(AssertUnwindSafe(|| T::build(&view)));
        let Ok(built) = built else {
            fail(&format!("{} panics on a configuration with {what}", T::NAME));
        };
        match built {
            Ok(graph) => {
                let valid = graph.widths();
                assert!(valid.is_ok(), "{what}: the graph is not valid: {valid:?}");
            }
            Err(error) => {
                assert!(!error.message().is_empty(), "{what}: refused without a reason");
            }
        }
    }
}

/// Names of the tensors a graph uses, each once.
fn tensors(graph: &Graph) -> Vec<&str> {
    let mut names: Vec<_> = graph.weights.iter().map(|weight| weight.tensor.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}
