//! BERT, RoBERTa and XLM-RoBERTa as embedding models: learned positions, norms after each part of
//! a layer, attention to both sides.
//!
//! Sources: transformers' `modeling_bert.py` and `modeling_roberta.py`; llama.cpp's `bert`. Every
//! token has type 0. The heads for masked tokens and classes are not computed.

use plugin_api::graph::{Op, ValueId};
use plugin_api::{
    Activation, Architecture, CheckpointView, Embedding, Error, Graph, GraphWriter, Norm, Scheme,
};

/// Most layers.
const LAYERS_MAX: usize = 512;
/// What the names of tensors begin with in a checkpoint that has a head.
const PREFIXES: &[&str] = &["bert.", "roberta."];

/// Role, name in Hugging Face checkpoints and name in GGUF files; `{}` stands for the layer.
const WEIGHTS: &[[&str; 3]] = &[
    ["embed", "embeddings.word_embeddings.weight", "token_embd.weight"],
    ["positions", "embeddings.position_embeddings.weight", "position_embd.weight"],
    ["types", "embeddings.token_type_embeddings.weight", "token_types.weight"],
    ["embed_norm", "embeddings.LayerNorm.weight", "token_embd_norm.weight"],
    ["embed_norm_bias", "embeddings.LayerNorm.bias", "token_embd_norm.bias"],
    ["attn_q", "encoder.layer.{}.attention.self.query.weight", "blk.{}.attn_q.weight"],
    ["attn_q_bias", "encoder.layer.{}.attention.self.query.bias", "blk.{}.attn_q.bias"],
    ["attn_k", "encoder.layer.{}.attention.self.key.weight", "blk.{}.attn_k.weight"],
    ["attn_k_bias", "encoder.layer.{}.attention.self.key.bias", "blk.{}.attn_k.bias"],
    ["attn_v", "encoder.layer.{}.attention.self.value.weight", "blk.{}.attn_v.weight"],
    ["attn_v_bias", "encoder.layer.{}.attention.self.value.bias", "blk.{}.attn_v.bias"],
    ["attn_output", "encoder.layer.{}.attention.output.dense.weight", "blk.{}.attn_output.weight"],
    ["attn_output_bias", "encoder.layer.{}.attention.output.dense.bias", "blk.{}.attn_output.bias"],
    [
        "attn_output_norm",
        "encoder.layer.{}.attention.output.LayerNorm.weight",
        "blk.{}.attn_output_norm.weight",
    ],
    [
        "attn_output_norm_bias",
        "encoder.layer.{}.attention.output.LayerNorm.bias",
        "blk.{}.attn_output_norm.bias",
    ],
    ["ffn_up", "encoder.layer.{}.intermediate.dense.weight", "blk.{}.ffn_up.weight"],
    ["ffn_up_bias", "encoder.layer.{}.intermediate.dense.bias", "blk.{}.ffn_up.bias"],
    ["ffn_down", "encoder.layer.{}.output.dense.weight", "blk.{}.ffn_down.weight"],
    ["ffn_down_bias", "encoder.layer.{}.output.dense.bias", "blk.{}.ffn_down.bias"],
    ["layer_norm", "encoder.layer.{}.output.LayerNorm.weight", "blk.{}.layer_output_norm.weight"],
    ["layer_norm_bias", "encoder.layer.{}.output.LayerNorm.bias", "blk.{}.layer_output_norm.bias"],
];

/// The family.
#[derive(Debug)]
pub struct Bert;

impl Architecture for Bert {
    const NAME: &'static str = "bert";
    const CLAIMS: &'static [&'static str] = &[
        "BertModel",
        "BertForMaskedLM",
        "RobertaModel",
        "RobertaForMaskedLM",
        "XLMRobertaModel",
        "XLMRobertaForMaskedLM",
        "bert",
    ];

    fn build(checkpoint: &CheckpointView) -> Result<Graph, Error> {
        let checkpoint = checkpoint.clone().below_any(PREFIXES);
        let sizes = Sizes::read(&checkpoint)?;
        let mut writer = GraphWriter::new(&checkpoint, sizes.context);
        for [role, hf, gguf] in WEIGHTS {
            writer = writer.rename(role, hf, gguf);
        }
        let mut encoder = Encoder { writer, sizes };
        let mut hidden = encoder.embeddings()?;
        for layer in 0..sizes.layers {
            encoder.writer.enter(Some(layer));
            hidden = encoder.attention(hidden)?;
            hidden = encoder.feed_forward(hidden)?;
        }
        encoder.writer.enter(None);
        let embedding = checkpoint.embedding()?.unwrap_or_else(Embedding::mean);
        encoder.writer.embedding_output(hidden, sizes.width, &embedding)?;
        Ok(encoder.writer.finish())
    }
}

