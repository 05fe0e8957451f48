//! The decoder-only transformer, described once for every family.
//!
//! Families differ in where norms stand, which projections have a bias, which layers see a window
//! and how scores are capped. Each of these is an option here, so that an architecture plugin says
//! what is different and nothing else. Every size is checked against the checkpoint's tensors.

mod layers;
mod writer;

use crate::rope::in_group;
use crate::{Activation, CheckpointView, Error, Graph, RopeScaling, RopeStyle};

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
    options: Options,
    windows: Vec<Option<usize>>,
    names: Vec<[&'static str; 3]>,
}

#[derive(Debug, Clone, Copy)]
struct Sizes {
    layers: usize,
    width: usize,
    ffn_width: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    vocab: usize,
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
struct Norm {
    eps: f32,
    weight_add: f32,
    placement: NormPlacement,
}

#[derive(Debug, Clone, Copy)]
struct Options {
    biases: Biases,
    qk_norm: bool,
    fused: bool,
    activation: Activation,
    embedding_scale: Option<f32>,
    attention_scale: f32,
    attention_softcap: Option<f32>,
    logit_softcap: Option<f32>,
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
        let eps = checkpoint.number_or("rms_norm_eps", "attention.layer_norm_rms_epsilon", 1e-6)?;
        if !(0.0..1.0).contains(&eps) {
            return Err(Error::invalid(format!("norm epsilon is {eps}, from 0 to 1 expected")));
        }
        Ok(Self {
            checkpoint,
            sizes,
            rope: Rope::read(checkpoint, sizes)?,
            norm: Norm { eps: eps as f32, weight_add: 0.0, placement: NormPlacement::Before },
            options: Options {
                biases: Biases::default(),
                qk_norm: false,
                fused: false,
                activation: Activation::Silu,
                embedding_scale: None,
                attention_scale: (sizes.head_dim as f32).powf(-0.5),
                attention_softcap: None,
                logit_softcap: None,
            },
            windows: vec![None; sizes.layers],
            names: Vec::new(),
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

    /// Where the norms stand, and what is added to their weights.
    #[must_use]
    pub fn norms(mut self, placement: NormPlacement, weight_add: f32) -> Self {
        self.norm = Norm { placement, weight_add, ..self.norm };
        self
    }

    /// The function that gates the feed-forward part.
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
            vocab: vocab_size(checkpoint)?,
            context: checkpoint.count("max_position_embeddings", "context_length")?,
        })
    }
}

/// The embedding's rows are the vocabulary; a configured size must agree with them.
fn vocab_size(checkpoint: &CheckpointView) -> Result<usize, Error> {
    let name = crate::tensor_names::tensor_name(&[], checkpoint, "embed", None);
    let rows = checkpoint.tensor(&name).and_then(|tensor| tensor.shape.first().copied());
    match (checkpoint.optional_count("vocab_size", "vocab_size")?, rows) {
        (Some(size), Some(rows)) if size != rows => Err(Error::invalid(format!(
            "vocabulary of {size} in the configuration, but tensor {name} has {rows} rows"
        ))),
        (Some(size), _) | (None, Some(size)) => Ok(size),
        (None, None) => Err(Error::invalid(format!("tensor {name} is missing"))),
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
        let factor = checkpoint.number_or("partial_rotary_factor", "-", 1.0)?;
        let rotated = partial.unwrap_or((sizes.head_dim as f64 * factor) as usize);
        if rotated == 0 || !rotated.is_multiple_of(2) || rotated > sizes.head_dim {
            return Err(Error::invalid(format!(
                "{rotated} rotated values found, an even number up to the head's {} expected",
                sizes.head_dim
            )));
        }
        let scaling = RopeScaling::read(checkpoint, sizes.context)?;
        Ok(Self { theta, window_theta: None, scaling, style: RopeStyle::Neox, rotated })
    }
}
