//! Llama 2 and 3, and Mistral: the decoder as the SDK starts it; and Phi-3, the same with fewer,
//! larger tensors.
//!
//! Sources: transformers' `modeling_llama.py`, `modeling_mistral.py` and
//! `modeling_phi3.py`; llama.cpp's `llama`.

use plugin_api::{Architecture, CheckpointView, Decoder, Error, Graph, RopeStyle, Scheme};

/// The Llama family.
#[derive(Debug)]
pub struct Llama;

impl Architecture for Llama {
    const NAME: &'static str = "llama";
    const CLAIMS: &'static [&'static str] =
        &["LlamaForCausalLM", "MistralForCausalLM", "llama", "mistral"];

    fn build(checkpoint: &CheckpointView) -> Result<Graph, Error> {
        let bias = checkpoint.switch("attention_bias", "-");
        let window = checkpoint.optional_count("sliding_window", "attention.sliding_window")?;
        // GGUF files of this family store the rows of q and k in the order of the original paper.
        let style = match checkpoint.scheme() {
            Scheme::Gguf => RopeStyle::Interleaved,
            _ => RopeStyle::Neox,
        };
        Decoder::new(checkpoint)?
            .qkv_bias(bias)
            .attention_output_bias(bias)
            .feed_forward_bias(checkpoint.switch("mlp_bias", "-"))
            .rope_style(style)
            .windows(|_| window)
            .build()
    }
}

/// Phi-3, from Hugging Face checkpoints; those with the rope law longrope are refused.
#[derive(Debug)]
pub struct Phi3;

impl Architecture for Phi3 {
    const NAME: &'static str = "phi3";
    const CLAIMS: &'static [&'static str] = &["Phi3ForCausalLM"];

    fn build(checkpoint: &CheckpointView) -> Result<Graph, Error> {
        let window = checkpoint.optional_count("sliding_window", "-")?;
        Decoder::new(checkpoint)?.fused().windows(|_| window).build()
    }
}

plugin_api::register!(architecture: Llama);
plugin_api::register!(architecture: Phi3);
plugin_api::export_plugin!();
