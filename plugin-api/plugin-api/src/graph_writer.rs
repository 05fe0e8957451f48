//! Writes a graph node by node, checking each tensor against the size it should have.
//!
//! The decoder is written with it, and so is a model that is no decoder. It knows names and shapes
//! of tensors and nothing of layers: what stands where is the caller's.

use crate::tensor_names::{gguf_name, tensor_name};
use crate::{CheckpointView, Error, Graph, RopeTable, Scheme};
use graph::{CacheSpec, ChatConventions, Node, OPSET, Op, Output, ValueId, Weight, WeightId};

/// A graph being written. Weights are asked for by role; the checkpoint's scheme tells the tensor.
///
/// The roles of the SDK's decoder have names already (`embed`, `attn_q`, `ffn_up`, ..); others get
/// theirs with [`GraphWriter::rename`]. The role of a bias is that of its weight and `_bias`.
#[derive(Debug)]
pub struct GraphWriter<'a> {
    checkpoint: &'a CheckpointView,
    names: Vec<[&'static str; 3]>,
    layer: Option<usize>,
    graph: Graph,
}

/// A norm of whole rows.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Norm {
    /// [`Op::RmsNorm`].
    Rms {
        /// Added to the mean square.
        eps: f32,
        /// Added to the weight.
        weight_add: f32,
    },
    /// [`Op::LayerNorm`] with a bias.
    Layer {
        /// Added to the variance.
        eps: f32,
    },
}

impl<'a> GraphWriter<'a> {
    /// An empty graph for the checkpoint, of sequences up to that length.
    #[must_use]
    pub fn new(checkpoint: &'a CheckpointView, context_length: usize) -> Self {
        let graph = Graph {
            opset: OPSET,
            architecture: checkpoint.architecture().to_owned(),
            vocab_size: 0,
            context_length,
            output: Output::Logits,
            weights: Vec::new(),
            caches: Vec::new(),
            rope_tables: Vec::new(),
            nodes: Vec::new(),
            gguf: None,
            chat: ChatConventions::default(),
        };
        Self { checkpoint, names: Vec::new(), layer: None, graph }
    }

    /// Names of a role in the two schemes; `{}` stands for the layer, `{expert}` for the expert.
    #[must_use]
    pub fn rename(mut self, role: &'static str, hf: &'static str, gguf: &'static str) -> Self {
        self.names.push([role, hf, gguf]);
        self
    }

    /// Weights from now on belong to that layer, or to none.
    pub fn enter(&mut self, layer: Option<usize>) {
        self.layer = layer;
    }

    /// Whether the checkpoint has the tensor of that role.
    #[must_use]
    pub fn has(&self, role: &str) -> bool {
        self.checkpoint.tensor(&self.tensor_name(role)).is_some()
    }

    /// Refers to the tensor of that role, which must have that shape; a matrix of one row may be
    /// stored as a vector.
    ///
    /// # Errors
    /// The tensor is missing or has another shape.
    pub fn weight(&mut self, role: &str, shape: &[usize]) -> Result<WeightId, Error> {
        let tensor = self.tensor_name(role);
        let stored = self.checkpoint.tensor(&tensor).map(|tensor| tensor.shape.as_slice());
        if shape.len() == 2 && shape[0] == 1 && stored == Some(&shape[1..]) {
            return self.rows(role, 0, shape);
        }
        self.check(role, &tensor, shape)?;
        Ok(self.push(role, tensor, shape, None))
    }

    /// Refers to a matrix or vector among the rows of a larger tensor, from row `begin` on.
    ///
    /// # Errors
    /// The tensor is missing, has fewer rows, or rows of another length.
    pub fn rows(&mut self, role: &str, begin: usize, shape: &[usize]) -> Result<WeightId, Error> {
        let tensor = self.tensor_name(role);
        let found = self.stored_shape(role, &tensor)?;
        let row_count = |shape: &[usize]| {
            let (_, outer) = shape.split_last()?;
            outer.iter().try_fold(1_usize, |count, &size| count.checked_mul(size))
        };
        let end = row_count(shape).and_then(|count| begin.checked_add(count));
        match (end, row_count(found)) {
            (Some(end), Some(count)) if end <= count && found.last() == shape.last() => {
                let range = (found != shape).then_some([begin, end]);
                Ok(self.push(role, tensor, shape, range))
            }
            _ => Err(Error::invalid(format!(
                "tensor {tensor}: rows from {begin} on of shape {shape:?} expected, {found:?} found"
            ))),
        }
    }

