//! What codes stand for, in units of their scale, and rounding to it.

use crate::math::ROUND;
use crate::simd::{LANES, Simd};

/// The levels of a format in ascending order; code 0 is the least.
#[derive(Clone, Copy)]
pub(crate) enum Levels {
    /// Whole numbers from the first to the second.
    Whole(f32, f32),
    Steps(&'static Steps),
}

/// Sixteen uneven levels.
pub(crate) struct Steps {
    levels: [f32; LANES],
    /// At the index of a level: halfway between it and the one before.
    borders: [f32; LANES],
}

impl Steps {
    /// The levels are these bytes less `zero`.
    pub(crate) const fn new(bytes: [u8; LANES], zero: u8) -> Self {
        let mut levels = [0.0; LANES];
        let mut borders = [f32::NEG_INFINITY; LANES];
        let mut i = 0;
        while i < LANES {
            levels[i] = bytes[i] as f32 - zero as f32;
            if i > 0 {
                borders[i] = (levels[i - 1] + levels[i]) / 2.0;
            }
            i += 1;
        }
        Steps { levels, borders }
    }
}

impl Levels {
    /// The level nearest to `x * inverse`, and its code.
    #[inline(always)]
    pub(super) fn nearest<S: Simd>(self, s: S, x: S::F, inverse: S::F) -> (S::F, S::I) {
        match self {
            Levels::Whole(low, high) => {
                let (low, high) = (ROUND + low, ROUND + high);
                let rounded = s.fma(x, inverse, s.splat(ROUND));
                let rounded = s.min(s.max(rounded, s.splat(low)), s.splat(high));
                let code = s.add_i32(s.as_bits(rounded), s.splat_i32(-low.to_bits().cast_signed()));
                (s.sub(rounded, s.splat(ROUND)), code)
            }
            Levels::Steps(steps) => {
                let x = s.mul(x, inverse);
                let mut code = s.splat_i32(0);
                for step in [8, 4, 2, 1] {
                    let higher = s.add_i32(code, s.splat_i32(step));
                    let border = s.pick(&steps.borders, higher);
                    let chosen = s.select_lt(x, border, s.as_f32(code), s.as_f32(higher));
                    code = s.as_bits(chosen);
                }
                (s.pick(&steps.levels, code), code)
            }
        }
    }
}
