//! What a writer gets: a checkpoint's description and assets; the data comes from a row source.

use crate::CheckpointInfo;
use graph::Graph;
use serde::{Deserialize, Serialize};

/// A checkpoint to be written to a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Export {
    /// The checkpoint it comes from, as its format describes it.
    pub checkpoint: CheckpointInfo,
    /// Its graph, not simplified: roles, shapes and storage of its weights.
    pub graph: Graph,
    /// The data: one entry for each weight of the graph, in its order.
    pub tensors: Vec<ExportTensor>,
    /// `tokenizer.json`.
    pub tokenizer: Option<String>,
    /// The chat template.
    pub chat_template: Option<String>,
}

/// The data of one weight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "built by hosts and testkits field by field")]
pub struct ExportTensor {
    /// Dtype that the row source gives, lower case.
    pub dtype: String,
}

impl Export {
    /// A checkpoint without assets.
    #[must_use]
    pub fn new(checkpoint: CheckpointInfo, graph: Graph, tensors: Vec<ExportTensor>) -> Self {
        Self { checkpoint, graph, tensors, tokenizer: None, chat_template: None }
    }
}
