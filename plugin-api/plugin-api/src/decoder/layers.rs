//! The decoder itself: embedding, layers, output.

use super::{Decoder, FeedForward, NormPlacement};
use crate::{Error, Graph, GraphWriter, Norm, RopeScaling, rope_table};
use graph::{Op, ValueId};

/// Writes the whole graph.
pub(super) fn write(decoder: &Decoder<'_>) -> Result<Graph, Error> {
    let sizes = decoder.sizes;
    let mut writer = GraphWriter::new(decoder.checkpoint, sizes.context);
    for [role, hf, gguf] in &decoder.names {
        writer = writer.rename(role, hf, gguf);
    }
    add_rope_tables(decoder, &mut writer)?;
    let mut hidden = writer.embed(sizes.width)?;
    if let Some(by) = decoder.options.embedding_scale {
        hidden = writer.node(Op::Scale { by }, &[hidden]);
    }
    for layer in 0..sizes.layers {
        writer.enter(Some(layer));
        let mut part = Layer { decoder, writer: &mut writer, layer };
        hidden = part.attention(hidden)?;
        hidden = part.feed_forward(hidden)?;
    }
    writer.enter(None);
    if let Some(embedding) = &decoder.embedding {
        hidden = writer.norm(hidden, "output_norm", sizes.width, decoder.norm)?;
        writer.embedding_output(hidden, sizes.width, embedding)?;
        return Ok(writer.finish());
    }
    hidden = writer.node(Op::SelectRows, &[hidden]);
    hidden = writer.norm(hidden, "output_norm", sizes.width, decoder.norm)?;
    let logits = writer.logits(hidden, sizes.width)?;
    if let Some(cap) = decoder.options.logit_softcap {
        writer.node(Op::Softcap { cap }, &[logits]);
    }
    Ok(writer.finish())
}

/// Table 0 is that of all layers, or of those without a window where table 1 is of the others.
fn add_rope_tables(decoder: &Decoder<'_>, writer: &mut GraphWriter<'_>) -> Result<(), Error> {
    let rope = &decoder.rope;
    for theta in [Some(rope.theta), rope.window_theta].into_iter().flatten() {
        if theta <= 1.0 {
            return Err(Error::invalid(format!("rope base is {theta}, more than 1 expected")));
        }
    }
    let mut table = rope_table(rope.rotated, rope.theta, &rope.scaling);
    let shape = [rope.rotated / 2];
    if writer.has("rope_divisors") {
        table.divisors = Some(writer.weight("rope_divisors", &shape)?);
    }
    if let (RopeScaling::LongRope { divisors: None, .. }, Some(long)) =
        (&rope.scaling, &mut table.long)
    {
        table.divisors = Some(writer.weight("rope_short_divisors", &shape)?);
        long.divisors = Some(writer.weight("rope_long_divisors", &shape)?);
    }
    writer.rope_table(table);
    if let Some(theta) = rope.window_theta {
        writer.rope_table(rope_table(rope.rotated, theta, &RopeScaling::None));
    }
    Ok(())
}

/// One layer while it is written.
pub(super) struct Layer<'a, 'w> {
    pub(super) decoder: &'a Decoder<'a>,
    pub(super) writer: &'a mut GraphWriter<'w>,
    layer: usize,
}

impl Layer<'_, '_> {
    fn attention(&mut self, hidden: ValueId) -> Result<ValueId, Error> {
        let sizes = self.decoder.sizes;
        let options = self.decoder.options;
        let (query_width, kv_width) =
            (sizes.heads * sizes.head_dim, sizes.kv_heads * sizes.head_dim);
        let input = self.norm("attn_norm", hidden)?;
        let [q, k, v] = self.query_key_value(input, [query_width, kv_width])?;
        let q = self.rotate(q, sizes.heads, "attn_q_norm")?;
        let k = self.rotate(k, sizes.kv_heads, "attn_k_norm")?;
        let attention = Op::Attention {
            heads: sizes.heads,
            cache: self.writer.cache(sizes.kv_heads, sizes.head_dim),
            scale: options.attention_scale,
            causal: options.causal,
            window: self.decoder.windows[self.layer],
            softcap: options.attention_softcap,
        };
        let mixed = self.writer.node(attention, &[q, k, v]);
        let shape = [sizes.width, query_width];
        let biased = options.biases.attention_output;
        let output = self.writer.linear(mixed, "attn_output", shape, biased)?;
        self.residual(hidden, output, "attn_post_norm")
    }

