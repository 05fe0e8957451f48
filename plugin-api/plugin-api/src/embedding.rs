//! Embedding models: what a checkpoint says about how the rows of a text become its vector, and
//! the nodes that do it.
//!
//! Sources: sentence-transformers' `modules.json` and the files it names, which format plugins put
//! into the configuration under `sentence_transformers`; llama.cpp's `pooling_type` and `dense_2`,
//! `dense_3`.

use crate::view::activation;
use crate::{Activation, CheckpointView, Error, GraphWriter, Scheme};
use graph::{Op, Pooling, ValueId};

/// Least divisor of a vector that is brought to unit length (torch's `normalize`).
const NORMALIZE_EPS: f32 = 1e-12;
/// Dense layers of a GGUF file, in order, and the key of a file that has one.
const GGUF_DENSE: [[&str; 2]; 2] =
    [["dense_2.weight", "dense_2_feat_out"], ["dense_3.weight", "dense_3_feat_out"]];

/// How the last layer's rows become the vector of a text.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Embedding {
    /// Which rows.
    pub rows: EmbeddingRows,
    /// Layers over the pooled vector.
    pub dense: Vec<EmbeddingDense>,
    /// Whether the vector is brought to unit length.
    pub normalize: bool,
}

/// The rows of a text that make its vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EmbeddingRows {
    /// The mean of all.
    Mean,
    /// The first.
    First,
    /// The last.
    Last,
}

/// A linear layer over the pooled vector.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EmbeddingDense {
    /// Name of its matrix; one that ends in `.weight` may have a bias beside it.
    pub tensor: String,
    /// The function after it.
    pub activation: Option<Activation>,
}

impl Embedding {
    /// The mean of all rows at unit length: for an embedding model that does not say.
    #[must_use]
    pub fn mean() -> Self {
        Self { rows: EmbeddingRows::Mean, dense: Vec::new(), normalize: true }
    }
}

impl CheckpointView {
    /// What the checkpoint says about embeddings; none is a model that generates text.
    ///
    /// # Errors
    /// It asks for a kind of pooling or an activation that is not known.
    pub fn embedding(&self) -> Result<Option<Embedding>, Error> {
        match self.scheme() {
            Scheme::Hf => self.hf_embedding(),
            Scheme::Gguf => self.gguf_embedding(),
        }
    }

    fn hf_embedding(&self) -> Result<Option<Embedding>, Error> {
        let key = "sentence_transformers";
        if self.value(key, "-").is_none() {
            return Ok(None);
        }
        let rows = match self.text("sentence_transformers.pooling", "-") {
            Some("mean") => EmbeddingRows::Mean,
            Some("cls") => EmbeddingRows::First,
            Some("lasttoken") => EmbeddingRows::Last,
            other => {
                return Err(Error::unsupported(format!(
                    "pooling `{}` found; mean, cls and lasttoken are known",
                    other.unwrap_or("none")
                )));
            }
        };
        let list =
            self.value("sentence_transformers.dense", "-").and_then(|dense| dense.as_array());
        let dense = list.into_iter().flatten().map(|layer| {
            let text = |key: &str| layer.get(key).and_then(|value| value.as_str());
            let Some(tensor) = text("tensor") else {
                return Err(Error::invalid(format!("{key}.dense names no tensor in {layer}")));
            };
            let activation = match text("activation") {
                None | Some("identity") => None,
                Some(name) => Some(activation(name)?),
            };
            Ok(EmbeddingDense { tensor: tensor.to_owned(), activation })
        });
        let normalize = self.switch("sentence_transformers.normalize", "-");
        Ok(Some(Embedding { rows, dense: dense.collect::<Result<_, _>>()?, normalize }))
    }

    /// A GGUF file does not say whether vectors have unit length; llama.cpp's server gives them
    /// that.
    fn gguf_embedding(&self) -> Result<Option<Embedding>, Error> {
        let rows = match self.value("-", "pooling_type").map(|value| value.as_u64()) {
            None | Some(Some(0)) => return Ok(None),
            Some(Some(1)) => EmbeddingRows::Mean,
            Some(Some(2)) => EmbeddingRows::First,
            Some(Some(3)) => EmbeddingRows::Last,
            _ => {
                return Err(Error::unsupported(
                    "pooling_type is not mean (1), first (2) or last (3); rerankers are not served",
                ));
            }
        };
        let present = |[name, key]: [&'static str; 2]| {
            let is_there = self.tensor(name).is_some() || self.value("-", key).is_some();
            is_there.then(|| EmbeddingDense { tensor: name.to_owned(), activation: None })
        };
        let dense = GGUF_DENSE.into_iter().filter_map(present).collect();
        Ok(Some(Embedding { rows, dense, normalize: true }))
    }
}

impl GraphWriter<'_> {
    /// Ends the graph with one vector for each text, from rows that are not selected yet.
    ///
    /// # Errors
    /// A dense layer is missing, or does not take the width before it.
    pub fn embedding_output(
        &mut self,
        hidden: ValueId,
        width: usize,
        embedding: &Embedding,
    ) -> Result<(), Error> {
        self.answers_with_vectors();
        let rows = match embedding.rows {
            EmbeddingRows::Mean => Op::Pool { how: Pooling::Mean },
            EmbeddingRows::First => Op::Pool { how: Pooling::First },
            EmbeddingRows::Last => Op::SelectRows,
        };
        let mut value = self.node(rows, &[hidden]);
        let mut width = width;
        for (index, dense) in embedding.dense.iter().enumerate() {
            (value, width) = self.dense(value, width, &format!("dense.{index}"), dense)?;
        }
        if embedding.normalize {
            self.node(Op::Normalize { eps: NORMALIZE_EPS }, &[value]);
        }
        Ok(())
    }

    fn dense(
        &mut self,
        input: ValueId,
        width: usize,
        role: &str,
        dense: &EmbeddingDense,
    ) -> Result<(ValueId, usize), Error> {
        let tensor = &dense.tensor;
        let output = self.stored_shape(role, tensor)?.first().copied().unwrap_or(0);
        let weight = self.named_weight(role, tensor, &[output, width])?;
        let bias = tensor.strip_suffix(".weight").map(|layer| format!("{layer}.bias"));
        let bias = match bias.filter(|name| self.has_tensor(name)) {
            Some(name) => Some(self.named_weight(&format!("{role}_bias"), &name, &[output])?),
            None => None,
        };
        let mut value = self.node(Op::Linear { weight, bias }, &[input]);
        if let Some(function) = dense.activation {
            value = self.node(Op::Activate { function }, &[value]);
        }
        Ok((value, output))
    }
}
