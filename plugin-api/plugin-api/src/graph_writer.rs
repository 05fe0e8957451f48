//! Appends nodes and weights to a graph, checking each tensor against the size it should have.
//!
//! It knows nothing of layers; `layers` says what stands where.

use crate::tensor_names::tensor_name;
use crate::{CheckpointView, Error, Graph};
use graph::{Node, OPSET, Op, ValueId, Weight, WeightId};

/// A graph being written.
pub(super) struct Writer<'a> {
    checkpoint: &'a CheckpointView,
    names: &'a [[&'static str; 3]],
    layer: Option<usize>,
    pub(super) graph: Graph,
}

impl<'a> Writer<'a> {
    /// An empty graph for the checkpoint.
    pub(super) fn new(checkpoint: &'a CheckpointView, names: &'a [[&'static str; 3]]) -> Self {
        let graph = Graph {
            opset: OPSET,
            architecture: checkpoint.architecture().to_owned(),
            vocab_size: 0,
            context_length: 0,
            output: graph::Output::Logits,
            weights: Vec::new(),
            caches: Vec::new(),
            rope_tables: Vec::new(),
            nodes: Vec::new(),
        };
        Self { checkpoint, names, layer: None, graph }
    }

    /// Weights from now on belong to that layer, or to none.
    pub(super) fn enter(&mut self, layer: Option<usize>) {
        self.layer = layer;
    }

    /// Whether the checkpoint has the tensor of that role.
    pub(super) fn has(&self, role: &str) -> bool {
        self.checkpoint.tensor(&self.tensor_name(role)).is_some()
    }

    /// Refers to the tensor of that role, which must have that shape.
    pub(super) fn weight(&mut self, role: &str, shape: &[usize]) -> Result<WeightId, Error> {
        let tensor = self.tensor(role, shape)?;
        Ok(self.push(role, tensor, shape, None))
    }

    /// Name of the tensor of that role, which must have that shape.
    fn tensor(&self, role: &str, shape: &[usize]) -> Result<String, Error> {
        let tensor = self.tensor_name(role);
        let Some(found) = self.checkpoint.tensor(&tensor) else {
            return Err(Error::invalid(format!("tensor {tensor} ({role}) is missing")));
        };
        if found.shape != shape {
            return Err(Error::invalid(format!(
                "tensor {tensor}: shape {shape:?} expected, {:?} found",
                found.shape
            )));
        }
        Ok(tensor)
    }

    fn push(
        &mut self,
        role: &str,
        tensor: String,
        shape: &[usize],
        rows: Option<[usize; 2]>,
    ) -> WeightId {
        let role = match self.layer {
            Some(layer) => format!("layers.{layer}.{role}"),
            None => role.to_owned(),
        };
        self.graph.weights.push(Weight { role, tensor, shape: shape.to_vec(), rows });
        self.graph.weights.len() - 1
    }

    /// Appends a node and returns its value.
    pub(super) fn node(&mut self, op: Op, inputs: &[ValueId]) -> ValueId {
        self.graph.nodes.push(Node { op, inputs: inputs.to_vec() });
        self.graph.nodes.len() - 1
    }

    /// Appends a linear node: `role` is the matrix, `bias` the role of its bias.
    pub(super) fn linear(
        &mut self,
        input: ValueId,
        role: &str,
        bias: Option<&str>,
        shape: [usize; 2],
    ) -> Result<ValueId, Error> {
        let weight = self.weight(role, &shape)?;
        let bias = bias.map(|role| self.weight(role, &shape[..1])).transpose()?;
        Ok(self.node(Op::Linear { weight, bias }, &[input]))
    }

    /// Appends a linear node for each matrix that the tensor of the role `fused` holds, one above
    /// the other; `parts` are their roles and rows.
    pub(super) fn fused_linear<const N: usize>(
        &mut self,
        input: ValueId,
        fused: &str,
        parts: [(&str, usize); N],
        columns: usize,
    ) -> Result<[ValueId; N], Error> {
        let rows: usize = parts.iter().map(|(_, rows)| rows).sum();
        let tensor = self.tensor(fused, &[rows, columns])?;
        let mut begin = 0;
        Ok(parts.map(|(role, rows)| {
            let range = [begin, begin + rows];
            begin += rows;
            let weight = self.push(role, tensor.clone(), &[rows, columns], Some(range));
            self.node(Op::Linear { weight, bias: None }, &[input])
        }))
    }

    fn tensor_name(&self, role: &str) -> String {
        tensor_name(self.names, self.checkpoint, role, self.layer)
    }
}
