//! Small graphs with random weights.

use crate::rng::Rng;
use graph::{
    Activation, CacheSpec, ChatConventions, Expert, Graph, Node, OPSET, Op, Output, RopeStyle,
    RopeTable, ValueId, Weight, WeightId,
};
use plugin_api::WeightData;

pub(crate) const CONTEXT: usize = 512;

/// A graph under construction, with the data of its weights.
pub(crate) struct Model {
    pub(crate) graph: Graph,
    pub(crate) data: Vec<WeightData>,
    /// The weights' values, for the reference.
    pub(crate) values: Vec<Vec<f64>>,
    rng: Rng,
}

impl Model {
    pub(crate) fn new(vocab_size: usize) -> Self {
        Self {
            graph: Graph {
                opset: OPSET,
                architecture: "test".to_owned(),
                vocab_size,
                context_length: CONTEXT,
                output: Output::Logits,
                weights: Vec::new(),
                caches: Vec::new(),
                rope_tables: Vec::new(),
                nodes: Vec::new(),
                gguf: None,
                chat: ChatConventions::default(),
            },
            data: Vec::new(),
            values: Vec::new(),
            rng: Rng(vocab_size as u64),
        }
    }

    pub(crate) fn weight(&mut self, shape: &[usize], dtype: &'static str) -> WeightId {
        let count: usize = shape.iter().product();
        // Rows of a matrix keep the size of their input, vectors are near 1.
        let matrix = shape.len() > 1;
        let size = if matrix { (3.0 / shape[1] as f32).sqrt() } else { 0.5 };
        let middle = if matrix { 0.0 } else { 0.8 };
        let values: Vec<f32> = (0..count).map(|_| middle + size * self.rng.float()).collect();
        // The dtypes of this binary that `kernels` does not know hold f32.
        let dtype_of_data = kernels::find(dtype).unwrap_or(&kernels::F32);
        let mut bytes = vec![0; dtype_of_data.row_bytes(count)];
        assert!(dtype_of_data.quantize(&values, None, &mut bytes), "{dtype} can be written");
        let mut kept = values;
        dtype_of_data.dequantize(&bytes, &mut kept);
        let role = format!("weight {}", self.data.len());
        let tensor = role.clone();
        self.graph.weights.push(Weight {
            role,
            tensor,
            shape: shape.to_vec(),
            rows: None,
            gguf: None,
        });
        self.values.push(kept.into_iter().map(f64::from).collect());
        self.data.push(WeightData::new(bytes.leak(), dtype));
        self.data.len() - 1
    }

    pub(crate) fn node(&mut self, op: Op, inputs: &[ValueId]) -> ValueId {
        self.graph.nodes.push(Node { op, inputs: inputs.to_vec() });
        self.graph.nodes.len() - 1
    }

    pub(crate) fn embed(&mut self, width: usize) -> ValueId {
        let weight = self.weight(&[self.graph.vocab_size, width], "f32");
        self.node(Op::Embed { weight }, &[])
    }

    /// `input` times a new matrix with `rows` rows.
    pub(crate) fn linear(&mut self, input: ValueId, rows: usize, dtype: &'static str) -> ValueId {
        let k = self.width(input);
        let weight = self.weight(&[rows, k], dtype);
        self.node(Op::Linear { weight, bias: None }, &[input])
    }

    pub(crate) fn linear_with_bias(&mut self, input: ValueId, rows: usize) -> ValueId {
        let k = self.width(input);
        let weight = self.weight(&[rows, k], "f32");
        let bias = Some(self.weight(&[rows], "f32"));
        self.node(Op::Linear { weight, bias }, &[input])
    }

    pub(crate) fn norm(&mut self, input: ValueId, groups: usize) -> ValueId {
        let weight = self.weight(&[self.width(input) / groups], "f32");
        self.node(Op::RmsNorm { weight, eps: 1e-5, groups, weight_add: 0.0 }, &[input])
    }

    pub(crate) fn rope_table(&mut self, count: usize) -> usize {
        let frequencies = (0..count).map(|i| 50_f32.powf(-(i as f32) / count as f32)).collect();
        let table = RopeTable { frequencies, magnitude: 1.0, divisors: None, long: None };
        self.graph.rope_tables.push(table);
        self.graph.rope_tables.len() - 1
    }

    pub(crate) fn cache(&mut self, kv_heads: usize, head_dim: usize) -> usize {
        self.graph.caches.push(CacheSpec { kv_heads, head_dim });
        self.graph.caches.len() - 1
    }

    /// A mixture of gated units of `inner` values, with a router.
    pub(crate) fn moe(&mut self, input: ValueId, inner: usize, mixture: Mixture) -> ValueId {
        let Mixture { count, top_k, normalize, scale, dtype } = mixture;
        let width = self.width(input);
        let scores = self.linear(input, count, "f32");
        let expert = |_| Expert {
            gate: self.weight(&[inner, width], dtype),
            up: self.weight(&[inner, width], dtype),
            down: self.weight(&[width, inner], dtype),
        };
        let experts = (0..count).map(expert).collect();
        let function = Activation::Silu;
        self.node(Op::Moe { experts, top_k, function, normalize, scale }, &[input, scores])
    }

