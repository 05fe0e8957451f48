//! Validation: every input exists, every width fits, every index is in range.
//!
//! A compute plugin may rely on what is checked here, so it needs no checks of its own. Sizes are
//! bounded because a graph is built from a file nobody has vouched for.

use crate::{Expert, Graph, GraphError, Node, Op, Output, RopeTable, ValueId, Weight, WeightId};

const NODES_MAX: usize = 100_000;
const WIDTH_MAX: usize = 1 << 24;

/// The width of every value of a valid graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Widths {
    /// By node: values in a row.
    pub width: Vec<usize>,
    /// By node: whether its rows are the selected ones.
    pub selected: Vec<bool>,
}

impl Graph {
    /// Checks the whole graph and returns the width of every value.
    ///
    /// # Errors
    /// The first node that does not fit, with what was expected and found.
    pub fn widths(&self) -> Result<Widths, GraphError> {
        self.check_tables()?;
        let mut widths = Widths { width: Vec::new(), selected: Vec::new() };
        for (index, node) in self.nodes.iter().enumerate() {
            let fail = |why| GraphError::Node { node: index, op: node.op.name(), why };
            let checker = Checker { graph: self, widths: &widths, node };
            let selected = checker.rows().map_err(fail)?;
            let width = checker.width().map_err(fail)?;
            if width == 0 || width > WIDTH_MAX {
                return Err(fail(format!("width {width} is not in 1..={WIDTH_MAX}")));
            }
            widths.width.push(width);
            widths.selected.push(selected);
        }
        match (widths.width.last(), widths.selected.last()) {
            (Some(&width), Some(true))
                if self.output == Output::Embedding || width == self.vocab_size =>
            {
                Ok(widths)
            }
            (Some(&width), Some(true)) => Err(GraphError::Whole(format!(
                "the last node has width {width}, the vocabulary {}",
                self.vocab_size
            ))),
            _ => Err(GraphError::Whole("no select_rows or pool before the answer".to_owned())),
        }
    }

    fn check_tables(&self) -> Result<(), GraphError> {
        if self.nodes.len() > NODES_MAX {
            return whole(format!("{} nodes, at most {NODES_MAX}", self.nodes.len()));
        }
        if self.context_length == 0 {
            return whole("context_length is 0".to_owned());
        }
        for (index, cache) in self.caches.iter().enumerate() {
            let width = cache.kv_heads.checked_mul(cache.head_dim).unwrap_or(0);
            if width == 0 || width > WIDTH_MAX {
                return whole(format!(
                    "cache {index}: {} heads of {} values",
                    cache.kv_heads, cache.head_dim
                ));
            }
        }
        self.weights.iter().try_for_each(check_weight)?;
        self.check_rope_tables()
    }

    fn check_rope_tables(&self) -> Result<(), GraphError> {
        let above: Vec<_> =
            self.rope_tables.iter().filter_map(|table| Some(table.long.as_ref()?.above)).collect();
        if above.windows(2).any(|pair| pair[0] != pair[1]) {
            return whole(format!("rope tables change at different lengths: {above:?}"));
        }
        for (index, table) in self.rope_tables.iter().enumerate() {
            self.check_rope_table(table)
                .map_err(|why| GraphError::Whole(format!("rope table {index}: {why}")))?;
        }
        Ok(())
    }

    fn check_rope_table(&self, table: &RopeTable) -> Result<(), String> {
        let short = table.frequencies.len();
        let long = table.long.as_ref().map_or(&[][..], |long| &long.frequencies);
        if table.long.is_some() && long.len() != short {
            return Err(format!("{short} frequencies, but {} for long sequences", long.len()));
        }
        if let Some(number) =
            table.frequencies.iter().chain(long).chain([&table.magnitude]).find(|n| !n.is_finite())
        {
            return Err(format!("{number} is among its numbers"));
        }
        for divisors in table.divisors() {
            let weight = self.weights.get(divisors).filter(|weight| weight.rows.is_none());
            let shape = weight.map(|weight| weight.shape.as_slice());
            if shape != Some(&[short]) {
                return Err(format!("{short} divisors expected, shape {shape:?} found"));
            }
        }
        Ok(())
    }
}

fn whole(why: String) -> Result<(), GraphError> {
    Err(GraphError::Whole(why))
}

