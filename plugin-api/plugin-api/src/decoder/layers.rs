//! The decoder itself: embedding, layers, output.

use super::writer::Writer;
use super::{Decoder, NormPlacement};
use crate::{Error, Graph, RopeScaling, rope_table};
use graph::{CacheSpec, Op, ValueId};

/// Writes the whole graph.
pub(super) fn write(decoder: &Decoder<'_>) -> Result<Graph, Error> {
    let sizes = decoder.sizes;
    let mut writer = Writer::new(decoder.checkpoint, &decoder.names);
    writer.graph.vocab_size = sizes.vocab;
    writer.graph.context_length = sizes.context;
    add_rope_tables(decoder, &mut writer)?;
    let embed = writer.weight("embed", &[sizes.vocab, sizes.width])?;
    let mut hidden = writer.node(Op::Embed { weight: embed }, &[]);
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
    hidden = writer.node(Op::SelectRows, &[hidden]);
    hidden = norm(decoder, &mut writer, "output_norm", hidden)?;
    let shape = [sizes.vocab, sizes.width];
    let mut logits = writer.linear(hidden, output_role(decoder, &writer), None, shape)?;
    if let Some(cap) = decoder.options.logit_softcap {
        logits = writer.node(Op::Softcap { cap }, &[logits]);
    }
    debug_assert_eq!(logits + 1, writer.graph.nodes.len());
    Ok(writer.graph)
}

/// The output matrix is its own or the embedding: as configured, else as the tensors show.
fn output_role(decoder: &Decoder<'_>, writer: &Writer<'_>) -> &'static str {
    let configured = decoder.checkpoint.value("tie_word_embeddings", "-").and_then(|v| v.as_bool());
    let tied = configured.unwrap_or(!writer.has("output"));
    if tied { "embed" } else { "output" }
}

/// Table 0 is that of all layers, or of those without a window where table 1 is of the others.
fn add_rope_tables(decoder: &Decoder<'_>, writer: &mut Writer<'_>) -> Result<(), Error> {
    let rope = &decoder.rope;
    for theta in [Some(rope.theta), rope.window_theta].into_iter().flatten() {
        if theta <= 1.0 {
            return Err(Error::invalid(format!("rope base is {theta}, more than 1 expected")));
        }
    }
    let mut table = rope_table(rope.rotated, rope.theta, rope.scaling);
    if writer.has("rope_divisors") {
        table.divisors = Some(writer.weight("rope_divisors", &[rope.rotated / 2])?);
    }
    writer.graph.rope_tables.push(table);
    let of_windows =
        rope.window_theta.map(|theta| rope_table(rope.rotated, theta, RopeScaling::None));
    writer.graph.rope_tables.extend(of_windows);
    Ok(())
}

fn norm(
    decoder: &Decoder<'_>,
    writer: &mut Writer<'_>,
    role: &str,
    input: ValueId,
) -> Result<ValueId, Error> {
    let weight = writer.weight(role, &[decoder.sizes.width])?;
    let (eps, weight_add) = (decoder.norm.eps, decoder.norm.weight_add);
    Ok(writer.node(Op::RmsNorm { weight, eps, groups: 1, weight_add }, &[input]))
}

/// One layer while it is written.
struct Layer<'a, 'w> {
    decoder: &'a Decoder<'a>,
    writer: &'a mut Writer<'w>,
    layer: usize,
}

