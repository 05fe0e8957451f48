//! The walk over the graph: each node's value, from the values it reads.
//!
//! A value is a tensor `[rows, width]` and lives until the last node that reads it.

use crate::attention::Attention;
use crate::batch::Sequence;
use crate::kv::KvStore;
use crate::matrix::{Mixture, linear};
use crate::{elementwise, norm, rope, rows};
use candle_core::{Result, Tensor};
use graph::{Graph, Node, Op, WeightId};
use plugin_api::{Error, StepBatch};

/// One step of one session.
pub(crate) struct Step<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) weights: &'a [Tensor],
    pub(crate) kv: &'a KvStore,
    pub(crate) batch: &'a StepBatch<'a>,
    pub(crate) sequences: &'a [Sequence<'a>],
}

/// By node: the last one that reads its value, which is itself if none does.
pub(crate) fn last_readers(graph: &Graph) -> Vec<usize> {
    let mut last: Vec<usize> = (0..graph.nodes.len()).collect();
    for (index, node) in graph.nodes.iter().enumerate() {
        node.inputs.iter().for_each(|&input| last[input] = index);
    }
    last
}

impl Step<'_> {
    /// The value of the last node; `runs` says which nodes are wanted.
    pub(crate) fn run(
        &self,
        runs: impl Fn(usize) -> bool,
    ) -> std::result::Result<Option<Tensor>, Error> {
        let last_reader = last_readers(self.graph);
        let mut values: Vec<Option<Tensor>> = vec![None; self.graph.nodes.len()];
        for (index, node) in self.graph.nodes.iter().enumerate().filter(|(index, _)| runs(*index)) {
            let read = |&input: &usize| values[input].clone();
            let inputs: Vec<Tensor> = node.inputs.iter().filter_map(read).collect();
            let value = self.value(node, &inputs.iter().collect::<Vec<_>>());
            values[index] = Some(value.map_err(|error| {
                Error::failed(format!("node {index} ({}): {error}", node.op.name()))
            })?);
            let done = node.inputs.iter().filter(|&&input| last_reader[input] == index);
            done.for_each(|&input| values[input] = None);
        }
        Ok(values.pop().flatten())
    }

    fn weight(&self, weight: WeightId) -> &Tensor {
        &self.weights[weight]
    }

    fn value(&self, node: &Node, inputs: &[&Tensor]) -> Result<Tensor> {
        match (&node.op, inputs) {
            (Op::Embed { weight }, []) => rows::select(self.weight(*weight), self.batch.token_ids),
            (Op::EmbedPosition { weight }, []) => {
                rows::select(self.weight(*weight), self.batch.positions)
            }
            (Op::Linear { weight, bias }, [x]) => {
                linear(x, self.weight(*weight), bias.map(|bias| self.weight(bias)))
            }
            (Op::RmsNorm { weight, eps, weight_add, .. }, [x]) => {
                norm::rms_norm(x, self.weight(*weight), *eps, *weight_add)
            }
            (Op::LayerNorm { weight, bias, eps }, [x]) => {
                norm::layer_norm(x, self.weight(*weight), bias.map(|bias| self.weight(bias)), *eps)
            }
            (Op::Normalize { eps }, [x]) => norm::normalize(x, *eps),
            (Op::Rope { heads, table, style }, [x]) => {
                rope::rope(x, *heads, &self.graph.rope_tables[*table], *style, self.sequences)
            }
            (&Op::Attention { heads, cache, scale, causal, window, softcap }, [q, k, v]) => {
                let attention = Attention { heads, cache, scale, causal, window, softcap };
                attention.run([q, k, v], &self.graph.caches[cache], self.kv, self.sequences)
            }
            (Op::Moe { experts, top_k, function, normalize, scale }, [x, scores]) => {
                let (top_k, function) = (*top_k, *function);
                let mixture = Mixture { top_k, function, normalize: *normalize, scale: *scale };
                let expert = |expert: &graph::Expert| {
                    [expert.gate, expert.up, expert.down].map(|weight| self.weight(weight))
                };
                mixture.run(x, scores, &experts.iter().map(expert).collect::<Vec<_>>())
            }
            (Op::Pool { how }, [x]) => rows::pool(x, *how, self.batch.logit_rows, self.sequences),
            (Op::SelectRows, [x]) => rows::select(x, self.batch.logit_rows),
            (Op::Concat, inputs) => Tensor::cat(inputs, 1),
            (Op::Bias { weight }, [x]) => x.broadcast_add(self.weight(*weight)),
            (Op::Add, [a, b]) => *a + *b,
            (Op::Mul, [a, b]) => *a * *b,
            (Op::ScaleRows, [a, s]) => a.broadcast_mul(s),
            (Op::Scale { by }, [x]) => *x * f64::from(*by),
            (Op::Softcap { cap }, [x]) => elementwise::softcap(x, *cap),
            (Op::Activate { function }, [x]) => elementwise::activate(*function, x),
            (Op::Glu { function }, [gate, up]) => elementwise::activate(*function, gate)? * *up,
            (op, inputs) => candle_core::bail!("{op:?} with {} inputs", inputs.len()),
        }
    }
}
