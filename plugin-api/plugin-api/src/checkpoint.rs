//! What a format plugin says about an open checkpoint, and all an architecture plugin gets to see.
//!
//! Tensor data is not part of it: an architecture works from names and shapes alone.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Description of a checkpoint, the JSON that `format/1` writes and `architecture/1` reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CheckpointInfo {
    /// How the checkpoint names things.
    pub scheme: Scheme,
    /// Architecture as the checkpoint calls it: `Qwen2ForCausalLM`, or GGUF's `qwen2`.
    pub architecture: String,
    /// Name of the model, if the checkpoint has one.
    #[serde(default)]
    pub name: Option<String>,
    /// `config.json`, or the scalar metadata of a GGUF file.
    pub config: Map<String, Value>,
    /// The tensors, in the order `format/1`'s `tensor` counts them.
    pub tensors: Vec<TensorInfo>,
    /// Tokens that end a text, from every place the checkpoint lists them.
    #[serde(default)]
    pub eos_tokens: Vec<u32>,
    /// Token that begins a text.
    #[serde(default)]
    pub bos_token: Option<u32>,
    /// Bytes of all tensors.
    #[serde(default)]
    pub tensor_bytes: u64,
}

/// How a checkpoint names its tensors and hyper-parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Scheme {
    /// As Hugging Face's transformers do: `model.layers.0.self_attn.q_proj.weight`.
    Hf,
    /// As llama.cpp's converters do: `blk.0.attn_q.weight`.
    Gguf,
}

/// Name, dtype and shape of a tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TensorInfo {
    /// Name in the checkpoint.
    pub name: String,
    /// Dtype in lower case: `f32`, `bf16`, `q4_k`.
    pub dtype: String,
    /// Row-major shape, outermost first (a GGUF file's dimensions reversed).
    pub shape: Vec<usize>,
}

impl CheckpointInfo {
    /// A description without special tokens; `tensor_bytes` is the sum over all tensors.
    #[must_use]
    pub fn new(
        scheme: Scheme,
        architecture: String,
        config: Map<String, Value>,
        tensors: Vec<TensorInfo>,
        tensor_bytes: u64,
    ) -> Self {
        Self {
            scheme,
            architecture,
            name: None,
            config,
            tensors,
            eos_tokens: Vec::new(),
            bos_token: None,
            tensor_bytes,
        }
    }
}

impl TensorInfo {
    /// Describes a tensor.
    #[must_use]
    pub fn new(name: String, dtype: String, shape: Vec<usize>) -> Self {
        Self { name, dtype, shape }
    }
}
