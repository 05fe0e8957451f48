//! Logits to weights: probabilities up to a factor, 1 for the most likely token.
//!
//! A vocabulary has 150,000 entries and the sampler weighs all of them for each token, so the
//! exponential is a polynomial that the compiler can compute for many lanes at once. It is made of
//! additions and multiplications in a fixed order, without fused ones: the bits are the same on
//! every machine. It does not choose.

use std::f32::consts::LOG2_E;
use std::f64::consts::LN_2;

/// Weights that are summed in single precision side by side before the sum is widened.
const LANES: usize = 16;

/// Weights of a block, whose sum is kept so that a draw need not add up all that are before it.
const BLOCK: usize = 256;

/// Below this a weight is 0: less than 2^-125 of the most likely token's.
const EXPONENT_MIN: f32 = -87.0;

/// Adding it rounds to a whole number, which is then in the low bits.
const SHIFT: f32 = 12_582_912.0;

/// The logarithm of 2 in two parts; whole numbers up to 126 times the first are exact.
const LN_2_HIGH: f32 = 355.0 / 512.0;
const LN_2_LOW: f32 = (LN_2 - LN_2_HIGH as f64) as f32;

/// How logits are turned to weights.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// The largest logit.
    pub(crate) max: f32,
    pub(crate) temperature: f32,
}

impl Scale {
    /// The weight of a logit; NaN weighs nothing, infinity as much as the largest.
    #[inline]
    pub(crate) fn weight(self, logit: f32) -> f32 {
        exp(self.exponent(logit))
    }

    /// The logarithm of that weight.
    #[inline]
    pub(crate) fn exponent(self, logit: f32) -> f32 {
        // Divided, not multiplied by 1 / temperature, which can be infinite.
        let exponent = (logit - self.max) / self.temperature;
        if exponent > 0.0 { 0.0 } else { exponent }
    }

    /// Sum of the weights of all logits.
    pub(crate) fn total(self, logits: &[f32]) -> f64 {
        logits.chunks(BLOCK).map(|block| sum(block, |logit| self.weight(logit))).sum()
    }
}

/// Weights in the order of tokens or of candidates, and what they add up to.
#[derive(Debug, Default)]
pub(crate) struct Weights {
    weights: Vec<f32>,
    /// Of each block.
    sums: Vec<f64>,
}

impl Weights {
    /// Weighs all logits; weights below `weight_min` become 0.
    pub(crate) fn weigh(&mut self, logits: &[f32], scale: Scale, weight_min: f32) {
        self.take(logits.iter().map(|&logit| {
            let weight = scale.weight(logit);
            if weight < weight_min { 0.0 } else { weight }
        }));
    }

    /// Takes weights as they come.
    #[inline]
    pub(crate) fn take(&mut self, weights: impl Iterator<Item = f32>) {
        self.weights.clear();
        self.weights.extend(weights);
        self.add_up();
    }

    /// Keeps the first `count`.
    pub(crate) fn truncate(&mut self, count: usize) {
        self.weights.truncate(count);
        self.add_up();
    }

    /// XTC: of the weights that are at least this share of the total, drops all but the smallest,
    /// the last of equal ones.
    pub(crate) fn exclude_top(&mut self, threshold: f32) {
        let total = self.total();
        // As the threshold is rounded, or a share that equals it would not.
        let is_top = |weight: f32| weight > 0.0 && (f64::from(weight) / total) as f32 >= threshold;
        let top = self.weights.iter().copied().enumerate().filter(|(_, weight)| is_top(*weight));
        let Some((spared, _)) = top.min_by(|(i, a), (j, b)| a.total_cmp(b).then(j.cmp(i))) else {
            return;
        };
        for (index, weight) in self.weights.iter_mut().enumerate() {
            if index != spared && is_top(*weight) {
                *weight = 0.0;
            }
        }
        self.add_up();
    }

    pub(crate) fn as_slice(&self) -> &[f32] {
        &self.weights
    }

    pub(crate) fn total(&self) -> f64 {
        self.sums.iter().sum()
    }

    /// Index of the weight in which the fraction `unit` of the total falls.
    pub(crate) fn pick(&self, unit: f64) -> usize {
        let target = unit * self.total();
        let (mut chosen, mut before, mut reached) = (0, 0.0, 0.0);
        for (block, &sum) in self.sums.iter().enumerate() {
            if sum > 0.0 {
                (chosen, before) = (block, reached);
                reached += sum;
                if reached > target {
                    break;
                }
            }
        }
        let first = chosen * BLOCK;
        let end = self.weights.len().min(first + BLOCK);
        first + pick_within(&self.weights[first..end], target - before)
    }

    fn add_up(&mut self) {
        self.sums.clear();
        self.sums.extend(self.weights.chunks(BLOCK).map(|block| sum(block, |weight| weight)));
    }
}

