//! Ops that divide a row by its size.

use candle_core::{D, Result, Tensor};

/// `x / sqrt(mean(x^2) + eps) * (weight + add)`, over each part of the row that is as long as the
/// weight.
pub(crate) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f32, add: f32) -> Result<Tensor> {
    let parts = x.reshape(((), weight.elem_count()))?;
    let weight = (weight + f64::from(add))?;
    parts.broadcast_div(&root_mean_square(&parts, eps)?)?.broadcast_mul(&weight)?.reshape(x.shape())
}

/// `(x - mean) / sqrt(variance + eps) * weight + bias`.
pub(crate) fn layer_norm(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    eps: f32,
) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let deviation = root_mean_square(&centred, eps)?;
    let scaled = centred.broadcast_div(&deviation)?.broadcast_mul(weight)?;
    match bias {
        Some(bias) => scaled.broadcast_add(bias),
        None => Ok(scaled),
    }
}

/// `x / max(|x|, eps)`.
pub(crate) fn normalize(x: &Tensor, eps: f32) -> Result<Tensor> {
    let length = x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
    x.broadcast_div(&length.maximum(eps)?)
}

/// `sqrt(mean(x^2) + eps)`, one value a row.
fn root_mean_square(x: &Tensor, eps: f32) -> Result<Tensor> {
    (x.sqr()?.mean_keepdim(D::Minus1)? + f64::from(eps))?.sqrt()
}
