//! Descriptions of small decoder checkpoints, without weights.
//!
//! An architecture sees names and shapes only, so a description is all a suite needs. The sizes
//! are small and all different, so that a swapped pair of them does not go unseen.

use plugin_api::{CheckpointInfo, Scheme, TensorInfo};
use serde_json::{Map, Value, json};

const WIDTH: usize = 48;
const FFN_WIDTH: usize = 80;
const HEADS: usize = 6;
const KV_HEADS: usize = 2;
const HEAD_DIM: usize = 8;
const LAYERS: usize = 3;
const VOCAB: usize = 100;

/// Describes a checkpoint of a Llama-like decoder in Hugging Face's naming, to be changed where a
/// family differs.
#[derive(Debug, Clone)]
pub struct DecoderCheckpoint {
    architecture: String,
    config: Map<String, Value>,
    tensors: Vec<TensorInfo>,
}

impl DecoderCheckpoint {
    /// A decoder of three layers with a tied embedding, for the named architecture.
    #[must_use]
    pub fn hf(architecture: &str) -> Self {
        let config = [
            ("architectures", json!([architecture])),
            ("hidden_size", json!(WIDTH)),
            ("intermediate_size", json!(FFN_WIDTH)),
            ("num_hidden_layers", json!(LAYERS)),
            ("num_attention_heads", json!(HEADS)),
            ("num_key_value_heads", json!(KV_HEADS)),
            ("head_dim", json!(HEAD_DIM)),
            ("vocab_size", json!(VOCAB)),
            ("max_position_embeddings", json!(64)),
            ("rms_norm_eps", json!(1e-5)),
            ("rope_theta", json!(10000.0)),
            ("tie_word_embeddings", json!(true)),
        ];
        let config = config.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let checkpoint =
            Self { architecture: architecture.to_owned(), config, tensors: Vec::new() };
        let query = HEADS * HEAD_DIM;
        let kv = KV_HEADS * HEAD_DIM;
        checkpoint
            .tensor("model.embed_tokens.weight", &[VOCAB, WIDTH])
            .tensor("model.norm.weight", &[WIDTH])
            .layer_tensor("input_layernorm.weight", &[WIDTH])
            .layer_tensor("post_attention_layernorm.weight", &[WIDTH])
            .layer_tensor("self_attn.q_proj.weight", &[query, WIDTH])
            .layer_tensor("self_attn.k_proj.weight", &[kv, WIDTH])
            .layer_tensor("self_attn.v_proj.weight", &[kv, WIDTH])
            .layer_tensor("self_attn.o_proj.weight", &[WIDTH, query])
            .layer_tensor("mlp.gate_proj.weight", &[FFN_WIDTH, WIDTH])
            .layer_tensor("mlp.up_proj.weight", &[FFN_WIDTH, WIDTH])
            .layer_tensor("mlp.down_proj.weight", &[WIDTH, FFN_WIDTH])
    }

    /// Sets a key of the configuration.
    #[must_use]
    pub fn config(mut self, key: &str, value: Value) -> Self {
        self.config.insert(key.to_owned(), value);
        self
    }

    /// Adds a tensor.
    #[must_use]
    pub fn tensor(mut self, name: &str, shape: &[usize]) -> Self {
        self.tensors.push(TensorInfo::new(name.to_owned(), "f32".to_owned(), shape.to_vec()));
        self
    }

    /// Adds a tensor to every layer: `model.layers.N.` and `name`.
    #[must_use]
    pub fn layer_tensor(mut self, name: &str, shape: &[usize]) -> Self {
        for layer in 0..LAYERS {
            self = self.tensor(&format!("model.layers.{layer}.{name}"), shape);
        }
        self
    }

    /// The description, as a format plugin would give it.
    #[must_use]
    pub fn info(&self) -> CheckpointInfo {
        let values: usize = self.tensors.iter().map(|t| t.shape.iter().product::<usize>()).sum();
        CheckpointInfo::new(
            Scheme::Hf,
            self.architecture.clone(),
            self.config.clone(),
            self.tensors.clone(),
            4 * values as u64,
        )
    }
}
