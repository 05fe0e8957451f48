//! Gemma 2 and the text part of Gemma 3: norms around both parts of a layer, scaled embeddings,
//! windows in most layers; caps on scores in the older, normalised heads and a second rope base
//! in the newer. EmbeddingGemma is the newer with rows that see both sides.
//!
//! Sources: transformers' `modeling_gemma2.py` and `modeling_gemma3.py`; llama.cpp's `gemma2`,
//! `gemma3` and `gemma-embedding`. Published configurations leave out what transformers has as default, so the defaults
//! are here too.

use plugin_api::{
    Activation, Architecture, CallSyntax, ChatConventions, CheckpointView, Decoder, Embedding,
    Error, Graph, NormPlacement, Scheme, ToolCallForm,
};

/// Defaults of transformers' `Gemma2Config`.
const GEMMA2_DEFAULTS: &[(&str, u64)] = &[
    ("num_attention_heads", 8),
    ("num_key_value_heads", 4),
    ("head_dim", 256),
    ("max_position_embeddings", 8192),
    ("query_pre_attn_scalar", 256),
    ("sliding_window", 4096),
    ("attn_logit_softcapping", 50),
    ("final_logit_softcapping", 30),
];

/// Defaults of transformers' `Gemma3TextConfig`.
const GEMMA3_DEFAULTS: &[(&str, u64)] = &[
    ("num_attention_heads", 8),
    ("num_key_value_heads", 4),
    ("head_dim", 256),
    ("max_position_embeddings", 131_072),
    ("query_pre_attn_scalar", 256),
    ("sliding_window", 4096),
    ("rope_theta", 1_000_000),
];

/// What llama.cpp calls EmbeddingGemma.
const GGUF_EMBEDDING: &str = "gemma-embedding";

/// What llama.cpp takes where a `gemma2` file names no caps.
const GGUF_SOFTCAPS: [f64; 2] = [50.0, 30.0];

/// Gemma 2.
#[derive(Debug)]
pub struct Gemma2;

impl Architecture for Gemma2 {
    const NAME: &'static str = "gemma2";
    const CLAIMS: &'static [&'static str] = &["Gemma2ForCausalLM", "gemma2"];

    fn build(checkpoint: &CheckpointView) -> Result<Graph, Error> {
        let checkpoint = &checkpoint.clone().with_defaults(GEMMA2_DEFAULTS);
        let (attention, logits) = match checkpoint.scheme() {
            Scheme::Gguf => (Some(GGUF_SOFTCAPS[0]), Some(GGUF_SOFTCAPS[1])),
            _ => (None, None),
        };
        // The 27B alone, known by its layers, scales scores by its width over its heads.
        gemma(checkpoint, Family { pattern: 2, layers_of_27b: 46, bidirectional: false })?
            .softcaps(
                softcap(checkpoint, "attn_logit_softcapping", attention)?,
                softcap(checkpoint, "final_logit_softcapping", logits)?,
            )
            .build()
    }
}

/// Gemma 3, its text part where the checkpoint sees images too; and EmbeddingGemma.
#[derive(Debug)]
pub struct Gemma3;

impl Architecture for Gemma3 {
    const NAME: &'static str = "gemma3";
    const CLAIMS: &'static [&'static str] = &[
        "Gemma3ForCausalLM",
        "Gemma3ForConditionalGeneration",
        "Gemma3TextModel",
        "gemma3",
        GGUF_EMBEDDING,
    ];

    fn build(checkpoint: &CheckpointView) -> Result<Graph, Error> {
        let text = match checkpoint.value("text_config", "-") {
            Some(_) => checkpoint.part("text_config", "language_model.")?,
            None => checkpoint.clone(),
        };
        let checkpoint = &text.with_defaults(GEMMA3_DEFAULTS);
        let newer = "rope_parameters.sliding_attention.rope_theta";
        let local = match checkpoint.optional_number(newer, "rope.freq_base_swa")? {
            Some(base) => base,
            None => checkpoint.number_or("rope_local_base_freq", "-", 10_000.0)?,
        };
        let bidirectional = checkpoint.architecture() == GGUF_EMBEDDING
            || checkpoint.switch("use_bidirectional_attention", "-");
        let decoder = gemma(checkpoint, Family { pattern: 6, layers_of_27b: 62, bidirectional })?
            .qk_norm()
            .window_rope_base(local)
            .softcaps(
                softcap(checkpoint, "attn_logit_softcapping", None)?,
                softcap(checkpoint, "final_logit_softcapping", None)?,
            );
        if !bidirectional {
            return decoder.build();
        }
        // Rows that see later ones cannot answer with the next.
        let embedding = checkpoint.embedding()?.unwrap_or_else(Embedding::mean);
        decoder.bidirectional().embedding(embedding).build()
    }

    /// FunctionGemma's calls; the chat templates of the others know of no tools.
    fn chat() -> ChatConventions {
        let [before, quote] = ["call:", "<escape>"].map(str::to_owned);
        let form = ToolCallForm::new("<start_function_call>", CallSyntax::Keyed { before, quote })
            .around_each("<start_function_call>", "<end_function_call>");
        ChatConventions { tool_calls: vec![form], reasoning: Vec::new() }
    }
}

