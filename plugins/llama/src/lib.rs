//! Llama 2 and 3, and Mistral: the decoder as the SDK starts it; Phi-3, the same with fewer,
//! larger tensors; and StarCoder 2, with norms that subtract the mean and no gate.
//!
//! Sources: transformers' `modeling_llama.py`, `modeling_mistral.py`, `modeling_phi3.py` and
//! `modeling_starcoder2.py`; llama.cpp's `llama`, `phi3` and `starcoder2`.

use plugin_api::{
    Activation, Architecture, CallSyntax, ChatConventions, CheckpointView, Decoder, Error, Graph,
    ReasoningForm, RopeStyle, Scheme, ToolCallForm,
};

/// The Llama family.
#[derive(Debug)]
pub struct Llama;

impl Architecture for Llama {
    const NAME: &'static str = "llama";
    const CLAIMS: &'static [&'static str] =
        &["LlamaForCausalLM", "MistralForCausalLM", "MistralModel", "llama", "mistral"];

    fn build(checkpoint: &CheckpointView) -> Result<Graph, Error> {
        let bias = checkpoint.switch("attention_bias", "-");
        let window = checkpoint.window()?;
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

    /// Mistral writes calls behind a control token: since the middle of 2025 each with its name
    /// before its arguments, earlier as a list. Llama 3 writes a bare object, Hermes' Llamas as
    /// Hermes does. Thoughts are those of Magistral and of what DeepSeek-R1 was distilled to.
    fn chat() -> ChatConventions {
        let json = |arguments: &str| CallSyntax::Json { arguments: arguments.to_owned() };
        let named = ToolCallForm::new("[ARGS]", CallSyntax::Named { mark: "[ARGS]".to_owned() });
        let list = ToolCallForm::new("[TOOL_CALLS]", json("arguments"));
        let llama3 = ToolCallForm::new("\"parameters\": dictionary of", json("parameters"));
        ChatConventions {
            tool_calls: vec![
                named.around_each("[TOOL_CALLS]", ""),
                list.around_all("[TOOL_CALLS][", "]").between(", "),
                llama3.between("; "),
                ToolCallForm::hermes(),
            ],
            reasoning: vec![ReasoningForm::new("[THINK]", "[/THINK]"), ReasoningForm::think()],
        }
    }
}

/// Phi-3.
#[derive(Debug)]
pub struct Phi3;

impl Architecture for Phi3 {
    const NAME: &'static str = "phi3";
    const CLAIMS: &'static [&'static str] = &["Phi3ForCausalLM", "phi3"];

    fn build(checkpoint: &CheckpointView) -> Result<Graph, Error> {
        let window = checkpoint.window()?;
        Decoder::new(checkpoint)?.fused().windows(|_| window).build()
    }
}

/// StarCoder 2.
#[derive(Debug)]
pub struct Starcoder2;

impl Architecture for Starcoder2 {
    const NAME: &'static str = "starcoder2";
    const CLAIMS: &'static [&'static str] = &["Starcoder2ForCausalLM", "starcoder2"];

    fn build(checkpoint: &CheckpointView) -> Result<Graph, Error> {
        let bias = checkpoint.switch_or("use_bias", "-", true);
        let window = checkpoint.window()?;
        let eps = checkpoint.epsilon("norm_epsilon", "attention.layer_norm_epsilon", 1e-5)?;
        Decoder::new(checkpoint)?
            .layer_norm(eps)
            .plain_feed_forward()
            .activation(checkpoint.activation("hidden_act", Activation::GeluTanh)?)
            .qkv_bias(bias)
            .attention_output_bias(bias)
            .feed_forward_bias(bias)
            .windows(|_| window)
            .rename("ffn_up", "model.layers.{}.mlp.c_fc.weight", "blk.{}.ffn_up.weight")
            .rename("ffn_up_bias", "model.layers.{}.mlp.c_fc.bias", "blk.{}.ffn_up.bias")
            .rename("ffn_down", "model.layers.{}.mlp.c_proj.weight", "blk.{}.ffn_down.weight")
            .rename("ffn_down_bias", "model.layers.{}.mlp.c_proj.bias", "blk.{}.ffn_down.bias")
            .build()
    }
}

plugin_api::register!(architecture: Llama);
plugin_api::register!(architecture: Phi3);
plugin_api::register!(architecture: Starcoder2);
plugin_api::export_plugin!();
