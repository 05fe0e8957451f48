//! A plain f64 executor: one sequence from position 0, every row at once, nothing cached.

use crate::model::Model;
use graph::{Activation, Op, RopeStyle};

type Rows = Vec<Vec<f64>>;

/// Logits of every row of `tokens`; `round_kv` is what the cache does to keys and values.
pub(crate) fn logits(model: &Model, tokens: &[u32], round_kv: fn(f64) -> f64) -> Rows {
    let mut values: Vec<Rows> = Vec::new();
    for node in &model.graph.nodes {
        let input = |index: usize| &values[node.inputs[index]];
        let rows = match &node.op {
            Op::Embed { weight } => {
                let table = matrix(model, *weight);
                tokens.iter().map(|&token| table[token as usize].to_vec()).collect()
            }
            Op::Linear { weight, bias } => {
                let bias = bias.map(|bias| &model.values[bias]);
                let matrix = matrix(model, *weight);
                let dot = |x: &Vec<f64>, row: usize| {
                    let sum: f64 = matrix[row].iter().zip(x).map(|(w, x)| w * x).sum();
                    sum + bias.map_or(0.0, |bias| bias[row])
                };
                let row = |x| (0..matrix.len()).map(|row| dot(x, row)).collect();
                input(0).iter().map(row).collect()
            }
            Op::RmsNorm { weight, eps, groups, weight_add } => {
                let (weight, add) = (&model.values[*weight], f64::from(*weight_add));
                let row = |x: &Vec<f64>| {
                    let norm = |x| norm(x, weight, f64::from(*eps), add);
                    x.chunks(x.len() / groups).flat_map(norm).collect()
                };
                input(0).iter().map(row).collect()
            }
            Op::Rope { heads, table, style } => {
                let table = &model.graph.rope_tables[*table];
                let rotate = |(position, x): (usize, &Vec<f64>)| {
                    let head = |x| rotate(x, position, table, *style);
                    x.chunks(x.len() / heads).flat_map(head).collect()
                };
                input(0).iter().enumerate().map(rotate).collect()
            }
            Op::Attention { .. } => {
                attention(model, &node.op, [input(0), input(1), input(2)], round_kv)
            }
            Op::Add => pairs(input(0), input(1), |a, b| a + b),
            Op::Mul => pairs(input(0), input(1), |a, b| a * b),
            Op::Scale { by } => map(input(0), |x| x * f64::from(*by)),
            Op::Softcap { cap } => {
                let cap = f64::from(*cap);
                map(input(0), |x| cap * (x / cap).tanh())
            }
            Op::Activate { function } => map(input(0), |x| activate(*function, x)),
            Op::Glu { function } => {
                pairs(input(0), input(1), |gate, up| activate(*function, gate) * up)
            }
            Op::SelectRows => input(0).clone(),
        };
        values.push(rows);
    }
    values.pop().expect("a graph has nodes")
}

fn matrix(model: &Model, weight: usize) -> Vec<&[f64]> {
    model.values[weight].chunks(model.graph.weights[weight].shape[1]).collect()
}

fn map(rows: &Rows, f: impl Fn(f64) -> f64) -> Rows {
    rows.iter().map(|row| row.iter().map(|&x| f(x)).collect()).collect()
}

fn pairs(a: &Rows, b: &Rows, f: impl Fn(f64, f64) -> f64) -> Rows {
    let row = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect();
    a.iter().zip(b).map(row).collect()
}

fn norm(x: &[f64], weight: &[f64], eps: f64, add: f64) -> Vec<f64> {
    let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
    x.iter().zip(weight).map(|(x, weight)| x / (mean + eps).sqrt() * (weight + add)).collect()
}

fn rotate(x: &[f64], position: usize, table: &graph::RopeTable, style: RopeStyle) -> Vec<f64> {
    let mut out = x.to_vec();
    let count = table.frequencies.len();
    for (i, frequency) in table.frequencies.iter().enumerate() {
        let (a, b) = match style {
            RopeStyle::Neox => (i, i + count),
            RopeStyle::Interleaved => (2 * i, 2 * i + 1),
        };
        let angle = f64::from(position as f32 * frequency);
        let (sin, cos) = angle.sin_cos();
        let magnitude = f64::from(table.magnitude);
        out[a] = (x[a] * cos - x[b] * sin) * magnitude;
        out[b] = (x[b] * cos + x[a] * sin) * magnitude;
    }
    out
}

fn attention(model: &Model, op: &Op, [q, k, v]: [&Rows; 3], round: fn(f64) -> f64) -> Rows {
    let Op::Attention { heads, cache, scale, window, softcap } = *op else {
        unreachable!("called for attention ops only")
    };
    let dim = model.graph.caches[cache].head_dim;
    let group = heads / model.graph.caches[cache].kv_heads;
    let (keys, values) = (map(k, round), map(v, round));
    let head = |position: usize, head: usize| {
        let part = head / group * dim..(head / group + 1) * dim;
        let first = window.map_or(0, |window| (position + 1).saturating_sub(window));
        let score = |other: usize| {
            let query = &q[position][head * dim..(head + 1) * dim];
            let dot: f64 = query.iter().zip(&keys[other][part.clone()]).map(|(q, k)| q * k).sum();
            let score = dot * f64::from(scale);
            softcap.map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
        };
        let scores: Vec<f64> = (first..=position).map(score).collect();
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let shares: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
        let total: f64 = shares.iter().sum();
        let mut out = vec![0.0; dim];
        for (other, share) in (first..=position).zip(shares) {
            for (out, value) in out.iter_mut().zip(&values[other][part.clone()]) {
                *out += share / total * value;
            }
        }
        out
    };
    (0..q.len()).map(|row| (0..heads).flat_map(|index| head(row, index)).collect()).collect()
}

fn activate(function: Activation, x: f64) -> f64 {
    match function {
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Gelu => x * normal_below(x),
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
            0.5 * x * (1.0 + inner.tanh())
        }
        Activation::Relu => x.max(0.0),
    }
}

/// The normal distribution's share below `x`, by its series.
fn normal_below(x: f64) -> f64 {
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while term.abs() > 1e-18 {
        n += 2.0;
        term *= x * x / n;
        sum += term;
    }
    0.5 + sum * (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
}