/// In what the generations differ by number.
#[derive(Debug, Clone, Copy)]
struct Family {
    /// Of so many layers the last sees everything.
    pattern: usize,
    /// Layers of the one size whose scores GGUF files do not say how to scale.
    layers_of_27b: usize,
    /// Whether rows see later ones too.
    bidirectional: bool,
}

/// What both generations have.
fn gemma<'a>(checkpoint: &'a CheckpointView, family: Family) -> Result<Decoder<'a>, Error> {
    let function = checkpoint.text("hidden_activation", "-").unwrap_or("gelu_pytorch_tanh");
    if function != "gelu_pytorch_tanh" {
        return Err(Error::unsupported(format!(
            "hidden_activation is `{function}`, gelu_pytorch_tanh expected"
        )));
    }
    let weight_add = match checkpoint.scheme() {
        // llama.cpp's converter has added it already.
        Scheme::Gguf => 0.0,
        _ => 1.0,
    };
    let bias = checkpoint.switch("attention_bias", "-");
    let decoder = Decoder::new(checkpoint)?;
    let width = checkpoint.count("hidden_size", "embedding_length")?;
    let score_width = score_width(checkpoint, &decoder, family.layers_of_27b)?;
    let pattern = checkpoint
        .optional_count("sliding_window_pattern", "attention.sliding_window_pattern")?
        .unwrap_or(family.pattern);
    let window = checkpoint.window()?;
    // Configurations count the window over both sides.
    let window = window.map(|window| if family.bidirectional { window / 2 + 1 } else { window });
    decoder
        .norms(NormPlacement::Around, weight_add)
        .rename(
            "ffn_norm",
            "model.layers.{}.pre_feedforward_layernorm.weight",
            "blk.{}.ffn_norm.weight",
        )
        .qkv_bias(bias)
        .attention_output_bias(bias)
        .activation(Activation::GeluTanh)
        .embedding_scale((width as f32).sqrt())
        .attention_scale(score_width.powf(-0.5) as f32)
        .windows_by_kind(window, |layer| !(layer + 1).is_multiple_of(pattern))
}

/// The number whose root divides the attention scores.
fn score_width(
    checkpoint: &CheckpointView,
    decoder: &Decoder<'_>,
    layers_of_27b: usize,
) -> Result<f64, Error> {
    if let Some(scalar) = checkpoint.optional_number("query_pre_attn_scalar", "-")? {
        if scalar <= 0.0 {
            return Err(Error::invalid(format!(
                "query_pre_attn_scalar is {scalar}, a positive number expected"
            )));
        }
        return Ok(scalar);
    }
    if decoder.layers() == layers_of_27b {
        let width = checkpoint.count("hidden_size", "embedding_length")?;
        let heads = checkpoint.count("num_attention_heads", "attention.head_count")?;
        return Ok(width as f64 / heads as f64);
    }
    Ok(decoder.head_dim() as f64)
}

/// A cap under the same name in both schemes, or `default`.
fn softcap(
    checkpoint: &CheckpointView,
    key: &str,
    default: Option<f64>,
) -> Result<Option<f32>, Error> {
    match checkpoint.optional_number(key, key)?.or(default) {
        Some(cap) if cap <= 0.0 || cap > f64::from(f32::MAX) => {
            Err(Error::invalid(format!("{key} is {cap}, a positive number expected")))
        }
        cap => Ok(cap.map(|cap| cap as f32)),
    }
}

plugin_api::register!(architecture: Gemma2);
plugin_api::register!(architecture: Gemma3);
plugin_api::export_plugin!();