    fn query_key_value(
        &mut self,
        input: ValueId,
        [query, kv]: [usize; 2],
    ) -> Result<[ValueId; 3], Error> {
        let width = self.decoder.sizes.width;
        if self.decoder.options.fused {
            let parts = [("attn_q", query), ("attn_k", kv), ("attn_v", kv)];
            return self.writer.fused_linear(input, "attn_qkv", parts, width);
        }
        let biased = self.decoder.options.biases.qkv;
        let q = self.writer.linear(input, "attn_q", [query, width], biased)?;
        let k = self.writer.linear(input, "attn_k", [kv, width], biased)?;
        let v = self.writer.linear(input, "attn_v", [kv, width], biased)?;
        Ok([q, k, v])
    }

    /// Normalises the heads where the family does, then rotates them.
    fn rotate(&mut self, value: ValueId, heads: usize, norm: &str) -> Result<ValueId, Error> {
        let mut value = value;
        if self.decoder.options.qk_norm {
            let weight = self.writer.weight(norm, &[self.decoder.sizes.head_dim])?;
            let (eps, weight_add) = match self.decoder.norm {
                Norm::Rms { eps, weight_add } => (eps, weight_add),
                Norm::Layer { eps } => (eps, 0.0),
            };
            let op = Op::RmsNorm { weight, eps, groups: heads, weight_add };
            value = self.writer.node(op, &[value]);
        }
        let style = self.decoder.rope.style;
        let in_window = self.decoder.windows[self.layer].is_some();
        let table = usize::from(in_window && self.decoder.rope.window_theta.is_some());
        Ok(self.writer.node(Op::Rope { heads, table, style }, &[value]))
    }

    fn feed_forward(&mut self, hidden: ValueId) -> Result<ValueId, Error> {
        let input = self.norm("ffn_norm", hidden)?;
        let output = match self.decoder.experts[self.layer] {
            Some(experts) => self.mixture(input, experts)?,
            None => self.dense(input)?,
        };
        self.residual(hidden, output, "ffn_post_norm")
    }

    fn dense(&mut self, input: ValueId) -> Result<ValueId, Error> {
        let sizes = self.decoder.sizes;
        let biased = self.decoder.options.biases.feed_forward;
        let function = self.decoder.options.activation;
        let inner = match self.decoder.options.feed_forward {
            FeedForward::Gated => {
                let inputs = self.gate_up(input)?;
                self.writer.node(Op::Glu { function }, &inputs)
            }
            FeedForward::Plain => {
                let shape = [sizes.ffn_width, sizes.width];
                let up = self.writer.linear(input, "ffn_up", shape, biased)?;
                self.writer.node(Op::Activate { function }, &[up])
            }
        };
        self.writer.linear(inner, "ffn_down", [sizes.width, sizes.ffn_width], biased)
    }

    fn gate_up(&mut self, input: ValueId) -> Result<[ValueId; 2], Error> {
        let sizes = self.decoder.sizes;
        if self.decoder.options.fused {
            let parts = [("ffn_gate", sizes.ffn_width), ("ffn_up", sizes.ffn_width)];
            return self.writer.fused_linear(input, "ffn_gate_up", parts, sizes.width);
        }
        let biased = self.decoder.options.biases.feed_forward;
        let shape = [sizes.ffn_width, sizes.width];
        let gate = self.writer.linear(input, "ffn_gate", shape, biased)?;
        let up = self.writer.linear(input, "ffn_up", shape, biased)?;
        Ok([gate, up])
    }

    fn norm(&mut self, role: &str, input: ValueId) -> Result<ValueId, Error> {
        self.writer.norm(input, role, self.decoder.sizes.width, self.decoder.norm)
    }

    /// Adds a part's output to the stream, normalised first where norms stand around the part.
    fn residual(&mut self, hidden: ValueId, output: ValueId, post: &str) -> Result<ValueId, Error> {
        let output = match self.decoder.placement {
            NormPlacement::Before => output,
            NormPlacement::Around => self.norm(post, output)?,
        };
        Ok(self.writer.node(Op::Add, &[hidden, output]))
    }
}
