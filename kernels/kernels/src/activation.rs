//! Activation functions and the way they are applied to slices.
//!
//! A function of one value is a [`Map`]; applying it goes by sixteen lanes and pads the end, so
//! that a value's result does not depend on its place. It must not mix values.

use crate::isa::{Isa, Kernel, dispatch};
use crate::math::{exp, normal_below, sigmoid, tanh};
use crate::simd::{LANES, Simd};

/// The nonlinearity of a feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// x · sigmoid(x)
    Silu,
    /// x · Φ(x), with the error function.
    Gelu,
    /// Gelu by its tanh approximation.
    GeluTanh,
    /// max(x, 0)
    Relu,
}

/// A function of each value by itself.
pub(crate) trait Map: Copy {
    fn apply<S: Simd>(self, s: S, x: S::F) -> S::F;
}

impl Map for Activation {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: S::F) -> S::F {
        match self {
            // One division instead of a sigmoid and a product.
            Activation::Silu => s.div(x, s.add(s.splat(1.0), exp(s, s.sub(s.splat(0.0), x)))),
            Activation::Gelu => s.mul(x, normal_below(s, x)),
            Activation::GeluTanh => s.mul(x, sigmoid(s, gelu_argument(s, x))),
            Activation::Relu => s.max(s.splat(0.0), x),
        }
    }
}

/// 2 √(2/π) (x + 0.044715 x³): (1 + tanh(u)) / 2 is sigmoid(2u).
#[inline(always)]
fn gelu_argument<S: Simd>(s: S, x: S::F) -> S::F {
    const FACTOR: f32 = 1.595_769_1;
    const CUBE: f32 = 0.044_715 * FACTOR;
    let square = s.mul(x, x);
    s.mul(x, s.fma(square, s.splat(CUBE), s.splat(FACTOR)))
}

/// cap · tanh(x / cap)
#[derive(Clone, Copy)]
pub(crate) struct Softcap(pub(crate) f32);

impl Map for Softcap {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: S::F) -> S::F {
        let cap = s.splat(self.0);
        s.mul(cap, tanh(s, s.div(x, cap)))
    }
}

/// Applies `map` to every value.
pub(crate) fn map_in_place<M: Map>(map: M, values: &mut [f32]) {
    dispatch(Isa::detect(), MapInPlace { map, values });
}

struct MapInPlace<'a, M> {
    map: M,
    values: &'a mut [f32],
}

impl<M: Map> Kernel for MapInPlace<'_, M> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, s: S) {
        let (chunks, rest) = self.values.as_chunks_mut::<LANES>();
        for chunk in chunks {
            s.store(self.map.apply(s, s.load_f32(chunk)), chunk);
        }
        let mut last = padded(rest);
        s.store(self.map.apply(s, s.load_f32(&last)), &mut last);
        rest.copy_from_slice(&last[..rest.len()]);
    }
}

/// `out = map(gate) * up`.
pub(crate) fn map_and_multiply<M: Map>(map: M, gate: &[f32], up: &[f32], out: &mut [f32]) {
    dispatch(Isa::detect(), Glu { map, gate, up, out });
}

struct Glu<'a, M> {
    map: M,
    gate: &'a [f32],
    up: &'a [f32],
    out: &'a mut [f32],
}

impl<M: Map> Kernel for Glu<'_, M> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, s: S) {
        let (gates, gate_rest) = self.gate.as_chunks::<LANES>();
        let (ups, up_rest) = self.up.as_chunks::<LANES>();
        let (outs, out_rest) = self.out.as_chunks_mut::<LANES>();
        for ((gate, up), out) in gates.iter().zip(ups).zip(outs) {
            s.store(s.mul(self.map.apply(s, s.load_f32(gate)), s.load_f32(up)), out);
        }
        let (gate, up) = (s.load_f32(&padded(gate_rest)), s.load_f32(&padded(up_rest)));
        let mut last = [0.0; LANES];
        s.store(s.mul(self.map.apply(s, gate), up), &mut last);
        out_rest.copy_from_slice(&last[..out_rest.len()]);
    }
}

/// Fewer than sixteen values, with zeros after them.
#[inline(always)]
pub(crate) fn padded(values: &[f32]) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    lanes[..values.len()].copy_from_slice(values);
    lanes
}
