//! Descriptions of small checkpoints, without weights.
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

/// Describes a checkpoint of a Llama-like decoder, to be changed where a family differs; or that
/// of another model, from nothing.
#[derive(Debug, Clone)]
pub struct DecoderCheckpoint {
    scheme: Scheme,
    architecture: String,
    config: Map<String, Value>,
    tensors: Vec<TensorInfo>,
}

impl DecoderCheckpoint {
    /// A checkpoint without configuration and tensors.
    #[must_use]
    pub fn empty(scheme: Scheme, architecture: &str) -> Self {
        let (config, tensors) = (Map::new(), Vec::new());
        Self { scheme, architecture: architecture.to_owned(), config, tensors }
    }

    /// A decoder of three layers with a tied embedding, for the named architecture, in Hugging
    /// Face's naming.
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
        let checkpoint =
            config.into_iter().fold(Self::empty(Scheme::Hf, architecture), |all, (key, value)| {
                all.config(key, value)
            });
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

    /// The same decoder in llama.cpp's naming.
    #[must_use]
    pub fn gguf(architecture: &str) -> Self {
        let config = [
            ("embedding_length", json!(WIDTH)),
            ("feed_forward_length", json!(FFN_WIDTH)),
            ("block_count", json!(LAYERS)),
            ("attention.head_count", json!(HEADS)),
            ("attention.head_count_kv", json!(KV_HEADS)),
            ("attention.key_length", json!(HEAD_DIM)),
            ("context_length", json!(64)),
            ("attention.layer_norm_rms_epsilon", json!(1e-5)),
            ("rope.freq_base", json!(10000.0)),
        ];
        let checkpoint = config
            .into_iter()
            .fold(Self::empty(Scheme::Gguf, architecture), |all, (key, value)| {
                all.config(&format!("{architecture}.{key}"), value)
            });
        let query = HEADS * HEAD_DIM;
        let kv = KV_HEADS * HEAD_DIM;
        checkpoint
            .tensor("token_embd.weight", &[VOCAB, WIDTH])
            .tensor("output_norm.weight", &[WIDTH])
            .layer_tensor("attn_norm.weight", &[WIDTH])
            .layer_tensor("ffn_norm.weight", &[WIDTH])
            .layer_tensor("attn_q.weight", &[query, WIDTH])
            .layer_tensor("attn_k.weight", &[kv, WIDTH])
            .layer_tensor("attn_v.weight", &[kv, WIDTH])
            .layer_tensor("attn_output.weight", &[WIDTH, query])
            .layer_tensor("ffn_gate.weight", &[FFN_WIDTH, WIDTH])
            .layer_tensor("ffn_up.weight", &[FFN_WIDTH, WIDTH])
            .layer_tensor("ffn_down.weight", &[WIDTH, FFN_WIDTH])
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

    /// Adds a tensor to every layer: `name` with the layer for `{}`, or, where it has none, below
    /// `model.layers.N.` or `blk.N.`.
    #[must_use]
    pub fn layer_tensor(mut self, name: &str, shape: &[usize]) -> Self {
        let below = match self.scheme {
            _ if name.contains("{}") => "",
            Scheme::Gguf => "blk.{}.",
            _ => "model.layers.{}.",
        };
        for layer in 0..LAYERS {
            self = self.tensor(&format!("{below}{name}").replace("{}", &layer.to_string()), shape);
        }
        self
    }

    /// Removes the tensors with one of `parts` in their names.
    #[must_use]
    pub fn without(mut self, parts: &[&str]) -> Self {
        self.tensors.retain(|tensor| !parts.iter().any(|part| tensor.name.contains(part)));
        self
    }

    /// The description, as a format plugin would give it.
    #[must_use]
    pub fn info(&self) -> CheckpointInfo {
        let values: usize = self.tensors.iter().map(|t| t.shape.iter().product::<usize>()).sum();
        CheckpointInfo::new(
            self.scheme,
            self.architecture.clone(),
            self.config.clone(),
            self.tensors.clone(),
            4 * values as u64,
        )
    }
}
