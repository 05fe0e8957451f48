//! Mixtures of experts: their sizes, and how a layer computes one.
//!
//! Sources: transformers' `modeling_qwen2_moe.py` and `modeling_qwen3_moe.py`; llama.cpp's
//! `build_moe_ffn`. Which layers have one is the family's to say.

use super::layers::Layer;
use crate::{Activation, CheckpointView, Error};
use graph::{Expert, Op, ValueId};

/// Most experts a layer may have.
const EXPERTS_MAX: usize = 4096;

/// A mixture of experts in place of a layer's feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Experts {
    /// Experts of the layer.
    pub count: usize,
    /// Experts that a row goes through.
    pub top_k: usize,
    /// Width inside an expert.
    pub width: usize,
    /// Width inside the expert that every row goes through, scaled by a sigmoid, if there is one.
    pub shared_width: Option<usize>,
    /// Whether the weights of a row's experts are divided by their sum.
    pub normalize: bool,
}

impl Experts {
    /// Reads the sizes; the weights are normalised if the checkpoint says so.
    ///
    /// # Errors
    /// A size is missing, out of range or contradicts another.
    pub fn read(checkpoint: &CheckpointView) -> Result<Self, Error> {
        let count = match checkpoint.optional_count("num_local_experts", "-")? {
            Some(count) => count,
            None => checkpoint.count("num_experts", "expert_count")?,
        };
        let top_k = checkpoint.count("num_experts_per_tok", "expert_used_count")?;
        if count > EXPERTS_MAX || top_k > count {
            return Err(Error::invalid(format!(
                "{top_k} of {count} experts for a row, at most {count} of {EXPERTS_MAX} expected"
            )));
        }
        let width = match checkpoint
            .optional_count("moe_intermediate_size", "expert_feed_forward_length")?
        {
            Some(width) => width,
            // Older files give the width of all experts of a row together.
            None => checkpoint.count("intermediate_size", "feed_forward_length")? / top_k,
        };
        let shared_width = checkpoint.optional_count(
            "shared_expert_intermediate_size",
            "expert_shared_feed_forward_length",
        )?;
        let normalize = checkpoint.switch("norm_topk_prob", "expert_weights_norm");
        Ok(Self { count, top_k, width, shared_width, normalize })
    }
}

impl Layer<'_, '_> {
    /// The experts' output for normalised rows.
    pub(super) fn mixture(&mut self, input: ValueId, experts: Experts) -> Result<ValueId, Error> {
        let Experts { count, top_k, width: inner, normalize, .. } = experts;
        let width = self.decoder.sizes.width;
        let scores = self.writer.linear(input, "expert_scores", [count, width], false)?;
        let gate = self.writer.experts("expert_gate", count, [inner, width])?;
        let up = self.writer.experts("expert_up", count, [inner, width])?;
        let down = self.writer.experts("expert_down", count, [width, inner])?;
        let experts_of_layer =
            gate.into_iter().zip(up).zip(down).map(|((gate, up), down)| Expert { gate, up, down });
        let function = self.decoder.options.activation;
        let op =
            Op::Moe { experts: experts_of_layer.collect(), top_k, function, normalize, scale: 1.0 };
        let mixed = self.writer.node(op, &[input, scores]);
        match experts.shared_width {
            Some(inner) => {
                let shared = self.shared_expert(input, inner)?;
                Ok(self.writer.node(Op::Add, &[mixed, shared]))
            }
            None => Ok(mixed),
        }
    }

    fn shared_expert(&mut self, input: ValueId, inner: usize) -> Result<ValueId, Error> {
        let width = self.decoder.sizes.width;
        let gate = self.writer.linear(input, "shared_gate", [inner, width], false)?;
        let up = self.writer.linear(input, "shared_up", [inner, width], false)?;
        let function = self.decoder.options.activation;
        let gated = self.writer.node(Op::Glu { function }, &[gate, up]);
        let down = self.writer.linear(gated, "shared_down", [width, inner], false)?;
        let scale = self.writer.linear(input, "shared_scale", [1, width], false)?;
        let function = Activation::Sigmoid;
        let scale = self.writer.node(Op::Activate { function }, &[scale]);
        Ok(self.writer.node(Op::ScaleRows, &[down, scale]))
    }
}