#[derive(Debug, Clone, Copy)]
struct Sizes {
    layers: usize,
    width: usize,
    ffn_width: usize,
    heads: usize,
    context: usize,
    /// Row of the positions that belongs to a sequence's first token.
    first_position: usize,
    norm: Norm,
    activation: Activation,
}

impl Sizes {
    fn read(checkpoint: &CheckpointView) -> Result<Self, Error> {
        let layers = checkpoint.count("num_hidden_layers", "block_count")?;
        if layers > LAYERS_MAX {
            return Err(Error::invalid(format!("{layers} layers found, at most {LAYERS_MAX}")));
        }
        let width = checkpoint.count("hidden_size", "embedding_length")?;
        let heads = checkpoint.count("num_attention_heads", "attention.head_count")?;
        if !width.is_multiple_of(heads) {
            return Err(Error::invalid(format!("{heads} heads do not divide width {width}")));
        }
        let positions = checkpoint.text("position_embedding_type", "-").unwrap_or("absolute");
        if positions != "absolute" || checkpoint.switch("is_decoder", "-") {
            return Err(Error::unsupported(format!(
                "an encoder with absolute positions expected, `{positions}` positions or a decoder \
                 found"
            )));
        }
        let rows = checkpoint.count("max_position_embeddings", "context_length")?;
        let first_position = first_position(checkpoint)?;
        let Some(context) = rows.checked_sub(first_position).filter(|&context| context > 0) else {
            return Err(Error::invalid(format!(
                "{rows} positions found, more than the {first_position} before the first expected"
            )));
        };
        let eps = checkpoint.epsilon("layer_norm_eps", "attention.layer_norm_epsilon", 1e-12)?;
        Ok(Self {
            layers,
            width,
            ffn_width: checkpoint.count("intermediate_size", "feed_forward_length")?,
            heads,
            context,
            first_position,
            norm: Norm::Layer { eps },
            activation: checkpoint.activation("hidden_act", Activation::Gelu)?,
        })
    }
}

/// RoBERTa counts positions from the one after its padding token's; GGUF files leave those before
/// out.
fn first_position(checkpoint: &CheckpointView) -> Result<usize, Error> {
    if checkpoint.scheme() == Scheme::Gguf || checkpoint.architecture().starts_with("Bert") {
        return Ok(0);
    }
    match checkpoint.value("pad_token_id", "-").map(|id| id.as_u64()) {
        None => Ok(2),
        Some(Some(0)) => Ok(1),
        _ => Ok(checkpoint.count("pad_token_id", "-")? + 1),
    }
}

/// The graph while it is written.
struct Encoder<'a> {
    writer: GraphWriter<'a>,
    sizes: Sizes,
}

impl Encoder<'_> {
    fn embeddings(&mut self) -> Result<ValueId, Error> {
        let Sizes { width, context, first_position, .. } = self.sizes;
        let words = self.writer.embed(width)?;
        let weight = self.writer.rows("types", 0, &[width])?;
        let typed = self.writer.node(Op::Bias { weight }, &[words]);
        let weight = self.writer.rows("positions", first_position, &[context, width])?;
        let positions = self.writer.node(Op::EmbedPosition { weight }, &[]);
        let sum = self.writer.node(Op::Add, &[typed, positions]);
        self.writer.norm(sum, "embed_norm", width, self.sizes.norm)
    }

    fn attention(&mut self, hidden: ValueId) -> Result<ValueId, Error> {
        let Sizes { width, heads, .. } = self.sizes;
        let head_dim = width / heads;
        let writer = &mut self.writer;
        let q = writer.linear(hidden, "attn_q", [width, width], true)?;
        let k = writer.linear(hidden, "attn_k", [width, width], true)?;
        let v = writer.linear(hidden, "attn_v", [width, width], true)?;
        let attention = Op::Attention {
            heads,
            cache: writer.cache(heads, head_dim),
            scale: (head_dim as f32).powf(-0.5),
            causal: false,
            window: None,
            softcap: None,
        };
        let mixed = writer.node(attention, &[q, k, v]);
        let output = writer.linear(mixed, "attn_output", [width, width], true)?;
        self.residual(hidden, output, "attn_output_norm")
    }

    fn feed_forward(&mut self, hidden: ValueId) -> Result<ValueId, Error> {
        let Sizes { width, ffn_width, activation: function, .. } = self.sizes;
        let up = self.writer.linear(hidden, "ffn_up", [ffn_width, width], true)?;
        let inner = self.writer.node(Op::Activate { function }, &[up]);
        let down = self.writer.linear(inner, "ffn_down", [width, ffn_width], true)?;
        self.residual(hidden, down, "layer_norm")
    }

    fn residual(&mut self, hidden: ValueId, output: ValueId, norm: &str) -> Result<ValueId, Error> {
        let sum = self.writer.node(Op::Add, &[hidden, output]);
        self.writer.norm(sum, norm, self.sizes.width, self.sizes.norm)
    }
}

plugin_api::register!(architecture: Bert);
plugin_api::export_plugin!();
