//! Everything between two matrix products: norms, softmax, activations, rotary embedding, sums.
//!
//! Each function works on one row and is deterministic: sums go over sixteen lanes in four fixed
//! accumulators whatever the instruction set. They must not allocate. Lengths that do not agree
//! are a fault of the caller and panic.

pub use crate::activation::Activation;
use crate::activation::{ExpBelow, Softcap, map_and_multiply, map_in_place};
use crate::isa::{Isa, Kernel, dispatch};
use crate::simd::{LANES, Simd};

/// `out = x / √(mean(x²) + eps) * (weight + weight_add)`.
///
/// # Panics
/// If the slices differ in length.
pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32, weight_add: f32, out: &mut [f32]) {
    assert_eq!((x.len(), weight.len()), (out.len(), out.len()), "lengths of an rms norm");
    let factor = 1.0 / (mean_square(x, 0.0) + eps).sqrt();
    for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
        *out = x * factor * (weight + weight_add);
    }
}

/// `out = (x - mean(x)) / √(variance(x) + eps) * weight + bias`.
///
/// # Panics
/// If the slices differ in length.
pub fn layer_norm(x: &[f32], weight: &[f32], bias: Option<&[f32]>, eps: f32, out: &mut [f32]) {
    assert_eq!((x.len(), weight.len()), (out.len(), out.len()), "lengths of a layer norm");
    let mean = dispatch(Isa::detect(), Sum { x, less: 0.0, square: false }) / x.len() as f32;
    let factor = 1.0 / (mean_square(x, mean) + eps).sqrt();
    for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
        *out = (x - mean) * factor * weight;
    }
    if let Some(bias) = bias {
        add_in_place(out, bias);
    }
}

fn mean_square(x: &[f32], less: f32) -> f32 {
    dispatch(Isa::detect(), Sum { x, less, square: true }) / x.len() as f32
}

/// The sum of `x`, or of the squares of `x - less`.
struct Sum<'a> {
    x: &'a [f32],
    less: f32,
    square: bool,
}

impl Kernel for Sum<'_> {
    type Output = f32;

    #[inline(always)]
    fn call<S: Simd>(self, s: S) -> f32 {
        let mut sums = [s.splat(0.0); 4];
        let (blocks, rest) = self.x.as_chunks::<{ 4 * LANES }>();
        for block in blocks {
            for (sum, lanes) in sums.iter_mut().zip(block.as_chunks::<LANES>().0) {
                *sum = self.add(s, *sum, s.load_f32(lanes));
            }
        }
        // The end is padded with `less`, which adds nothing.
        for (sum, values) in sums.iter_mut().zip(rest.chunks(LANES)) {
            let mut lanes = [if self.square { self.less } else { 0.0 }; LANES];
            lanes[..values.len()].copy_from_slice(values);
            *sum = self.add(s, *sum, s.load_f32(&lanes));
        }
        s.sum(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])))
    }
}

impl Sum<'_> {
    #[inline(always)]
    fn add<S: Simd>(&self, s: S, sum: S::F, x: S::F) -> S::F {
        if !self.square {
            return s.add(sum, x);
        }
        let x = s.sub(x, s.splat(self.less));
        s.fma(x, x, sum)
    }
}

/// `a += b`.
///
/// # Panics
/// If the slices differ in length, as [`add_scaled_in_place`] and [`mul_in_place`] do.
pub fn add_in_place(a: &mut [f32], b: &[f32]) {
    assert_eq!(a.len(), b.len(), "lengths of a sum");
    for (a, b) in a.iter_mut().zip(b) {
        *a += b;
    }
}

/// `a += b * by`.
pub fn add_scaled_in_place(a: &mut [f32], b: &[f32], by: f32) {
    assert_eq!(a.len(), b.len(), "lengths of a sum");
    for (a, b) in a.iter_mut().zip(b) {
        *a += b * by;
    }
}

/// `a *= b`, value by value.
pub fn mul_in_place(a: &mut [f32], b: &[f32]) {
    assert_eq!(a.len(), b.len(), "lengths of a product");
    for (a, b) in a.iter_mut().zip(b) {
        *a *= b;
    }
}

/// `a *= by`.
pub fn scale_in_place(a: &mut [f32], by: f32) {
    for a in a {
        *a *= by;
    }
}

/// `a = cap * tanh(a / cap)`.
pub fn softcap_in_place(a: &mut [f32], cap: f32) {
    map_in_place(Softcap(cap), a);
}

/// Applies an activation function.
pub fn activate(kind: Activation, x: &mut [f32]) {
    map_in_place(kind, x);
}

/// `x = e^x / Σ e^x`.
pub fn softmax_in_place(x: &mut [f32]) {
    let most = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    map_in_place(ExpBelow { most }, x);
    let sum = dispatch(Isa::detect(), Sum { x, less: 0.0, square: false });
    scale_in_place(x, 1.0 / sum);
}

/// `x = x / max(√(Σ x²), eps)`.
pub fn normalize_in_place(x: &mut [f32], eps: f32) {
    let squares = dispatch(Isa::detect(), Sum { x, less: 0.0, square: true });
    scale_in_place(x, 1.0 / squares.sqrt().max(eps));
}

/// `out = activation(gate) * up`.
///
/// # Panics
/// If the slices differ in length.
pub fn glu(kind: Activation, gate: &[f32], up: &[f32], out: &mut [f32]) {
    assert_eq!((gate.len(), up.len()), (out.len(), out.len()), "lengths of a gated unit");
    map_and_multiply(kind, gate, up, out);
}

/// Rotates the pairs `(i, i + n)` of the first `2n` values, `n` being the number of angles.
///
/// # Panics
/// If `cos` and `sin` differ in length or the head is shorter than `2n`; so does
/// [`rope_interleaved`].
pub fn rope_neox(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    assert_eq!(cos.len(), sin.len(), "angles of a rotation");
    let (first, rest) = head.split_at_mut(cos.len());
    for (((a, b), cos), sin) in first.iter_mut().zip(&mut rest[..cos.len()]).zip(cos).zip(sin) {
        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
    }
}

/// Rotates the pairs `(2i, 2i + 1)` of the first `2n` values, `n` being the number of angles.
pub fn rope_interleaved(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    assert_eq!(cos.len(), sin.len(), "angles of a rotation");
    let (pairs, _) = head[..2 * cos.len()].as_chunks_mut::<2>();
    for (([a, b], cos), sin) in pairs.iter_mut().zip(cos).zip(sin) {
        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_have_the_same_bits_on_every_instruction_set() {
        let x: Vec<f32> = (0..1000).map(|i| (i * 7919 % 1009) as f32 / 313.0 - 1.5).collect();
        for len in 0..x.len() {
            for square in [false, true] {
                let sum = |isa| dispatch(isa, Sum { x: &x[..len], less: 0.3, square }).to_bits();
                let expected = sum(Isa::Portable);
                assert!(Isa::available().into_iter().all(|isa| sum(isa) == expected), "{len}");
            }
        }
    }
}
