//! The decoder-only transformer, described once for every family.
//!
//! Families differ in where norms stand, which projections have a bias, which layers see a window
//! and how scores are capped. Each of these is an option here, so that an architecture plugin says
//! what is different and nothing else. Every size is checked against the checkpoint's tensors.

mod experts;
mod layers;

use crate::rope::in_group;
use crate::{Activation, CheckpointView, Embedding, Error, Graph, Norm, RopeScaling, RopeStyle};
pub use experts::Experts;
use serde_json::Value;

/// Most layers a decoder may have.
const LAYERS_MAX: usize = 512;

/// Where the norms of a layer stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NormPlacement {
    /// Before attention and before the feed-forward part (Llama).
    Before,
    /// Before and after both (Gemma 2).
    Around,
}

/// Builder of a decoder graph; starts with what the checkpoint says and a Llama-like layer.
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    checkpoint: &'a CheckpointView,
    sizes: Sizes,
    rope: Rope,
    norm: Norm,
    placement: NormPlacement,
    options: Options,
    windows: Vec<Option<usize>>,
    experts: Vec<Option<Experts>>,
    names: Vec<[&'static str; 3]>,
    embedding: Option<Embedding>,
}

#[derive(Debug, Clone, Copy)]
struct Sizes {
    layers: usize,
    width: usize,
    ffn_width: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    context: usize,
}

#[derive(Debug, Clone)]
struct Rope {
    theta: f64,
    /// Base in the layers with a window, which are not scaled; none is `theta`, scaled.
    window_theta: Option<f64>,
    scaling: RopeScaling,
    style: RopeStyle,
    rotated: usize,
}

#[derive(Debug, Clone, Copy)]
struct Options {
    biases: Biases,
    qk_norm: bool,
    fused: bool,
    causal: bool,
    feed_forward: FeedForward,
    activation: Activation,
    embedding_scale: Option<f32>,
    attention_scale: f32,
    attention_softcap: Option<f32>,
    logit_softcap: Option<f32>,
}

/// What stands between the feed-forward projections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FeedForward {
    /// One of two projections gates the other.
    Gated,
    /// A function of the one projection.
    Plain,
}

/// Which projections have a bias.
#[derive(Debug, Clone, Copy, Default)]
struct Biases {
    qkv: bool,
    attention_output: bool,
    feed_forward: bool,
}

impl<'a> Decoder<'a> {
    /// Reads the sizes every decoder has.
    ///
    /// # Errors
    /// A hyper-parameter is missing, out of range or contradicts another.
    pub fn new(checkpoint: &'a CheckpointView) -> Result<Self, Error> {
        let sizes = Sizes::read(checkpoint)?;
        let eps = checkpoint.epsilon("rms_norm_eps", "attention.layer_norm_rms_epsilon", 1e-6)?;
        Ok(Self {
            checkpoint,
            sizes,
            rope: Rope::read(checkpoint, sizes)?,
            norm: Norm::Rms { eps, weight_add: 0.0 },
            placement: NormPlacement::Before,
            options: Options {
                biases: Biases::default(),
                qk_norm: false,
                fused: false,
                causal: true,
                feed_forward: FeedForward::Gated,
                activation: Activation::Silu,
                embedding_scale: None,
                attention_scale: (sizes.head_dim as f32).powf(-0.5),
                attention_softcap: None,
                logit_softcap: None,
            },
            windows: vec![None; sizes.layers],
            experts: vec![None; sizes.layers],
            names: Vec::new(),
            embedding: checkpoint.embedding()?,
        })
    }

    /// The projections to q, k and v have a bias.
    #[must_use]
    pub fn qkv_bias(mut self, present: bool) -> Self {
        self.options.biases.qkv = present;
        self
    }

    /// The projection after attention has a bias.
    #[must_use]
    pub fn attention_output_bias(mut self, present: bool) -> Self {
        self.options.biases.attention_output = present;
        self
    }

    /// The feed-forward projections have a bias.
    #[must_use]
    pub fn feed_forward_bias(mut self, present: bool) -> Self {
        self.options.biases.feed_forward = present;
        self
    }

