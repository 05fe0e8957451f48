//! Qwen 2, 2.5 and 3, dense and as mixtures of experts: biased q, k, v in the older ones,
//! normalised heads in the newer; the older mixtures have an expert that every row goes through.
//!
//! Sources: transformers' `modeling_qwen2.py`, `modeling_qwen3.py`, `modeling_qwen2_moe.py` and
//! `modeling_qwen3_moe.py`; llama.cpp's `qwen2`, `qwen3`, `qwen2moe` and `qwen3moe`.

use plugin_api::{
    Architecture, CallSyntax, ChatConventions, CheckpointView, Decoder, Error, Experts, Graph,
    ReasoningForm, Scheme, ToolCallForm,
};

/// Qwen 2 and 2.5.
#[derive(Debug)]
pub struct Qwen2;

impl Architecture for Qwen2 {
    const NAME: &'static str = "qwen2";
    const CLAIMS: &'static [&'static str] = &["Qwen2ForCausalLM", "qwen2"];

    fn build(checkpoint: &CheckpointView) -> Result<Graph, Error> {
        let (window, limit) = window(checkpoint)?;
        older(checkpoint)?.windows_by_kind(window, |layer| layer >= limit)?.build()
    }

    fn chat() -> ChatConventions {
        chat()
    }
}

/// Qwen 3, its embedding models too.
#[derive(Debug)]
pub struct Qwen3;

impl Architecture for Qwen3 {
    const NAME: &'static str = "qwen3";
    const CLAIMS: &'static [&'static str] = &["Qwen3ForCausalLM", "Qwen3Model", "qwen3"];

    fn build(checkpoint: &CheckpointView) -> Result<Graph, Error> {
        let (window, limit) = window(checkpoint)?;
        newer(checkpoint)?.windows_by_kind(window, |layer| layer >= limit)?.build()
    }

    fn chat() -> ChatConventions {
        chat()
    }
}

/// Qwen 1.5 and 2 with experts.
#[derive(Debug)]
pub struct Qwen2Moe;

impl Architecture for Qwen2Moe {
    const NAME: &'static str = "qwen2moe";
    const CLAIMS: &'static [&'static str] = &["Qwen2MoeForCausalLM", "qwen2moe"];

    fn build(checkpoint: &CheckpointView) -> Result<Graph, Error> {
        let mut experts = Experts::read(checkpoint)?;
        if experts.shared_width.is_none() {
            experts.shared_width =
                Some(checkpoint.count("intermediate_size", "feed_forward_length")?);
        }
        let (window, limit) = window(checkpoint)?;
        let sliding = |layer: usize| layer.is_multiple_of(2) && layer < limit;
        with_experts(older(checkpoint)?.windows_by_kind(window, sliding)?, checkpoint, experts)?
            .build()
    }

    fn chat() -> ChatConventions {
        chat()
    }
}

/// Qwen 3 with experts.
#[derive(Debug)]
pub struct Qwen3Moe;

impl Architecture for Qwen3Moe {
    const NAME: &'static str = "qwen3moe";
    const CLAIMS: &'static [&'static str] = &["Qwen3MoeForCausalLM", "qwen3moe"];

    fn build(checkpoint: &CheckpointView) -> Result<Graph, Error> {
        let mut experts = Experts::read(checkpoint)?;
        // llama.cpp normalises without being told.
        experts.normalize |= checkpoint.scheme() == Scheme::Gguf;
        experts.shared_width = None;
        let (window, _) = window(checkpoint)?;
        with_experts(newer(checkpoint)?.windows(|_| window), checkpoint, experts)?.build()
    }

    fn chat() -> ChatConventions {
        chat()
    }
}

/// Qwen 2.5 and 3 write calls as Hermes does, Qwen3-Coder between tags.
fn chat() -> ChatConventions {
    let coder = CallSyntax::Tagged {
        function: ["<function=", ">\n", "</function>"].map(str::to_owned),
        argument: ["<parameter=", ">\n", "\n</parameter>\n"].map(str::to_owned),
    };
    let coder = ToolCallForm::new("<function=", coder)
        .around_each("<tool_call>\n", "\n</tool_call>")
        .between("\n");
    ChatConventions {
        tool_calls: vec![coder, ToolCallForm::hermes()],
        reasoning: vec![ReasoningForm::think()],
    }
}

fn older(checkpoint: &CheckpointView) -> Result<Decoder<'_>, Error> {
    let bias = checkpoint.switch_or("qkv_bias", "-", true);
    Ok(Decoder::new(checkpoint)?.qkv_bias(bias))
}

fn newer(checkpoint: &CheckpointView) -> Result<Decoder<'_>, Error> {
    let bias = checkpoint.switch("attention_bias", "-");
    Ok(Decoder::new(checkpoint)?.qk_norm().qkv_bias(bias).attention_output_bias(bias))
}

/// The window, where the checkpoint asks for it, and the layer that `max_window_layers` names.
fn window(checkpoint: &CheckpointView) -> Result<(Option<usize>, usize), Error> {
    if !checkpoint.switch("use_sliding_window", "-") {
        return Ok((None, 0));
    }
    let limit = checkpoint.optional_count("max_window_layers", "-")?.unwrap_or(0);
    Ok((Some(checkpoint.count("sliding_window", "-")?), limit))
}

/// Every `decoder_sparse_step`-th layer has experts, but for those of `mlp_only_layers`.
fn with_experts<'a>(
    decoder: Decoder<'a>,
    checkpoint: &CheckpointView,
    experts: Experts,
) -> Result<Decoder<'a>, Error> {
    let step = checkpoint.optional_count("decoder_sparse_step", "-")?.unwrap_or(1);
    let dense: Vec<u64> = match checkpoint.value("mlp_only_layers", "-") {
        None => Vec::new(),
        Some(value) => value
            .as_array()
            .and_then(|list| list.iter().map(|layer| layer.as_u64()).collect())
            .ok_or_else(|| {
                Error::invalid(format!("mlp_only_layers is {value}, a list of layers expected"))
            })?,
    };
    let has_experts =
        |layer: usize| (layer + 1).is_multiple_of(step) && !dense.contains(&(layer as u64));
    Ok(decoder.experts(|layer| has_experts(layer).then_some(experts)))
}

plugin_api::register!(architecture: Qwen2);
plugin_api::register!(architecture: Qwen3);
plugin_api::register!(architecture: Qwen2Moe);
plugin_api::register!(architecture: Qwen3Moe);
plugin_api::export_plugin!();