/// Index of the weight with which the sum passes `target`; the last one with a weight where rounding
/// left the target beyond the sum.
fn pick_within(weights: &[f32], target: f64) -> usize {
    let mut reached = 0.0;
    let mut last = 0;
    for (index, &weight) in weights.iter().enumerate() {
        if weight > 0.0 {
            reached += f64::from(weight);
            last = index;
            if reached > target {
                break;
            }
        }
    }
    last
}

/// Sum over a block.
#[inline]
fn sum(block: &[f32], weight: impl Fn(f32) -> f32) -> f64 {
    let mut lanes = [0.0_f32; LANES];
    let (chunks, rest) = block.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += weight(value);
        }
    }
    let rest = rest.iter().map(|&value| weight(value));
    lanes.into_iter().chain(rest).map(f64::from).sum()
}

/// The exponential of a number that is not above 0; 0 for NaN.
#[inline]
fn exp(x: f32) -> f32 {
    let x = if x > 0.0 { 0.0 } else { x };
    let bounded = if x > EXPONENT_MIN { x } else { EXPONENT_MIN };
    // 2^n * e^r, with r at most half the logarithm of 2.
    let shifted = bounded * LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    let r = (bounded - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut power = 1.0 / 720.0;
    for factor in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        power = power * r + factor;
    }
    let two_to_n = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    if x > EXPONENT_MIN { power * two_to_n } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Scale, Weights, exp};

    #[test]
    fn the_exponential_is_right_to_a_few_bits() {
        assert_eq!((exp(0.0), exp(-0.0), exp(f32::INFINITY)), (1.0, 1.0, 1.0));
        assert_eq!((exp(f32::NAN), exp(f32::NEG_INFINITY), exp(-88.0)), (0.0, 0.0, 0.0));
        for step in 0..1_000_000 {
            let x = -86.9 * step as f32 / 1e6;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found / expected - 1.0).abs() < 3e-7, "{x}: {found}, wanted {expected}");
        }
    }

    #[test]
    fn its_bits_are_the_same_everywhere() {
        let bits = [-1e-3_f32, -0.5, -1.0, -7.25, -30.0, -86.5].map(|x| exp(x).to_bits());
        let expected =
            [1_065_336_447, 1_058_751_896, 1_052_531_378, 976_890_624, 701_675_270, 18_070_644];
        assert_eq!(bits, expected);
    }

    fn weights(list: &[f32]) -> Weights {
        let mut weights = Weights::default();
        weights.take(list.iter().copied());
        weights
    }

    #[test]
    fn a_fraction_falls_in_its_weight() {
        let list: Vec<f32> = (0..2 * BLOCK + 10).map(|index| (index % 3) as f32).collect();
        let weights = weights(&list);
        let total: f32 = list.iter().sum();
        assert_eq!(weights.total(), f64::from(total));
        // All sums are whole numbers here, so none is rounded.
        let mut reached = 0.0;
        for (index, &weight) in list.iter().enumerate() {
            if weight > 0.0 {
                assert_eq!(weights.pick((reached + 0.5) / f64::from(total)), index);
                reached += f64::from(weight);
            }
        }
    }

    #[test]
    fn of_the_top_the_smallest_is_left() {
        let check = |threshold, expected: [f32; 5]| {
            let mut weights = weights(&[1.0, 4.0, 2.5, 2.0, 0.5]);
            weights.exclude_top(threshold);
            assert_eq!(weights.as_slice(), expected, "{threshold}");
            assert_eq!(weights.total(), expected.iter().copied().map(f64::from).sum::<f64>());
        };
        check(0.5, [1.0, 4.0, 2.5, 2.0, 0.5]);
        check(0.4, [1.0, 4.0, 2.5, 2.0, 0.5]);
        check(0.25, [1.0, 0.0, 2.5, 2.0, 0.5]);
        check(0.2, [1.0, 0.0, 0.0, 2.0, 0.5]);
        check(0.0, [0.0, 0.0, 0.0, 0.0, 0.5]);
        let mut equal = weights(&[0.0, 2.0, 2.0, 0.0]);
        equal.exclude_top(0.1);
        assert_eq!(equal.as_slice(), [0.0, 0.0, 2.0, 0.0]);
    }

    #[test]
    fn what_weighs_nothing_is_never_picked() {
        let mut list = vec![0.0; 3 * BLOCK];
        list[BLOCK + 7] = 0.25;
        for unit in [0.0, 0.5, 1.0 - f64::EPSILON, 1.0] {
            assert_eq!(weights(&list).pick(unit), BLOCK + 7, "{unit}");
        }
    }

    #[test]
    fn the_total_is_that_of_the_weights() {
        let logits: Vec<f32> = (0..1000).map(|index| (index * 37 % 101) as f32 * 0.1).collect();
        let scale = Scale { max: 10.0, temperature: 0.7 };
        let mut weights = Weights::default();
        weights.weigh(&logits, scale, 0.0);
        let exact: f64 = logits.iter().map(|x| ((f64::from(*x) - 10.0) / 0.7).exp()).sum();
        assert!((weights.total() / exact - 1.0).abs() < 1e-6);
        assert_eq!(scale.total(&logits), weights.total());
    }
}