/// A shape is sound, and has as many rows as the weight takes of its tensor.
fn check_weight(weight: &Weight) -> Result<(), GraphError> {
    let Some((_, outer)) = weight.shape.split_last().filter(|_| weight.shape.len() <= 3) else {
        return whole(format!("weight {}: shape {:?}", weight.role, weight.shape));
    };
    let count = outer.iter().try_fold(1_usize, |count, &size| count.checked_mul(size));
    let Some(count) = count.filter(|_| !weight.shape.contains(&0)) else {
        return whole(format!("weight {}: shape {:?}", weight.role, weight.shape));
    };
    match weight.rows {
        Some([begin, end]) if end.checked_sub(begin) != Some(count) => whole(format!(
            "weight {}: rows {:?} of a tensor, {count} expected",
            weight.role, weight.rows
        )),
        _ => Ok(()),
    }
}

struct Checker<'a> {
    graph: &'a Graph,
    widths: &'a Widths,
    node: &'a Node,
}

impl Checker<'_> {
    /// Checks the inputs; answers whether the node's rows are the selected ones.
    fn rows(&self) -> Result<bool, String> {
        let inputs = &self.node.inputs;
        let expected = match self.node.op {
            Op::Embed { .. } | Op::EmbedPosition { .. } => 0,
            Op::Add | Op::Mul | Op::ScaleRows | Op::Glu { .. } | Op::Moe { .. } => 2,
            Op::Attention { .. } => 3,
            Op::Concat => inputs.len().max(1),
            _ => 1,
        };
        if inputs.len() != expected {
            return Err(format!("{expected} inputs expected, {} found", inputs.len()));
        }
        let known = self.widths.width.len();
        if let Some(input) = inputs.iter().find(|&&input| input >= known) {
            return Err(format!("input {input} is not made by an earlier node"));
        }
        let selected = |input: &ValueId| self.widths.selected[*input];
        let any = inputs.iter().any(selected);
        if any && !inputs.iter().all(selected) {
            return Err("mixes selected rows with all rows".to_owned());
        }
        match self.node.op {
            Op::SelectRows | Op::Pool { .. } if any => Err("rows are selected already".to_owned()),
            Op::SelectRows | Op::Pool { .. } => Ok(true),
            Op::Attention { .. } | Op::Rope { .. } if any => {
                Err("needs all rows, not the selected ones".to_owned())
            }
            _ => Ok(any),
        }
    }

    fn input(&self, index: usize) -> usize {
        self.widths.width[self.node.inputs[index]]
    }

    fn width(&self) -> Result<usize, String> {
        match &self.node.op {
            Op::Embed { weight } => {
                let [rows, width] = self.matrix(*weight)?;
                equal("rows of the embedding", self.graph.vocab_size, rows)?;
                Ok(width)
            }
            Op::EmbedPosition { weight } => {
                let [rows, width] = self.matrix(*weight)?;
                if rows < self.graph.context_length {
                    return Err(format!(
                        "{rows} rows, one for each of {} positions expected",
                        self.graph.context_length
                    ));
                }
                Ok(width)
            }
            Op::Linear { weight, bias } => self.linear(*weight, *bias),
            Op::RmsNorm { weight, eps, groups, weight_add } => {
                finite("weight_add", *weight_add)?;
                self.norm(*weight, None, *eps, *groups)
            }
            Op::LayerNorm { weight, bias, eps } => self.norm(*weight, *bias, *eps, 1),
            Op::Bias { weight } => {
                self.has_length("weight", *weight, self.input(0))?;
                Ok(self.input(0))
            }
            Op::Rope { heads, table, .. } => self.rope(*heads, *table),
            Op::Attention { heads, cache, scale, window, softcap, .. } => {
                finite("scale", *scale)?;
                finite("softcap", softcap.unwrap_or(1.0))?;
                if *window == Some(0) {
                    return Err("a window of 0 positions".to_owned());
                }
                self.attention(*heads, *cache)
            }
            Op::Add | Op::Mul | Op::Glu { .. } => {
                equal("width of the second input", self.input(0), self.input(1))?;
                Ok(self.input(0))
            }
            Op::ScaleRows => {
                equal("width of the second input", 1, self.input(1))?;
                Ok(self.input(0))
            }
            Op::Moe { experts, top_k, scale, .. } => {
                finite("scale", *scale)?;
                self.moe(experts, *top_k)
            }
            Op::Concat => {
                let sum = (0..self.node.inputs.len())
                    .try_fold(0_usize, |sum, index| sum.checked_add(self.input(index)));
                sum.ok_or_else(|| "the inputs are too wide".to_owned())
            }
            Op::Normalize { eps } => finite("eps", *eps).map(|()| self.input(0)),
            Op::Scale { by } => finite("by", *by).map(|()| self.input(0)),
            Op::Softcap { cap } => finite("cap", *cap).map(|()| self.input(0)),
            Op::Activate { .. } | Op::SelectRows | Op::Pool { .. } => Ok(self.input(0)),
        }
    }

    fn norm(
        &self,
        weight: WeightId,
        bias: Option<WeightId>,
        eps: f32,
        groups: usize,
    ) -> Result<usize, String> {
        let width = self.input(0);
        self.divides(groups, width)?;
        finite("eps", eps)?;
        self.has_length("weight", weight, width / groups)?;
        if let Some(bias) = bias {
            self.has_length("bias", bias, width)?;
        }
        Ok(width)
    }

    fn rope(&self, heads: usize, table: usize) -> Result<usize, String> {
        self.divides(heads, self.input(0))?;
        let table = self.graph.rope_tables.get(table).ok_or(format!("no rope table {table}"))?;
        let (rotated, head_dim) = (2 * table.frequencies.len(), self.input(0) / heads);
        if rotated > head_dim {
            return Err(format!("rotates {rotated} values of a head of {head_dim}"));
        }
        Ok(self.input(0))
    }

    fn attention(&self, heads: usize, cache: usize) -> Result<usize, String> {
        let cache = self.graph.caches.get(cache).ok_or(format!("no cache {cache}"))?;
        self.divides(cache.kv_heads, heads)?;
        let query = heads.checked_mul(cache.head_dim).ok_or("too many heads")?;
        equal("width of q", query, self.input(0))?;
        equal("width of k", cache.kv_heads * cache.head_dim, self.input(1))?;
        equal("width of v", cache.kv_heads * cache.head_dim, self.input(2))?;
        Ok(query)
    }

    fn linear(&self, weight: WeightId, bias: Option<WeightId>) -> Result<usize, String> {
        let [output, input] = self.matrix(weight)?;
        equal("columns of the weight", self.input(0), input)?;
        if let Some(bias) = bias {
            self.has_length("bias", bias, output)?;
        }
        Ok(output)
    }

    fn moe(&self, experts: &[Expert], top_k: usize) -> Result<usize, String> {
        let width = self.input(0);
        equal("scores", experts.len(), self.input(1))?;
        if top_k == 0 || top_k > experts.len() {
            return Err(format!("{top_k} experts a row out of {}", experts.len()));
        }
        let [inner, _] = self.matrix(experts[0].gate)?;
        for Expert { gate, up, down } in experts {
            for (what, weight, shape) in [
                ("gate", *gate, [inner, width]),
                ("up", *up, [inner, width]),
                ("down", *down, [width, inner]),
            ] {
                let found = self.matrix(weight)?;
                if found != shape {
                    return Err(format!(
                        "{what} of an expert: shape {shape:?} expected, {found:?}"
                    ));
                }
            }
        }
        Ok(width)
    }

    fn has_length(&self, what: &str, weight: WeightId, expected: usize) -> Result<(), String> {
        equal(&format!("length of the {what}"), expected, self.vector(weight)?)
    }

    fn divides(&self, parts: usize, whole: usize) -> Result<(), String> {
        if parts == 0 || !whole.is_multiple_of(parts) {
            return Err(format!("{whole} cannot be split into {parts} equal parts"));
        }
        Ok(())
    }

    fn shape(&self, weight: WeightId) -> Result<&[usize], String> {
        let weight = self.graph.weights.get(weight).ok_or(format!("no weight {weight}"))?;
        Ok(&weight.shape)
    }

    fn matrix(&self, weight: WeightId) -> Result<[usize; 2], String> {
        let shape = self.shape(weight)?;
        shape.try_into().map_err(|_| format!("a matrix expected, shape {shape:?} found"))
    }

    fn vector(&self, weight: WeightId) -> Result<usize, String> {
        match self.shape(weight)? {
            [length] => Ok(*length),
            shape => Err(format!("a vector expected, shape {shape:?} found")),
        }
    }
}

fn equal(what: &str, expected: usize, found: usize) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    Err(format!("{what}: {expected} expected, {found} found"))
}

fn finite(what: &str, value: f32) -> Result<(), String> {
    if value.is_finite() { Ok(()) } else { Err(format!("{what} is {value}")) }
}
