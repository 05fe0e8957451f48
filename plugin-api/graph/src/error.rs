//! What can be wrong with a graph, said to the author of an architecture plugin.

use semver::Version;

/// A graph was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// Not JSON, or not a graph.
    #[error("the graph is not valid JSON of a graph: {0}")]
    Syntax(String),
    /// Written for an opset this build does not have.
    #[error("graph needs opset {found}, this host has {expected}: update the host")]
    Opset {
        /// The graph's opset.
        found: Version,
        /// This build's opset.
        expected: Version,
    },
    /// An op of another opset.
    #[error(
        "node {node}: unknown op `{op}` (graph opset {found}, host opset {expected}): update the host"
    )]
    UnknownOp {
        /// Name of the op.
        op: String,
        /// Place of the node.
        node: usize,
        /// The graph's opset.
        found: Version,
        /// This build's opset.
        expected: Version,
    },
    /// A node contradicts its inputs, weights or caches.
    #[error("node {node} ({op}): {why}")]
    Node {
        /// Place of the node.
        node: usize,
        /// Name of the op.
        op: &'static str,
        /// What was expected and what was found.
        why: String,
    },
    /// The graph as a whole is wrong.
    #[error("graph: {0}")]
    Whole(String),
}
