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
    /// 1 / (1 + e^-x)
    Sigmoid,
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
            Activation::Sigmoid => sigmoid(s, x),
        }
    }
}

/// 2 √(2/π) (x + 0.044715 x³): (1 + tanh(u)) / 2 is sigmoid(2u).
#[inline(always)]
fn gelu_argument<S: Simd>(s: S, x: S::F) -> S::F {
    const FACTOR: f32 = 1.595_769;
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

/// e^(x - most)
#[derive(Clone, Copy)]
pub(crate) struct ExpBelow {
    pub(crate) most: f32,
}

impl Map for ExpBelow {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: S::F) -> S::F {
        exp(s, s.sub(x, s.splat(self.most)))
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

#[cfg(test)]
mod tests {
    use super::*;

    const EXP: ExpBelow = ExpBelow { most: 0.0 };

    /// Within `units` of the last place, or `least` if that is more, and alike everywhere.
    fn check<M: Map>(map: M, range: f32, units: f64, least: f64, definition: fn(f64) -> f64) {
        let count = 20_011;
        let x: Vec<f32> =
            (0..count).map(|i| (i as f32 / count as f32 * 2.0 - 1.0) * range).collect();
        let run = |isa| {
            let mut values = x.clone();
            dispatch(isa, MapInPlace { map, values: &mut values });
            values
        };
        let expected = run(Isa::Portable);
        for isa in Isa::available() {
            let equal = run(isa).iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(equal, "{isa:?}");
        }
        for (x, found) in x.iter().zip(expected) {
            let exact = definition(f64::from(*x));
            let error = (f64::from(found) - exact).abs();
            let most = (exact.abs() * f64::from(f32::EPSILON) * units).max(least);
            assert!(error <= most, "{found} for {exact} at {x}");
        }
    }

    /// The error function by its series, which converges for every argument used here.
    fn erf(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    #[test]
    fn exp_is_exact_to_the_last_places() {
        check(EXP, 87.3, 1.5, 0.0, f64::exp);
        check(EXP, 0.5, 1.0, 0.0, f64::exp);
    }

    #[test]
    fn exp_ends_in_zero_and_a_great_number() {
        let mut values = [f32::NEG_INFINITY, -1e9, -87.4, 88.4, f32::INFINITY, f32::NAN];
        map_in_place(EXP, &mut values);
        assert_eq!(values[..3], [0.0; 3]);
        assert!(values[3] > 2e38 && values[4] == values[3] && values[5].is_nan());
    }

    #[test]
    fn softcap_is_a_scaled_tanh() {
        check(Softcap(1.0), 12.0, 3.0, 0.0, f64::tanh);
        check(Softcap(30.0), 200.0, 4.0, 0.0, |x| 30.0 * (x / 30.0).tanh());
    }

    #[test]
    fn activations_are_alike_everywhere() {
        check(Activation::Silu, 30.0, 4.0, 0.0, |x| x / (1.0 + (-x).exp()));
        check(Activation::Relu, 30.0, 0.0, 0.0, |x| x.max(0.0));
        check(Activation::Sigmoid, 30.0, 4.0, 0.0, |x| 1.0 / (1.0 + (-x).exp()));
        check(Activation::Gelu, 5.0, 2.0, 4e-7, |x| 0.5 * x * (1.0 + erf(x / 2.0_f64.sqrt())));
        check(Activation::GeluTanh, 5.0, 6.0, 1e-7, |x| {
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            0.5 * x * (1.0 + u.tanh())
        });
    }
}
