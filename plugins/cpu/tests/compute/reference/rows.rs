//! The ops whose rows are independent, on one row of each input.

use super::matrix;
use crate::model::Model;
use graph::{Activation, Op};

pub(super) fn row(model: &Model, op: &Op, inputs: &[&[f64]]) -> Vec<f64> {
    let x = inputs[0];
    let map = |f: &dyn Fn(f64) -> f64| x.iter().map(|&x| f(x)).collect();
    let pairs = |other: &[f64], f: fn(f64, f64) -> f64| {
        x.iter().zip(other).map(|(&a, &b)| f(a, b)).collect()
    };
    match op {
        Op::Linear { weight, bias } => {
            let mut out = multiply(model, *weight, x);
            let bias = bias.iter().flat_map(|bias| &model.values[*bias]);
            out.iter_mut().zip(bias).for_each(|(out, bias)| *out += bias);
            out
        }
        Op::RmsNorm { weight, eps, groups, weight_add } => {
            let (weight, add) = (&model.values[*weight], f64::from(*weight_add));
            let norm = |x| norm(x, weight, f64::from(*eps), add);
            x.chunks(x.len() / groups).flat_map(norm).collect()
        }
        Op::LayerNorm { weight, bias, eps } => {
            let bias = bias.map(|bias| &model.values[bias]);
            layer_norm(x, &model.values[*weight], bias, f64::from(*eps))
        }
        Op::Moe { .. } => experts(model, op, x, inputs[1]),
        Op::Bias { weight } => pairs(&model.values[*weight], |a, b| a + b),
        Op::Add => pairs(inputs[1], |a, b| a + b),
        Op::Mul => pairs(inputs[1], |a, b| a * b),
        Op::ScaleRows => map(&|x| x * inputs[1][0]),
        Op::Scale { by } => map(&|x| x * f64::from(*by)),
        Op::Softcap { cap } => map(&|x| f64::from(*cap) * (x / f64::from(*cap)).tanh()),
        Op::Activate { function } => map(&|x| activate(*function, x)),
        Op::Glu { function } => {
            let gates = x.iter().map(|&gate| activate(*function, gate));
            gates.zip(inputs[1]).map(|(gate, up)| gate * up).collect()
        }
        Op::Concat => inputs.concat(),
        Op::Normalize { eps } => {
            let length = x.iter().map(|x| x * x).sum::<f64>().sqrt();
            map(&|x| x / length.max(f64::from(*eps)))
        }
        other => unreachable!("the rows of {} are not independent", other.name()),
    }
}

fn multiply(model: &Model, weight: usize, x: &[f64]) -> Vec<f64> {
    let dot = |row: &[f64]| row.iter().zip(x).map(|(w, x)| w * x).sum();
    matrix(model, weight).into_iter().map(dot).collect()
}

fn norm(x: &[f64], weight: &[f64], eps: f64, add: f64) -> Vec<f64> {
    let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
    x.iter().zip(weight).map(|(x, weight)| x / (mean + eps).sqrt() * (weight + add)).collect()
}

fn layer_norm(x: &[f64], weight: &[f64], bias: Option<&Vec<f64>>, eps: f64) -> Vec<f64> {
    let count = x.len() as f64;
    let mean = x.iter().sum::<f64>() / count;
    let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
    let value = |(i, x): (usize, &f64)| {
        (x - mean) / (variance + eps).sqrt() * weight[i] + bias.map_or(0.0, |bias| bias[i])
    };
    x.iter().enumerate().map(value).collect()
}

pub(super) fn softmax(scores: &[f64]) -> Vec<f64> {
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shares: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
    let total: f64 = shares.iter().sum();
    shares.iter().map(|share| share / total).collect()
}

/// Every expert is computed; those that are not chosen weigh nothing.
fn experts(model: &Model, op: &Op, x: &[f64], scores: &[f64]) -> Vec<f64> {
    let Op::Moe { experts, top_k, function, normalize, scale } = op else {
        unreachable!("called for mixtures only")
    };
    let mut weights = softmax(scores);
    let mut order: Vec<usize> = (0..experts.len()).collect();
    order.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]));
    order[*top_k..].iter().for_each(|&expert| weights[expert] = 0.0);
    let total = if *normalize { weights.iter().sum() } else { 1.0 };
    let mut out = vec![0.0; x.len()];
    for (expert, weight) in experts.iter().zip(weights) {
        let [gate, up] = [expert.gate, expert.up].map(|matrix| multiply(model, matrix, x));
        let gated: Vec<f64> =
            gate.iter().zip(up).map(|(&gate, up)| activate(*function, gate) * up).collect();
        for (out, value) in out.iter_mut().zip(multiply(model, expert.down, &gated)) {
            *out += weight / total * f64::from(*scale) * value;
        }
    }
    out
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
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
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
