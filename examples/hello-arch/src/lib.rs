//! Hello, an invented model family: a Llama-like decoder with two twists.
//!
//! Its embeddings are multiplied by `embedding_multiplier` (the square root of the width if the
//! configuration does not say), and its feed-forward part is gated with GELU. This file says just
//! that; it must not know how checkpoints are stored or where the model runs.
#![forbid(unsafe_code)]

use plugin_api::{Activation, Architecture, CheckpointView, Decoder, Error, Graph};

/// The Hello family.
#[derive(Debug)]
pub struct Hello;

impl Architecture for Hello {
    const NAME: &'static str = "hello";
    const CLAIMS: &'static [&'static str] = &["HelloForCausalLM", "hello"];

    fn build(checkpoint: &CheckpointView) -> Result<Graph, Error> {
        let width = checkpoint.count("hidden_size", "embedding_length")? as f64;
        let by = checkpoint.number_or("embedding_multiplier", "embedding_scale", width.sqrt())?;
        if !(1e-6..=1e6).contains(&by) {
            return Err(Error::invalid(format!(
                "embedding_multiplier is {by}, from 1e-6 to 1e6 expected"
            )));
        }
        Decoder::new(checkpoint)?
            .embedding_scale(by as f32)
            .activation(Activation::GeluTanh)
            .build()
    }
}

plugin_api::register!(architecture: Hello);
plugin_api::export_plugin!();