    /// Refers to a matrix for each expert: a tensor of its own where the role's name has
    /// `{expert}`, else part of one tensor that stacks them.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn experts(
        &mut self,
        role: &str,
        count: usize,
        [rows, columns]: [usize; 2],
    ) -> Result<Vec<WeightId>, Error> {
        let name = self.tensor_name(role);
        let apart = name.contains("{expert}");
        if !apart {
            self.check(role, &name, &[count, rows, columns])?;
        }
        let weight = |expert: usize| {
            let tensor = name.replace("{expert}", &expert.to_string());
            if apart {
                self.check(role, &tensor, &[rows, columns])?;
            }
            let range = (!apart).then_some([expert * rows, (expert + 1) * rows]);
            let weight = self.push(role, tensor, &[rows, columns], range);
            self.graph.weights[weight].role.push_str(&format!(".{expert}"));
            Ok(weight)
        };
        (0..count).map(weight).collect()
    }

    /// Appends a node and returns its value.
    pub fn node(&mut self, op: Op, inputs: &[ValueId]) -> ValueId {
        self.graph.nodes.push(Node { op, inputs: inputs.to_vec() });
        self.graph.nodes.len() - 1
    }

    /// Appends the embedding of the tokens, role `embed`; its rows are the vocabulary.
    ///
    /// # Errors
    /// The tensor is missing, or contradicts the configured vocabulary or the width.
    pub fn embed(&mut self, width: usize) -> Result<ValueId, Error> {
        let name = self.tensor_name("embed");
        let rows = self.stored_shape("embed", &name)?.first().copied().unwrap_or(0);
        match self.checkpoint.optional_count("vocab_size", "vocab_size")? {
            Some(size) if size != rows => Err(Error::invalid(format!(
                "vocabulary of {size} in the configuration, but tensor {name} has {rows} rows"
            ))),
            _ => {
                self.graph.vocab_size = rows;
                let weight = self.weight("embed", &[rows, width])?;
                Ok(self.node(Op::Embed { weight }, &[]))
            }
        }
    }

    /// Appends a linear node: `role` is the matrix.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn linear(
        &mut self,
        input: ValueId,
        role: &str,
        shape: [usize; 2],
        biased: bool,
    ) -> Result<ValueId, Error> {
        let weight = self.weight(role, &shape)?;
        let bias = match biased {
            true => Some(self.weight(&format!("{role}_bias"), &shape[..1])?),
            false => None,
        };
        Ok(self.node(Op::Linear { weight, bias }, &[input]))
    }

    /// Appends a linear node for each matrix that the tensor of the role `fused` holds, one above
    /// the other; `parts` are their roles and rows.
    ///
    /// # Errors
    /// The tensor is missing or has another shape.
    pub fn fused_linear<const N: usize>(
        &mut self,
        input: ValueId,
        fused: &str,
        parts: [(&str, usize); N],
        columns: usize,
    ) -> Result<[ValueId; N], Error> {
        let rows: usize = parts.iter().map(|(_, rows)| rows).sum();
        let tensor = self.tensor_name(fused);
        self.check(fused, &tensor, &[rows, columns])?;
        let mut begin = 0;
        Ok(parts.map(|(role, rows)| {
            let range = [begin, begin + rows];
            begin += rows;
            let weight = self.push(role, tensor.clone(), &[rows, columns], Some(range));
            let fused = self.gguf_name(fused);
            self.graph.weights[weight].gguf = fused;
            self.node(Op::Linear { weight, bias: None }, &[input])
        }))
    }

    /// Appends a norm of whole rows.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn norm(
        &mut self,
        input: ValueId,
        role: &str,
        width: usize,
        norm: Norm,
    ) -> Result<ValueId, Error> {
        let weight = self.weight(role, &[width])?;
        let op = match norm {
            Norm::Rms { eps, weight_add } => Op::RmsNorm { weight, eps, groups: 1, weight_add },
            Norm::Layer { eps } => {
                let bias = Some(self.weight(&format!("{role}_bias"), &[width])?);
                Op::LayerNorm { weight, bias, eps }
            }
        };
        Ok(self.node(op, &[input]))
    }

    /// Adds a KV cache and returns its index.
    pub fn cache(&mut self, kv_heads: usize, head_dim: usize) -> usize {
        self.graph.caches.push(CacheSpec { kv_heads, head_dim });
        self.graph.caches.len() - 1
    }

    /// Adds a rope table and returns its index.
    pub fn rope_table(&mut self, table: RopeTable) -> usize {
        self.graph.rope_tables.push(table);
        self.graph.rope_tables.len() - 1
    }

    /// Appends the scores of the vocabulary, from rows that are selected and normalised. The
    /// matrix is that of the role `output` or the embedding: as configured, else as the tensors
    /// show.
    ///
    /// # Errors
    /// The tensor is missing or has another shape.
    pub fn logits(&mut self, hidden: ValueId, width: usize) -> Result<ValueId, Error> {
        let configured =
            self.checkpoint.value("tie_word_embeddings", "-").and_then(|v| v.as_bool());
        let tied = configured.unwrap_or(!self.has("output"));
        let role = if tied { "embed" } else { "output" };
        self.linear(hidden, role, [self.graph.vocab_size, width], false)
    }

    /// Says that the graph answers with vectors, not with scores.
    pub(crate) fn answers_with_vectors(&mut self) {
        self.graph.output = Output::Embedding;
    }

    /// The graph; the last node's value is its answer.
    #[must_use]
    pub fn finish(self) -> Graph {
        self.graph
    }

    /// The name of a role's tensor in GGUF files, for a checkpoint that names it otherwise.
    fn gguf_name(&self, role: &str) -> Option<String> {
        match self.checkpoint.scheme() {
            Scheme::Gguf => None,
            Scheme::Hf => gguf_name(&self.names, role, self.layer),
        }
    }

    fn tensor_name(&self, role: &str) -> String {
        tensor_name(&self.names, self.checkpoint, role, self.layer)
    }

    /// Whether the checkpoint has a tensor of that very name.
    pub(crate) fn has_tensor(&self, name: &str) -> bool {
        self.checkpoint.tensor(name).is_some()
    }

    /// Refers to the tensor of that very name.
    pub(crate) fn named_weight(
        &mut self,
        role: &str,
        tensor: &str,
        shape: &[usize],
    ) -> Result<WeightId, Error> {
        self.check(role, tensor, shape)?;
        let weight = self.push(role, tensor.to_owned(), shape, None);
        self.graph.weights[weight].gguf = None;
        Ok(weight)
    }

    /// Shape of the tensor of that very name.
    pub(crate) fn stored_shape(&self, role: &str, tensor: &str) -> Result<&'a [usize], Error> {
        match self.checkpoint.tensor(tensor) {
            Some(found) => Ok(&found.shape),
            None => Err(Error::invalid(format!("tensor {tensor} ({role}) is missing"))),
        }
    }

    fn check(&self, role: &str, tensor: &str, shape: &[usize]) -> Result<(), Error> {
        let found = self.stored_shape(role, tensor)?;
        if found != shape {
            return Err(Error::invalid(format!(
                "tensor {tensor}: shape {shape:?} expected, {found:?} found"
            )));
        }
        Ok(())
    }

    fn push(
        &mut self,
        role: &str,
        tensor: String,
        shape: &[usize],
        rows: Option<[usize; 2]>,
    ) -> WeightId {
        let gguf = self.gguf_name(role);
        let role = match self.layer {
            Some(layer) => format!("layers.{layer}.{role}"),
            None => role.to_owned(),
        };
        let weight = Weight { role, tensor, shape: shape.to_vec(), rows, gguf };
        // Outside of layers a weight may serve twice: an embedding that is the output matrix too.
        if self.layer.is_none()
            && let Some(known) = self.graph.weights.iter().position(|known| *known == weight)
        {
            return known;
        }
        self.graph.weights.push(weight);
        self.graph.weights.len() - 1
    }
}
