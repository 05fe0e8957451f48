//! Graphs with their weights: one built op by op over a few given rows, one random decoder.

use graph::{
    CacheSpec, ChatConventions, Graph, Node, OPSET, Op, Output, ValueId, Weight, WeightId,
};
use plugin_api::{CheckpointView, Decoder, WeightData};
use plugin_testkit::DecoderCheckpoint;
use serde_json::json;

/// A graph and the values of its weights.
pub(crate) struct Model {
    pub(crate) graph: Graph,
    values: Vec<Vec<f32>>,
}

impl Model {
    /// A model whose token `i` is embedded as `rows[i]`; the embedding is node 0.
    pub(crate) fn of_rows(rows: &[&[f32]]) -> Self {
        let graph = Graph {
            opset: OPSET,
            architecture: "test".to_owned(),
            vocab_size: rows.len(),
            context_length: 64,
            output: Output::Embedding,
            weights: Vec::new(),
            caches: Vec::new(),
            rope_tables: Vec::new(),
            nodes: Vec::new(),
            gguf: None,
            chat: ChatConventions::default(),
        };
        let mut model = Self { graph, values: Vec::new() };
        let weight = model.weight(&[rows.len(), rows[0].len()], &rows.concat());
        model.node(Op::Embed { weight }, &[]);
        model
    }

    /// A decoder of three layers, the first and last with a window, all with random weights.
    pub(crate) fn decoder() -> Self {
        let checkpoint = DecoderCheckpoint::hf("Test").config("sliding_window", json!(5));
        let view = CheckpointView::new(checkpoint.info());
        let decoder = Decoder::new(&view).expect("a sound description");
        let graph = decoder.windows(|layer| (layer != 1).then_some(5)).build();
        let mut graph = graph.expect("a sound description");
        let weights = std::mem::take(&mut graph.weights);
        let mut model = Self { graph, values: Vec::new() };
        for weight in weights {
            let count: usize = weight.shape.iter().product();
            let size =
                if weight.shape.len() == 1 { 1.0 } else { (3.0 / weight.shape[1] as f32).sqrt() };
            let seed = model.values.len() as u32 * 100_000;
            let values: Vec<f32> = (0..count as u32).map(|i| size * noise(seed + i)).collect();
            model.weight(&weight.shape, &values);
        }
        model
    }

    pub(crate) fn weight(&mut self, shape: &[usize], values: &[f32]) -> WeightId {
        let role = format!("weight {}", self.values.len());
        let (tensor, shape) = (role.clone(), shape.to_vec());
        self.graph.weights.push(Weight { role, tensor, shape, rows: None, gguf: None });
        self.values.push(values.to_vec());
        self.values.len() - 1
    }

    pub(crate) fn vector(&mut self, values: &[f32]) -> WeightId {
        self.weight(&[values.len()], values)
    }

    pub(crate) fn node(&mut self, op: Op, inputs: &[ValueId]) -> ValueId {
        self.graph.nodes.push(Node { op, inputs: inputs.to_vec() });
        self.graph.nodes.len() - 1
    }

    pub(crate) fn cache(&mut self, kv_heads: usize, head_dim: usize) -> usize {
        self.graph.caches.push(CacheSpec { kv_heads, head_dim });
        self.graph.caches.len() - 1
    }

    /// The weights as f32 data.
    pub(crate) fn data(&self) -> Vec<WeightData> {
        let bytes = |values: &Vec<f32>| values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let bytes = self.values.iter().map(bytes);
        bytes.map(|bytes: Vec<u8>| WeightData::new(bytes.leak(), "f32")).collect()
    }
}

/// From -1 to 1: the murmur3 finalizer (Appleby) of a number.
fn noise(number: u32) -> f32 {
    let mut x = number ^ (number >> 16);
    x = x.wrapping_mul(0x85eb_ca6b);
    x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
    (x ^ (x >> 16)) as f32 / u32::MAX as f32 * 2.0 - 1.0
}