    /// Each head of q and k is normalised before it is rotated.
    #[must_use]
    pub fn qk_norm(mut self) -> Self {
        self.options.qk_norm = true;
        self
    }

    /// One tensor holds q, k and v, one above the other, and one holds gate and up (Phi-3); such
    /// projections have no bias.
    #[must_use]
    pub fn fused(mut self) -> Self {
        self.options.fused = true;
        self
    }

    /// Rows see later ones too, as in an encoder.
    #[must_use]
    pub fn bidirectional(mut self) -> Self {
        self.options.causal = false;
        self
    }

    /// Where the norms stand, and what is added to the weights of RMS norms.
    #[must_use]
    pub fn norms(mut self, placement: NormPlacement, add: f32) -> Self {
        self.placement = placement;
        if let Norm::Rms { weight_add, .. } = &mut self.norm {
            *weight_add = add;
        }
        self
    }

    /// Norms of whole rows subtract the mean and have a bias (StarCoder 2).
    #[must_use]
    pub fn layer_norm(mut self, eps: f32) -> Self {
        self.norm = Norm::Layer { eps };
        self
    }

    /// Nothing gates the feed-forward part: `down(f(up x))`.
    #[must_use]
    pub fn plain_feed_forward(mut self) -> Self {
        self.options.feed_forward = FeedForward::Plain;
        self
    }

    /// The mixture of experts that each layer has in place of a feed-forward part, or none.
    #[must_use]
    pub fn experts(mut self, experts: impl Fn(usize) -> Option<Experts>) -> Self {
        self.experts = (0..self.sizes.layers).map(experts).collect();
        self
    }

    /// The answer is a vector for each text, whatever the checkpoint says.
    #[must_use]
    pub fn embedding(mut self, embedding: Embedding) -> Self {
        self.embedding = Some(embedding);
        self
    }

    /// The function of the feed-forward part.
    #[must_use]
    pub fn activation(mut self, function: Activation) -> Self {
        self.options.activation = function;
        self
    }

    /// Factor on the embeddings.
    #[must_use]
    pub fn embedding_scale(mut self, by: f32) -> Self {
        self.options.embedding_scale = Some(by);
        self
    }

    /// Factor on the attention scores, `1 / sqrt(head_dim)` if not called.
    #[must_use]
    pub fn attention_scale(mut self, by: f32) -> Self {
        self.options.attention_scale = by;
        self
    }

    /// Soft caps on attention scores and on logits.
    #[must_use]
    pub fn softcaps(mut self, attention: Option<f32>, logits: Option<f32>) -> Self {
        self.options.attention_softcap = attention;
        self.options.logit_softcap = logits;
        self
    }

    /// Which values a rotation pairs.
    #[must_use]
    pub fn rope_style(mut self, style: RopeStyle) -> Self {
        self.rope.style = style;
        self
    }

    /// The window of each layer: positions a row sees, or all.
    #[must_use]
    pub fn windows(mut self, window: impl Fn(usize) -> Option<usize>) -> Self {
        self.windows = (0..self.sizes.layers).map(window).collect();
        self
    }

    /// The same window in the layers that the configuration calls `sliding_attention`; where it
    /// lists no kinds of layers, in those that `sliding` says.
    ///
    /// # Errors
    /// The list has another length, or a kind that is not known.
    pub fn windows_by_kind(
        self,
        window: Option<usize>,
        sliding: impl Fn(usize) -> bool,
    ) -> Result<Self, Error> {
        let Some(kinds) = self.checkpoint.value("layer_types", "-") else {
            return Ok(self.windows(|layer| window.filter(|_| sliding(layer))));
        };
        let kind = |kind: &Value| match kind.as_str() {
            Some("sliding_attention") => Some(true),
            Some("full_attention") => Some(false),
            _ => None,
        };
        let list = kinds.as_array().filter(|kinds| kinds.len() == self.sizes.layers);
        let listed: Option<Vec<_>> = list.and_then(|kinds| kinds.iter().map(kind).collect());
        let listed = listed.ok_or_else(|| {
            Error::invalid(format!(
                "layer_types is {kinds}, `sliding_attention` or `full_attention` for each of {} \
                 layers expected",
                self.sizes.layers
            ))
        })?;
        Ok(self.windows(|layer| window.filter(|_| listed[layer])))
    }

