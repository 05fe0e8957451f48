//! Ops that read matrices: products, and mixtures of experts made of them.

use crate::elementwise::activate;
use candle_core::{D, Result, Tensor};
use graph::Activation;

/// `x W^T + b`.
pub(crate) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let product = x.matmul(&weight.t()?)?;
    match bias {
        Some(bias) => product.broadcast_add(bias),
        None => Ok(product),
    }
}

/// The softmax of the last dimension.
pub(crate) fn softmax(x: &Tensor) -> Result<Tensor> {
    let powers = x.broadcast_sub(&x.max_keepdim(D::Minus1)?)?.exp()?;
    powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)
}

/// An expert of a row.
struct Use {
    row: usize,
    expert: usize,
    factor: f32,
}

/// How a mixture of experts weighs them.
pub(crate) struct Mixture {
    pub(crate) top_k: usize,
    pub(crate) function: Activation,
    pub(crate) normalize: bool,
    pub(crate) scale: f32,
}

impl Mixture {
    /// The sum over each row's experts, `[gate, up, down]` being the matrices of one.
    pub(crate) fn run(
        &self,
        x: &Tensor,
        scores: &Tensor,
        experts: &[[&Tensor; 3]],
    ) -> Result<Tensor> {
        let shares = softmax(scores)?.to_vec2::<f32>()?;
        let rows = shares.iter().enumerate();
        let uses: Vec<Use> = rows.flat_map(|(row, shares)| self.choose(row, shares)).collect();
        let mut sum = x.zeros_like()?;
        for (expert, [gate, up, down]) in experts.iter().enumerate() {
            let of_this = uses.iter().filter(|used| used.expert == expert);
            let (rows, factors): (Vec<_>, Vec<_>) =
                of_this.map(|used| (used.row as u32, used.factor)).unzip();
            if rows.is_empty() {
                continue;
            }
            let rows = Tensor::new(rows, x.device())?;
            let factors = Tensor::new(factors, x.device())?.unsqueeze(1)?;
            let x = x.index_select(&rows, 0)?;
            let gate = activate(self.function, &linear(&x, gate, None)?)?;
            let inner = (gate * linear(&x, up, None)?)?;
            let out = linear(&inner, down, None)?.broadcast_mul(&factors)?;
            sum = sum.index_add(&rows, &out, 0)?;
        }
        Ok(sum)
    }

    /// The experts of a row.
    fn choose(&self, row: usize, shares: &[f32]) -> Vec<Use> {
        let mut order: Vec<_> = shares.iter().copied().enumerate().collect();
        // The sort is stable: of equal shares the lower number stays in front.
        order.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        order.truncate(self.top_k);
        let sum: f32 = order.iter().map(|(_, share)| share).sum();
        let divisor = if self.normalize { sum } else { 1.0 };
        let factor = |share: f32| share / divisor * self.scale;
        order
            .into_iter()
            .map(|(expert, share)| Use { row, expert, factor: factor(share) })
            .collect()
    }
}
