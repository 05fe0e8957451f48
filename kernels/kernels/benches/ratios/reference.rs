//! The plain f32 loops that kernels are measured against.
//!
//! They are compiled for what every machine of the architecture has, share no code with the kernels
//! and are the unit of the stored ratios: whoever changes one measures the baseline anew.

const LANES: usize = 16;

/// The product of rows of `k` weights with each input, `output[token][row]`.
#[inline(never)]
pub(crate) fn matmul(weights: &[f32], inputs: &[f32], k: usize, output: &mut [f32]) {
    let rows = weights.len() / k;
    for (row, weights) in weights.chunks_exact(k).enumerate() {
        for (token, input) in inputs.chunks_exact(k).enumerate() {
            output[token * rows + row] = dot(weights, input);
        }
    }
}

/// Attention of one query head that sees all positions; `scores` has a place for each.
#[inline(never)]
pub(crate) fn attention(
    query: &[f32],
    [keys, values]: [&[f32]; 2],
    scale: f32,
    scores: &mut [f32],
    out: &mut [f32],
) {
    for (score, key) in scores.iter_mut().zip(keys.chunks_exact(query.len())) {
        *score = scale * dot(query, key);
    }
    softmax(scores);
    out.fill(0.0);
    for (weight, value) in scores.iter().zip(values.chunks_exact(query.len())) {
        out.iter_mut().zip(value).for_each(|(out, value)| *out += weight * value);
    }
}

/// The sum of products, over as many sums as fill vectors.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for i in 0..LANES {
            sums[i] += a[i] * b[i];
        }
    }
    sums.iter().sum()
}

#[inline(never)]
pub(crate) fn softmax(x: &mut [f32]) {
    let most = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    x.iter_mut().for_each(|x| *x = (*x - most).exp());
    let factor = 1.0 / x.iter().sum::<f32>();
    x.iter_mut().for_each(|x| *x *= factor);
}

#[inline(never)]
pub(crate) fn softcap(x: &mut [f32], cap: f32) {
    x.iter_mut().for_each(|x| *x = cap * (*x / cap).tanh());
}

#[inline(never)]
pub(crate) fn silu_glu(gate: &[f32], up: &[f32], out: &mut [f32]) {
    for (out, (gate, up)) in out.iter_mut().zip(gate.iter().zip(up)) {
        *out = gate / (1.0 + (-gate).exp()) * up;
    }
}

#[inline(never)]
pub(crate) fn gelu_tanh_glu(gate: &[f32], up: &[f32], out: &mut [f32]) {
    for (out, (gate, up)) in out.iter_mut().zip(gate.iter().zip(up)) {
        let inner = 0.797_884_6 * (gate + 0.044_715 * gate * gate * gate);
        *out = 0.5 * gate * (1.0 + inner.tanh()) * up;
    }
}

#[inline(never)]
pub(crate) fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let factor = 1.0 / (dot(x, x) / x.len() as f32 + eps).sqrt();
    for (out, (x, weight)) in out.iter_mut().zip(x.iter().zip(weight)) {
        *out = x * factor * weight;
    }
}

#[inline(never)]
pub(crate) fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) {
    let mean = x.iter().sum::<f32>() / x.len() as f32;
    let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / x.len() as f32;
    let factor = 1.0 / (variance + eps).sqrt();
    for (i, out) in out.iter_mut().enumerate() {
        *out = (x[i] - mean) * factor * weight[i] + bias[i];
    }
}

#[inline(never)]
pub(crate) fn rope_neox(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (first, second) = head.split_at_mut(cos.len());
    for i in 0..cos.len() {
        let (a, b) = (first[i], second[i]);
        (first[i], second[i]) = (a * cos[i] - b * sin[i], b * cos[i] + a * sin[i]);
    }
}

/// Rounds each 32 values to bytes by their greatest magnitude; writes scales and bytes.
#[inline(never)]
pub(crate) fn round_to_bytes(x: &[f32], dst: &mut [u8]) {
    for (x, dst) in x.as_chunks::<32>().0.iter().zip(dst.as_chunks_mut::<36>().0) {
        let most = x.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let inverse = if most > 0.0 { 127.0 / most } else { 0.0 };
        dst[..4].copy_from_slice(&(most / 127.0).to_le_bytes());
        for (dst, x) in dst[4..].iter_mut().zip(x) {
            *dst = ((x * inverse).round_ties_even() as i8).cast_unsigned();
        }
    }
}
