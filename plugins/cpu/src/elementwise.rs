//! Ops on the values of a row in place: by constants, and by another row.

use crate::frame::Frame;
use graph::{Activation, WeightId};
use kernels::ops;

/// How a row is changed by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    Scale(f32),
    Softcap(f32),
    Activate(Activation),
    Bias(WeightId),
    /// To unit length; the least divisor.
    Normalize(f32),
}

/// How a row is changed by another one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Join {
    Add,
    Mul,
    /// By the other's only value.
    ScaleRow,
}

impl Change {
    pub(crate) fn run(self, frame: &Frame<'_>, on: &mut [f32]) {
        match self {
            Self::Scale(by) => ops::scale_in_place(on, by),
            Self::Softcap(cap) => ops::softcap_in_place(on, cap),
            Self::Activate(function) => ops::activate(activation(function), on),
            Self::Bias(weight) => ops::add_in_place(on, frame.weights.vector(weight)),
            Self::Normalize(eps) => ops::normalize_in_place(on, eps),
        }
    }
}

impl Join {
    pub(crate) fn run(self, from: &[f32], on: &mut [f32]) {
        match self {
            Self::Add => ops::add_in_place(on, from),
            Self::Mul => ops::mul_in_place(on, from),
            Self::ScaleRow => ops::scale_in_place(on, from[0]),
        }
    }
}

/// The graph's word for a function in the kernels' words.
pub(crate) fn activation(function: Activation) -> ops::Activation {
    match function {
        Activation::Silu => ops::Activation::Silu,
        Activation::Gelu => ops::Activation::Gelu,
        Activation::GeluTanh => ops::Activation::GeluTanh,
        Activation::Relu => ops::Activation::Relu,
        Activation::Sigmoid => ops::Activation::Sigmoid,
    }
}
