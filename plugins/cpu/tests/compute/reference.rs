//! A plain f64 executor: one sequence from position 0, every row at once, nothing cached.

mod rows;

use crate::model::Model;
use graph::{Node, Op, Pooling, RopeStyle};
use rows::{row, softmax};

type Rows = Vec<Vec<f64>>;

/// The answer for every row of `tokens`, or for the sequence; `round_kv` is what the cache does to
/// keys and values.
pub(crate) fn logits(model: &Model, tokens: &[u32], round_kv: fn(f64) -> f64) -> Rows {
    let mut values: Vec<Rows> = Vec::new();
    for node in &model.graph.nodes {
        let inputs: Vec<&Rows> = node.inputs.iter().map(|&input| &values[input]).collect();
        let rows = match &node.op {
            Op::Attention { .. } => {
                attention(model, &node.op, [inputs[0], inputs[1], inputs[2]], round_kv)
            }
            Op::Rope { .. } => rope(model, node, inputs[0]),
            Op::Embed { weight } => {
                let table = matrix(model, *weight);
                tokens.iter().map(|&token| table[token as usize].to_vec()).collect()
            }
            Op::EmbedPosition { weight } => {
                let table = matrix(model, *weight);
                (0..tokens.len()).map(|position| table[position].to_vec()).collect()
            }
            Op::SelectRows => inputs[0].clone(),
            Op::Pool { how: Pooling::First } => vec![inputs[0][0].clone()],
            Op::Pool { how: Pooling::Mean } => {
                let count = inputs[0].len() as f64;
                let mean =
                    |column: usize| inputs[0].iter().map(|row| row[column]).sum::<f64>() / count;
                vec![(0..inputs[0][0].len()).map(mean).collect()]
            }
            op => {
                let row = |index: usize| {
                    let inputs: Vec<&[f64]> = inputs.iter().map(|rows| &rows[index][..]).collect();
                    row(model, op, &inputs)
                };
                (0..inputs[0].len()).map(row).collect()
            }
        };
        values.push(rows);
    }
    values.pop().expect("a graph has nodes")
}

fn matrix(model: &Model, weight: usize) -> Vec<&[f64]> {
    model.values[weight].chunks(model.graph.weights[weight].shape[1]).collect()
}

fn rope(model: &Model, node: &Node, rows: &Rows) -> Rows {
    let Op::Rope { heads, table, style } = node.op else {
        unreachable!("called for rotations only")
    };
    let table = &model.graph.rope_tables[table];
    let long = table.long.as_ref().filter(|long| rows.len() > long.above);
    let frequencies = long.map_or(&table.frequencies, |long| &long.frequencies);
    let angles = Angles { frequencies, magnitude: f64::from(table.magnitude) };
    let rotate = |(position, x): (usize, &Vec<f64>)| {
        let head = |x| rotate(x, position, angles, style);
        x.chunks(x.len() / heads).flat_map(head).collect()
    };
    rows.iter().enumerate().map(rotate).collect()
}

#[derive(Clone, Copy)]
struct Angles<'a> {
    frequencies: &'a [f32],
    magnitude: f64,
}

fn rotate(x: &[f64], position: usize, angles: Angles<'_>, style: RopeStyle) -> Vec<f64> {
    let mut out = x.to_vec();
    let Angles { frequencies, magnitude } = angles;
    let count = frequencies.len();
    for (i, frequency) in frequencies.iter().enumerate() {
        let (a, b) = match style {
            RopeStyle::Neox => (i, i + count),
            RopeStyle::Interleaved => (2 * i, 2 * i + 1),
        };
        let angle = f64::from(position as f32 * frequency);
        let (sin, cos) = angle.sin_cos();
        out[a] = (x[a] * cos - x[b] * sin) * magnitude;
        out[b] = (x[b] * cos + x[a] * sin) * magnitude;
    }
    out
}

fn attention(model: &Model, op: &Op, [q, k, v]: [&Rows; 3], round: fn(f64) -> f64) -> Rows {
    let Op::Attention { heads, cache, scale, causal, window, softcap } = *op else {
        unreachable!("called for attention ops only")
    };
    let dim = model.graph.caches[cache].head_dim;
    let group = heads / model.graph.caches[cache].kv_heads;
    let rounded = |rows: &Rows| -> Rows {
        rows.iter().map(|row| row.iter().map(|&x| round(x)).collect()).collect()
    };
    let (keys, values) = (rounded(k), rounded(v));
    let head = |position: usize, head: usize| {
        let part = head / group * dim..(head / group + 1) * dim;
        let sees = |other: &usize| {
            window.is_none_or(|window| position.abs_diff(*other) < window)
                && (*other <= position || !causal)
        };
        let seen: Vec<usize> = (0..q.len()).filter(sees).collect();
        let score = |&other: &usize| {
            let query = &q[position][head * dim..(head + 1) * dim];
            let dot: f64 = query.iter().zip(&keys[other][part.clone()]).map(|(q, k)| q * k).sum();
            let score = dot * f64::from(scale);
            softcap.map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
        };
        let shares = softmax(&seen.iter().map(score).collect::<Vec<_>>());
        let mut out = vec![0.0; dim];
        for (other, share) in seen.into_iter().zip(shares) {
            for (out, value) in out.iter_mut().zip(&values[other][part.clone()]) {
                *out += share * value;
            }
        }
        out
    };
    (0..q.len()).map(|row| (0..heads).flat_map(|index| head(row, index)).collect()).collect()
}