    /// Layers with a window rotate with this base, without scaling (Gemma 3).
    #[must_use]
    pub fn window_rope_base(mut self, theta: f64) -> Self {
        self.rope.window_theta = Some(theta);
        self
    }

    /// Names of a role that differ from the standard ones, `{}` standing for the layer.
    #[must_use]
    pub fn rename(mut self, role: &'static str, hf: &'static str, gguf: &'static str) -> Self {
        self.names.push([role, hf, gguf]);
        self
    }

    /// Number of layers.
    #[must_use]
    pub fn layers(&self) -> usize {
        self.sizes.layers
    }

    /// Values in a head.
    #[must_use]
    pub fn head_dim(&self) -> usize {
        self.sizes.head_dim
    }

    /// Writes the graph.
    ///
    /// # Errors
    /// A tensor is missing or has another shape than the sizes ask for, or a rope base is too
    /// small.
    pub fn build(self) -> Result<Graph, Error> {
        layers::write(&self)
    }
}

impl Sizes {
    fn read(checkpoint: &CheckpointView) -> Result<Self, Error> {
        let width = checkpoint.count("hidden_size", "embedding_length")?;
        let heads = checkpoint.count("num_attention_heads", "attention.head_count")?;
        let kv_heads = checkpoint
            .optional_count("num_key_value_heads", "attention.head_count_kv")?
            .unwrap_or(heads);
        let layers = checkpoint.count("num_hidden_layers", "block_count")?;
        let head_dim = match checkpoint.optional_count("head_dim", "attention.key_length")? {
            Some(head_dim) => head_dim,
            None if width.is_multiple_of(heads) => width / heads,
            None => {
                return Err(Error::invalid(format!("{heads} heads do not divide width {width}")));
            }
        };
        if layers > LAYERS_MAX {
            return Err(Error::invalid(format!("{layers} layers found, at most {LAYERS_MAX}")));
        }
        if !heads.is_multiple_of(kv_heads) {
            return Err(Error::invalid(format!(
                "{kv_heads} key/value heads do not divide {heads} heads"
            )));
        }
        Ok(Self {
            layers,
            width,
            ffn_width: checkpoint.count("intermediate_size", "feed_forward_length")?,
            heads,
            kv_heads,
            head_dim,
            context: checkpoint.count("max_position_embeddings", "context_length")?,
        })
    }
}

impl Rope {
    fn read(checkpoint: &CheckpointView, sizes: Sizes) -> Result<Self, Error> {
        let theta = match checkpoint
            .optional_number(&in_group(checkpoint, "rope_theta"), "rope.freq_base")?
        {
            Some(theta) => theta,
            None => checkpoint.number_or("rope_theta", "rope.freq_base", 10_000.0)?,
        };
        let partial = checkpoint.optional_count("-", "rope.dimension_count")?;
        let factor = match checkpoint
            .optional_number(&in_group(checkpoint, "partial_rotary_factor"), "-")?
        {
            Some(factor) => factor,
            None => checkpoint.number_or("partial_rotary_factor", "-", 1.0)?,
        };
        let rotated = partial.unwrap_or((sizes.head_dim as f64 * factor) as usize);
        if rotated == 0 || !rotated.is_multiple_of(2) || rotated > sizes.head_dim {
            return Err(Error::invalid(format!(
                "{rotated} rotated values found, an even number up to the head's {} expected",
                sizes.head_dim
            )));
        }
        let scaling = RopeScaling::read(checkpoint, sizes.context)?;
        if let RopeScaling::LongRope { divisors: Some(divisors), .. } = &scaling
            && divisors.iter().any(|list| list.len() != rotated / 2)
        {
            return Err(Error::invalid(format!(
                "{} short and {} long rope factors found, {} of each expected",
                divisors[0].len(),
                divisors[1].len(),
                rotated / 2
            )));
        }
        Ok(Self { theta, window_theta: None, scaling, style: RopeStyle::Neox, rotated })
    }
}
