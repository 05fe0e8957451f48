//! Qwen 2, 2.5 and 3, dense: biased q, k, v in the older ones, normalised heads in the newer.
//!
//! Sources: transformers' `modeling_qwen2.py` and `modeling_qwen3.py`; llama.cpp's `qwen2` and
//! `qwen3`.

use plugin_api::{Architecture, CheckpointView, Decoder, Error, Graph};

/// Qwen 2 and 2.5.
#[derive(Debug)]
pub struct Qwen2;

impl Architecture for Qwen2 {
    const NAME: &'static str = "qwen2";
    const CLAIMS: &'static [&'static str] = &["Qwen2ForCausalLM", "qwen2"];

    fn build(checkpoint: &CheckpointView) -> Result<Graph, Error> {
        with_windows(Decoder::new(checkpoint)?.qkv_bias(true), checkpoint)?.build()
    }
}

/// Qwen 3.
#[derive(Debug)]
pub struct Qwen3;

impl Architecture for Qwen3 {
    const NAME: &'static str = "qwen3";
    const CLAIMS: &'static [&'static str] = &["Qwen3ForCausalLM", "qwen3"];

    fn build(checkpoint: &CheckpointView) -> Result<Graph, Error> {
        let bias = checkpoint.switch("attention_bias", "-");
        let decoder =
            Decoder::new(checkpoint)?.qk_norm().qkv_bias(bias).attention_output_bias(bias);
        with_windows(decoder, checkpoint)?.build()
    }
}

/// Layers from `max_window_layers` on see a window, where the checkpoint asks for it.
fn with_windows<'a>(
    decoder: Decoder<'a>,
    checkpoint: &CheckpointView,
) -> Result<Decoder<'a>, Error> {
    if !checkpoint.switch("use_sliding_window", "-") {
        return Ok(decoder);
    }
    let window = checkpoint.count("sliding_window", "-")?;
    let full = checkpoint.optional_count("max_window_layers", "-")?.unwrap_or(0);
    Ok(decoder.windows(|layer| (layer >= full).then_some(window)))
}

plugin_api::register!(architecture: Qwen2);
plugin_api::register!(architecture: Qwen3);
plugin_api::export_plugin!();