    /// Selects rows of `input` and multiplies them with the matrix of the logits.
    pub(crate) fn finish(mut self, input: ValueId) -> Self {
        let selected = self.node(Op::SelectRows, &[input]);
        self.linear(selected, self.graph.vocab_size, "f32");
        self
    }

    /// Whether its answer is one row for a sequence.
    pub(crate) fn is_pooled(&self) -> bool {
        self.graph.nodes.iter().any(|node| matches!(node.op, Op::Pool { .. }))
    }

    pub(crate) fn width(&self, value: ValueId) -> usize {
        // A prefix of the graph has no logits yet, so its widths are worked out from the ops.
        match &self.graph.nodes[value].op {
            Op::Embed { weight } | Op::EmbedPosition { weight } => {
                self.graph.weights[*weight].shape[1]
            }
            Op::Concat => {
                self.graph.nodes[value].inputs.iter().map(|&input| self.width(input)).sum()
            }
            Op::Linear { weight, .. } => self.graph.weights[*weight].shape[0],
            _ => self.width(self.graph.nodes[value].inputs[0]),
        }
    }
}

/// What mixtures of experts differ in.
#[derive(Clone, Copy)]
pub(crate) struct Mixture {
    pub(crate) count: usize,
    pub(crate) top_k: usize,
    pub(crate) normalize: bool,
    pub(crate) scale: f32,
    pub(crate) dtype: &'static str,
}

impl Mixture {
    pub(crate) const SMALL: Self =
        Self { count: 8, top_k: 3, normalize: true, scale: 1.0, dtype: "f32" };
}

/// What the decoders of the tests differ in.
#[derive(Clone, Copy)]
pub(crate) struct DecoderShape {
    pub(crate) width: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) ffn_width: usize,
    pub(crate) vocab_size: usize,
    pub(crate) layers: usize,
    pub(crate) window: Option<usize>,
    pub(crate) dtype: &'static str,
    pub(crate) style: RopeStyle,
    /// Instead of one gated unit in a layer: a mixture, and a shared expert with a gate.
    pub(crate) mixture: Option<Mixture>,
}

impl DecoderShape {
    pub(crate) const SMALL: Self = Self {
        width: 128,
        heads: 4,
        kv_heads: 2,
        head_dim: 32,
        ffn_width: 384,
        vocab_size: 300,
        layers: 2,
        window: None,
        dtype: "f32",
        style: RopeStyle::Neox,
        mixture: None,
    };

    /// A decoder with tied embedding, biases, head norms, and windows in every other layer.
    pub(crate) fn build(self) -> Model {
        let mut model = Model::new(self.vocab_size);
        let table = model.rope_table(self.head_dim / 2);
        let embedding = model.weight(&[self.vocab_size, self.width], self.dtype);
        let mut x = model.node(Op::Embed { weight: embedding }, &[]);
        for layer in 0..self.layers {
            let attended = self.attention(&mut model, x, table, layer);
            x = model.node(Op::Add, &[x, attended]);
            let normed = model.norm(x, 1);
            let added = self.feed_forward(&mut model, normed);
            x = model.node(Op::Add, &[x, added]);
        }
        let selected = model.node(Op::SelectRows, &[x]);
        let normed = model.norm(selected, 1);
        let logits = model.node(Op::Linear { weight: embedding, bias: None }, &[normed]);
        model.node(Op::Softcap { cap: 30.0 }, &[logits]);
        model
    }

    fn feed_forward(self, model: &mut Model, x: ValueId) -> ValueId {
        let gate = model.linear(x, self.ffn_width, self.dtype);
        let up = model.linear(x, self.ffn_width, self.dtype);
        let gated = model.node(Op::Glu { function: Activation::Silu }, &[gate, up]);
        let down = model.linear(gated, self.width, self.dtype);
        let Some(mixture) = self.mixture else { return down };
        let share = model.linear(x, 1, "f32");
        let share = model.node(Op::Activate { function: Activation::Sigmoid }, &[share]);
        let shared = model.node(Op::ScaleRows, &[down, share]);
        let mixed = model.moe(x, self.ffn_width / 4, mixture);
        model.node(Op::Add, &[mixed, shared])
    }

    fn attention(self, model: &mut Model, x: ValueId, table: usize, layer: usize) -> ValueId {
        let cache = model.cache(self.kv_heads, self.head_dim);
        let normed = model.norm(x, 1);
        let q = model.linear_with_bias(normed, self.heads * self.head_dim);
        let q = model.norm(q, self.heads);
        let q = model.node(Op::Rope { heads: self.heads, table, style: self.style }, &[q]);
        let k = model.linear(normed, self.kv_heads * self.head_dim, self.dtype);
        let k = model.norm(k, self.kv_heads);
        let k = model.node(Op::Rope { heads: self.kv_heads, table, style: self.style }, &[k]);
        let v = model.linear(normed, self.kv_heads * self.head_dim, self.dtype);
        let attended = model.node(
            Op::Attention {
                heads: self.heads,
                cache,
                scale: (self.head_dim as f32).powf(-0.5),
                causal: true,
                window: self.window.filter(|_| layer.is_multiple_of(2)),
                softcap: (layer == 1).then_some(20.0),
            },
            &[q, k, v],
        );
        model.linear(attended, self.width, self.dtype)
    }
}
