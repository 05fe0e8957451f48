//! Validation: every input exists, every width fits, every index is in range.
//!
//! A compute plugin may rely on what is checked here, so it needs no checks of its own. Sizes are
//! bounded because a graph is built from a file nobody has vouched for.

use crate::{Graph, GraphError, Node, Op, ValueId, WeightId};

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
        self.check_divisors()?;
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
            (Some(&width), Some(true)) if width == self.vocab_size => Ok(widths),
            (Some(&width), Some(true)) => Err(GraphError::Whole(format!(
                "the last node has width {width}, the vocabulary {}",
                self.vocab_size
            ))),
            _ => Err(GraphError::Whole("no select_rows before the logits".to_owned())),
        }
    }

    fn check_divisors(&self) -> Result<(), GraphError> {
        for (index, table) in self.rope_tables.iter().enumerate() {
            let Some(divisors) = table.divisors else { continue };
            let weight = self.weights.get(divisors).filter(|weight| weight.rows.is_none());
            let shape = weight.map(|weight| weight.shape.as_slice());
            if shape != Some(&[table.frequencies.len()]) {
                return Err(GraphError::Whole(format!(
                    "rope table {index}: {} divisors expected, shape {shape:?} found",
                    table.frequencies.len()
                )));
            }
        }
        Ok(())
    }

    fn check_tables(&self) -> Result<(), GraphError> {
        let whole = |why: String| Err(GraphError::Whole(why));
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
        for weight in &self.weights {
            if weight.shape.is_empty() || weight.shape.len() > 3 || weight.shape.contains(&0) {
                return whole(format!("weight {}: shape {:?}", weight.role, weight.shape));
            }
            let count = weight.rows.map(|[begin, end]| end.checked_sub(begin));
            if count.is_some_and(|count| count != Some(weight.shape[0])) {
                return whole(format!(
                    "weight {}: rows {:?} of a tensor, {} expected",
                    weight.role, weight.rows, weight.shape[0]
                ));
            }
        }
        Ok(())
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
        let expected = match self.node.op {
            Op::Embed { .. } => 0,
            Op::Add | Op::Mul | Op::Glu { .. } => 2,
            Op::Attention { .. } => 3,
            _ => 1,
        };
        let inputs = &self.node.inputs;
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
            Op::SelectRows if any => Err("rows are selected already".to_owned()),
            Op::SelectRows => Ok(true),
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
            Op::Linear { weight, bias } => {
                let [output, input] = self.matrix(*weight)?;
                equal("columns of the weight", self.input(0), input)?;
                if let Some(bias) = bias {
                    equal("length of the bias", output, self.vector(*bias)?)?;
                }
                Ok(output)
            }
            Op::RmsNorm { weight, eps, groups, .. } => {
                self.divides(*groups, self.input(0))?;
                finite("eps", *eps)?;
                equal("length of the weight", self.input(0) / groups, self.vector(*weight)?)?;
                Ok(self.input(0))
            }
            Op::Rope { heads, table, .. } => self.rope(*heads, *table),
            Op::Attention { heads, cache, scale, window, .. } => {
                finite("scale", *scale)?;
                if *window == Some(0) {
                    return Err("a window of 0 positions".to_owned());
                }
                self.attention(*heads, *cache)
            }
            Op::Add | Op::Mul | Op::Glu { .. } => {
                equal("width of the second input", self.input(0), self.input(1))?;
                Ok(self.input(0))
            }
            Op::Scale { by } => finite("by", *by).map(|()| self.input(0)),
            Op::Softcap { cap } => finite("cap", *cap).map(|()| self.input(0)),
            Op::Activate { .. } | Op::SelectRows => Ok(self.input(0)),
        }
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