impl Layer<'_, '_> {
    fn attention(&mut self, hidden: ValueId) -> Result<ValueId, Error> {
        let sizes = self.decoder.sizes;
        let (query_width, kv_width) =
            (sizes.heads * sizes.head_dim, sizes.kv_heads * sizes.head_dim);
        let input = norm(self.decoder, self.writer, "attn_norm", hidden)?;
        let biases = self.decoder.options.biases;
        let [q, k, v] = self.query_key_value(input, [query_width, kv_width])?;
        let q = self.rotate(q, sizes.heads, "attn_q_norm")?;
        let k = self.rotate(k, sizes.kv_heads, "attn_k_norm")?;
        let cache = self.writer.graph.caches.len();
        let (kv_heads, head_dim) = (sizes.kv_heads, sizes.head_dim);
        self.writer.graph.caches.push(CacheSpec { kv_heads, head_dim });
        let attention = Op::Attention {
            heads: sizes.heads,
            cache,
            scale: self.decoder.options.attention_scale,
            causal: true,
            window: self.decoder.windows[self.layer],
            softcap: self.decoder.options.attention_softcap,
        };
        let mixed = self.writer.node(attention, &[q, k, v]);
        let bias = biases.attention_output.then_some("attn_output_bias");
        let output = self.writer.linear(mixed, "attn_output", bias, [sizes.width, query_width])?;
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
        let bias = |role| self.decoder.options.biases.qkv.then_some(role);
        let q = self.writer.linear(input, "attn_q", bias("attn_q_bias"), [query, width])?;
        let k = self.writer.linear(input, "attn_k", bias("attn_k_bias"), [kv, width])?;
        let v = self.writer.linear(input, "attn_v", bias("attn_v_bias"), [kv, width])?;
        Ok([q, k, v])
    }

    fn gate_up(&mut self, input: ValueId) -> Result<[ValueId; 2], Error> {
        let sizes = self.decoder.sizes;
        if self.decoder.options.fused {
            let parts = [("ffn_gate", sizes.ffn_width), ("ffn_up", sizes.ffn_width)];
            return self.writer.fused_linear(input, "ffn_gate_up", parts, sizes.width);
        }
        let bias = |role| self.decoder.options.biases.feed_forward.then_some(role);
        let shape = [sizes.ffn_width, sizes.width];
        let gate = self.writer.linear(input, "ffn_gate", bias("ffn_gate_bias"), shape)?;
        let up = self.writer.linear(input, "ffn_up", bias("ffn_up_bias"), shape)?;
        Ok([gate, up])
    }

    /// Normalises the heads where the family does, then rotates them.
    fn rotate(&mut self, value: ValueId, heads: usize, norm: &str) -> Result<ValueId, Error> {
        let mut value = value;
        if self.decoder.options.qk_norm {
            let weight = self.writer.weight(norm, &[self.decoder.sizes.head_dim])?;
            let (eps, weight_add) = (self.decoder.norm.eps, self.decoder.norm.weight_add);
            let op = Op::RmsNorm { weight, eps, groups: heads, weight_add };
            value = self.writer.node(op, &[value]);
        }
        let style = self.decoder.rope.style;
        let in_window = self.decoder.windows[self.layer].is_some();
        let table = usize::from(in_window && self.decoder.rope.window_theta.is_some());
        Ok(self.writer.node(Op::Rope { heads, table, style }, &[value]))
    }

    fn feed_forward(&mut self, hidden: ValueId) -> Result<ValueId, Error> {
        let sizes = self.decoder.sizes;
        let input = norm(self.decoder, self.writer, "ffn_norm", hidden)?;
        let bias = |role| self.decoder.options.biases.feed_forward.then_some(role);
        let [gate, up] = self.gate_up(input)?;
        let function = self.decoder.options.activation;
        let gated = self.writer.node(Op::Glu { function }, &[gate, up]);
        let shape = [sizes.width, sizes.ffn_width];
        let down = self.writer.linear(gated, "ffn_down", bias("ffn_down_bias"), shape)?;
        self.residual(hidden, down, "ffn_post_norm")
    }

    /// Adds a part's output to the stream, normalised first where norms stand around the part.
    fn residual(&mut self, hidden: ValueId, output: ValueId, post: &str) -> Result<ValueId, Error> {
        let output = match self.decoder.norm.placement {
            NormPlacement::Before => output,
            NormPlacement::Around => norm(self.decoder, self.writer, post, output)?,
        };
        Ok(self.writer.node(Op::Add, &[hidden, output]))
    }
}
