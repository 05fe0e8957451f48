//! Rounding as a first reading of a format suggests: the greatest value of a span becomes the
//! first level, and scales are exact. What the kernels write must not be worse.

struct Plain {
    span: usize,
    levels: Vec<f64>,
    /// Levels begin at the least value of a span, or at zero if that is less.
    has_min: bool,
}

fn plain(name: &str) -> Plain {
    let whole = |low: i32, high: i32| (low..=high).map(f64::from).collect();
    let uneven = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
    let (span, levels, has_min) = match name {
        "q4_0" => (32, whole(-8, 7), false),
        "q5_0" => (32, whole(-16, 15), false),
        "q8_0" => (32, whole(-127, 127), false),
        "q4_1" | "q4_k" => (32, whole(0, 15), true),
        "q5_1" | "q5_k" => (32, whole(0, 31), true),
        "q2_k" => (16, whole(0, 3), true),
        "q3_k" => (16, whole(-4, 3), false),
        "q6_k" => (16, whole(-32, 31), false),
        "iq4_nl" | "iq4_xs" => (32, uneven.into_iter().map(f64::from).collect(), false),
        "mxfp4" => {
            let halves = [-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12];
            (32, halves.into_iter().map(f64::from).collect(), false)
        }
        // The two formats of three levels.
        _ => (256, whole(-1, 1), false),
    };
    Plain { span, levels, has_min }
}

/// The relative error of rounding plainly.
pub(crate) fn plain_error(name: &str, values: &[f32]) -> f64 {
    let plain = plain(name);
    let values: Vec<f64> = values.iter().copied().map(f64::from).collect();
    let error: f64 = values.chunks(plain.span).map(|span| plain.span_error(name, span)).sum();
    (error / values.iter().map(|value| value * value).sum::<f64>()).sqrt()
}

impl Plain {
    fn span_error(&self, name: &str, span: &[f64]) -> f64 {
        let (first, last) = (self.levels[0], self.levels[self.levels.len() - 1]);
        let most = span.iter().fold(0.0_f64, |a, b| if a.abs() < b.abs() { *b } else { a });
        let [least, greatest] = span.iter().fold([0.0_f64; 2], |[a, b], x| [a.min(*x), b.max(*x)]);
        let (base, scale) = match name {
            _ if self.has_min => (least, (greatest - least) / last),
            "mxfp4" => (0.0, (most.abs().log2().floor() - 3.0).exp2()),
            _ => (0.0, most / first),
        };
        let nearest = |value: f64| {
            let distances = self.levels.iter().map(|level| (base + scale * level - value).abs());
            distances.fold(f64::MAX, f64::min)
        };
        span.iter().map(|value| nearest(*value).powi(2)).sum()
    }
}
