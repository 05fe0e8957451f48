//! A graph for people: one line a node, or Graphviz.
//!
//! Only the shape of the model is shown; the JSON form is the complete one.

use crate::{Graph, GraphError, Node, Op, Widths};
use std::fmt::Write as _;

impl Graph {
    /// The graph as text: a head, then one line for each node.
    ///
    /// # Errors
    /// The graph is not valid.
    pub fn to_text(&self) -> Result<String, GraphError> {
        let widths = self.widths()?;
        let mut text = format!(
            "graph {} (opset {}): {} nodes, {} weights, {} caches, vocabulary {}, context {}\n",
            self.architecture,
            self.opset,
            self.nodes.len(),
            self.weights.len(),
            self.caches.len(),
            self.vocab_size,
            self.context_length
        );
        for (index, node) in self.nodes.iter().enumerate() {
            let inputs: Vec<_> = node.inputs.iter().map(|input| format!("%{input}")).collect();
            let rows = if widths.selected[index] { "selected" } else { "rows" };
            let _infallible = writeln!(
                text,
                "%{index:<4} [{rows}, {}] = {}({}){}",
                widths.width[index],
                node.op.name(),
                inputs.join(", "),
                self.attributes(node)
            );
        }
        Ok(text)
    }

    /// The graph in the language of Graphviz' `dot`.
    ///
    /// # Errors
    /// The graph is not valid.
    pub fn to_dot(&self) -> Result<String, GraphError> {
        let widths: Widths = self.widths()?;
        let mut text = String::from("digraph model {\n  node [shape=box, fontname=monospace];\n");
        for (index, node) in self.nodes.iter().enumerate() {
            let label =
                format!("{}{}\\n{}", node.op.name(), self.attributes(node), widths.width[index])
                    .replace('"', "'");
            let _infallible = writeln!(text, "  n{index} [label=\"{label}\"];");
            for input in &node.inputs {
                let _infallible = writeln!(text, "  n{input} -> n{index};");
            }
        }
        text.push_str("}\n");
        Ok(text)
    }

    fn attributes(&self, node: &Node) -> String {
        let role = |weight: usize| self.weights[weight].role.as_str();
        match &node.op {
            Op::Embed { weight }
            | Op::EmbedPosition { weight }
            | Op::Bias { weight }
            | Op::LayerNorm { weight, .. } => format!(" {}", role(*weight)),
            Op::Linear { weight, bias } => {
                format!(" {}{}", role(*weight), if bias.is_some() { " + bias" } else { "" })
            }
            Op::RmsNorm { weight, groups: 1, .. } => format!(" {}", role(*weight)),
            Op::RmsNorm { weight, groups, .. } => format!(" {} x{groups}", role(*weight)),
            Op::Rope { heads, table, style } => format!(" {heads} heads, table {table}, {style:?}"),
            Op::Attention { heads, cache, causal, window, .. } => {
                let window = window.map_or(String::new(), |window| format!(", window {window}"));
                let sees = if *causal { "" } else { ", both sides" };
                format!(" {heads} heads, cache {cache}{sees}{window}")
            }
            Op::Moe { experts, top_k, function, .. } => {
                format!(" {top_k} of {} experts, {function:?}", experts.len())
            }
            Op::Pool { how } => format!(" {how:?}"),
            Op::Scale { by } => format!(" {by}"),
            Op::Softcap { cap } => format!(" {cap}"),
            Op::Activate { function } | Op::Glu { function } => format!(" {function:?}"),
            Op::Add
            | Op::Mul
            | Op::ScaleRows
            | Op::Concat
            | Op::SelectRows
            | Op::Normalize { .. } => String::new(),
        }
    }
}
