//! What a quantizer is asked, and what it answers.
//!
//! Both cross the boundary as JSON. A quantizer sees names and shapes, never data: it is a policy,
//! the arithmetic is that of the dtypes it names.

use serde::{Deserialize, Serialize};

/// The tensors of a model and how they shall be quantized.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QuantizeRequest {
    /// How.
    pub recipe: Recipe,
    /// Architecture, as the graph has it.
    pub architecture: String,
    /// Whether the host knows how much each input of a matrix matters (an importance matrix).
    pub importance: bool,
    /// The tensors, in the order of the graph; one that several weights name is here once.
    pub tensors: Vec<QuantizeTensor>,
}

/// How tensors shall be quantized.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "built by hosts, matched by quantizers")]
pub enum Recipe {
    /// A name that the quantizer claims, such as `q4k`.
    Name(String),
    /// The text of a file of rules (TOML).
    Rules(String),
}

/// One tensor of the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "built by hosts and testkits field by field")]
pub struct QuantizeTensor {
    /// What it is in the model, such as `layers.0.attn_q`.
    pub role: String,
    /// Its name in the checkpoint.
    pub name: String,
    /// Dtype in the checkpoint, lower case.
    pub dtype: String,
    /// Row-major shape, outermost first.
    pub shape: Vec<usize>,
    /// Whether it is multiplied as a matrix.
    pub matrix: bool,
    /// Whether rows of it are looked up as embeddings.
    pub embedding: bool,
}

/// The dtype of each tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QuantizePlan {
    /// One entry for each tensor of the request; none leaves it as it is. A tensor whose rows are
    /// no whole blocks of the dtype is the quantizer's fault, and an error of the host.
    pub dtypes: Vec<Option<String>>,
}

impl QuantizeRequest {
    /// A request without an importance matrix.
    #[must_use]
    pub fn new(recipe: Recipe, architecture: String, tensors: Vec<QuantizeTensor>) -> Self {
        Self { recipe, architecture, importance: false, tensors }
    }
}

impl QuantizePlan {
    /// A plan with these dtypes.
    #[must_use]
    pub fn new(dtypes: Vec<Option<String>>) -> Self {
        Self { dtypes }
    }
}
