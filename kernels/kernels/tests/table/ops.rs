//! Norms, activations and rotations against their definitions in f64.

use kernels::ops::{
    Activation, activate, add_in_place, add_scaled_in_place, glu, layer_norm, mul_in_place,
    normalize_in_place, rms_norm, rope_interleaved, rope_neox, scale_in_place, softcap_in_place,
    softmax_in_place,
};

use crate::random::Random;

/// Lengths around whole lanes and real widths.
const LENGTHS: [usize; 8] = [1, 15, 16, 17, 64, 100, 896, 1153];

fn check(name: &str, found: &[f32], expected: impl Fn(usize) -> f64) {
    for (i, found) in found.iter().enumerate() {
        let expected = expected(i);
        let error = (f64::from(*found) - expected).abs();
        assert!(error <= 1e-6 * (1.0 + expected.abs()), "{name}, {i}: {found} for {expected}");
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn rms_norm_divides_by_the_root_mean_square() {
    for len in LENGTHS {
        let mut random = Random::new(len as u64);
        let (x, weight) = (random.floats(len), random.floats(len));
        for weight_add in [0.0, 1.0] {
            let mut out = vec![0.0; len];
            rms_norm(&x, &weight, 1e-6, weight_add, &mut out);
            let root = (mean(&wide(&x).iter().map(|x| x * x).collect::<Vec<_>>()) + 1e-6).sqrt();
            check("rms norm", &out, |i| {
                f64::from(x[i]) / root * (f64::from(weight[i]) + f64::from(weight_add))
            });
        }
    }
}

#[test]
fn layer_norm_centres_and_scales() {
    for len in LENGTHS {
        let mut random = Random::new(len as u64);
        let (x, weight, bias) = (random.floats(len), random.floats(len), random.floats(len));
        let centre = mean(&wide(&x));
        let spread = mean(&wide(&x).iter().map(|x| (x - centre).powi(2)).collect::<Vec<_>>());
        let normal =
            |i: usize| (f64::from(x[i]) - centre) / (spread + 1e-5).sqrt() * f64::from(weight[i]);
        let mut out = vec![0.0; len];
        layer_norm(&x, &weight, None, 1e-5, &mut out);
        check("layer norm", &out, normal);
        layer_norm(&x, &weight, Some(&bias), 1e-5, &mut out);
        check("layer norm with bias", &out, |i| normal(i) + f64::from(bias[i]));
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

fn activation(kind: Activation, x: f64) -> f64 {
    match kind {
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Gelu => 0.5 * x * (1.0 + erf(x / 2.0_f64.sqrt())),
        Activation::GeluTanh => {
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            0.5 * x * (1.0 + u.tanh())
        }
        Activation::Relu => x.max(0.0),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
    }
}

const ACTIVATIONS: [Activation; 5] = [
    Activation::Silu,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Relu,
    Activation::Sigmoid,
];

#[test]
fn activations_follow_their_definition() {
    for kind in ACTIVATIONS {
        for len in LENGTHS {
            let x: Vec<f32> = Random::new(len as u64).floats(len).iter().map(|x| x * 5.0).collect();
            let up = Random::new(1).floats(len);
            let mut out = x.clone();
            activate(kind, &mut out);
            check("activation", &out, |i| activation(kind, f64::from(x[i])));
            glu(kind, &x, &up, &mut out);
            check("glu", &out, |i| activation(kind, f64::from(x[i])) * f64::from(up[i]));
        }
    }
}

#[test]
fn activations_of_great_values_are_the_limits() {
    for kind in ACTIVATIONS {
        let mut x = [-1e30, -1000.0, 1000.0, 1e30, f32::NAN];
        activate(kind, &mut x);
        let near_zero = |x: f32| x.abs() < 1e-7;
        assert!(near_zero(x[0]) && near_zero(x[1]), "{kind:?}: {x:?}");
        let great = if kind == Activation::Sigmoid { [1.0, 1.0] } else { [1000.0, 1e30] };
        assert!(x[2..4] == great && x[4].is_nan(), "{kind:?}: {x:?}");
    }
}

#[test]
fn softmax_divides_exponentials_by_their_sum() {
    for len in LENGTHS {
        let x: Vec<f32> = Random::new(len as u64).floats(len).iter().map(|x| x * 30.0).collect();
        let sum: f64 = wide(&x).iter().map(|x| x.exp()).sum();
        let mut out = x.clone();
        softmax_in_place(&mut out);
        check("softmax", &out, |i| f64::from(x[i]).exp() / sum);
    }
    let mut great = [3e38, -3e38, 3e38];
    softmax_in_place(&mut great);
    assert_eq!(great, [0.5, 0.0, 0.5]);
}

#[test]
fn normalizing_gives_unit_length_except_below_eps() {
    for len in LENGTHS {
        let x = Random::new(len as u64).floats(len);
        let length = wide(&x).iter().map(|x| x * x).sum::<f64>().sqrt();
        for eps in [1e-12, 1000.0] {
            let mut out = x.clone();
            normalize_in_place(&mut out, eps);
            check("normalize", &out, |i| f64::from(x[i]) / length.max(f64::from(eps)));
        }
    }
    let mut zeros = [0.0; 3];
    normalize_in_place(&mut zeros, 1e-12);
    assert_eq!(zeros, [0.0; 3]);
}

#[test]
fn softcap_bounds_and_leaves_small_values() {
    let x: Vec<f32> = (-2000..2000).map(|i| i as f32 * 0.05).collect();
    let mut out = x.clone();
    softcap_in_place(&mut out, 30.0);
    check("softcap", &out, |i| 30.0 * (f64::from(x[i]) / 30.0).tanh());
    let mut extremes = [f32::INFINITY, f32::NEG_INFINITY, 1e30, f32::NAN, 0.0];
    softcap_in_place(&mut extremes, 30.0);
    assert_eq!(extremes[..3], [30.0, -30.0, 30.0]);
    assert!(extremes[3].is_nan() && extremes[4] == 0.0);
}

#[test]
fn sums_and_products_go_value_by_value() {
    let mut a = [1.0, 2.0, 3.0];
    add_in_place(&mut a, &[1.0, -1.0, 0.5]);
    assert_eq!(a, [2.0, 1.0, 3.5]);
    add_scaled_in_place(&mut a, &[1.0, 2.0, -1.0], 0.5);
    assert_eq!(a, [2.5, 2.0, 3.0]);
    add_scaled_in_place(&mut a, &[0.5, 1.0, -0.5], -1.0);
    assert_eq!(a, [2.0, 1.0, 3.5]);
    mul_in_place(&mut a, &[2.0, 3.0, 0.0]);
    assert_eq!(a, [4.0, 3.0, 0.0]);
    scale_in_place(&mut a, 0.5);
    assert_eq!(a, [2.0, 1.5, 0.0]);
}

#[test]
fn rope_turns_pairs_and_leaves_the_rest() {
    let mut random = Random::new(1);
    let (head, angles) = (random.floats(10), random.floats(4));
    let (cos, sin): (Vec<f32>, Vec<f32>) = angles.iter().map(|a| (a.cos(), a.sin())).unzip();
    let turned = |a: f32, b: f32, i: usize| {
        let (sin, cos) = f64::from(angles[i]).sin_cos();
        let (a, b) = (f64::from(a), f64::from(b));
        [a * cos - b * sin, b * cos + a * sin]
    };
    let mut out = head.clone();
    rope_neox(&mut out, &cos, &sin);
    check("neox", &out[..8], |i| turned(head[i % 4], head[i % 4 + 4], i % 4)[i / 4]);
    assert_eq!(out[8..], head[8..]);
    let mut out = head.clone();
    rope_interleaved(&mut out, &cos, &sin);
    check("interleaved", &out[..8], |i| turned(head[i & !1], head[i | 1], i / 2)[i % 2]);
    assert_eq!(out[8..], head[8..]);
}
