//! Locally typical sampling (Meister et al. 2022): keeps the tokens whose surprise is nearest to
//! what the row lets expect.
//!
//! The surprise of a token is minus its log-probability and the expected one is the row's entropy;
//! in their difference the normalisation falls out, so logits over temperature are enough. The
//! selection is that of the largest logits, over nearness. It draws nothing.

use crate::selection::{Candidate, better_first, cleaned, largest};
use crate::softmax::Scale;

/// Tokens that are looked at first; eight times as many follow while too few.
const FIRST: usize = 64;

/// Buffer of the selection.
#[derive(Debug, Default)]
pub(crate) struct Typical {
    nearness: Vec<f32>,
}

impl Typical {
    /// The fewest most typical logits whose probabilities reach `typical_p` together, the most
    /// likely first, with their places in the row for tokens.
    pub(crate) fn keep(
        &mut self,
        logits: &[f32],
        scale: Scale,
        typical_p: f32,
        kept: &mut Vec<Candidate>,
    ) {
        let total = self.compare(logits, scale);
        let wanted = f64::from(typical_p) * total;
        let mut count = FIRST;
        loop {
            largest(&self.nearness, count, kept);
            let all = kept.len() < count;
            for candidate in kept.iter_mut() {
                candidate.logit = cleaned(logits[candidate.token as usize]);
            }
            let enough = count_until(kept, scale, wanted);
            if all || enough < kept.len() {
                kept.truncate(enough);
                break;
            }
            count = count.saturating_mul(8);
        }
        kept.sort_unstable_by(better_first);
    }

    /// Writes how near each logit is to the expected one; returns the sum of the weights.
    fn compare(&mut self, logits: &[f32], scale: Scale) -> f64 {
        let (mut total, mut sum) = (0.0, 0.0);
        for &logit in logits {
            let weight = f64::from(scale.weight(logit));
            if weight > 0.0 {
                total += weight;
                sum += weight * f64::from(scale.exponent(logit));
            }
        }
        let expected = sum / total;
        self.nearness.clear();
        self.nearness.extend(logits.iter().map(|&logit| {
            if scale.weight(logit) > 0.0 {
                -(f64::from(scale.exponent(logit)) - expected).abs() as f32
            } else {
                f32::NEG_INFINITY
            }
        }));
        total
    }
}

/// How many of the first candidates reach the sum of weights; at least one.
fn count_until(candidates: &[Candidate], scale: Scale, wanted: f64) -> usize {
    let mut reached = 0.0;
    for (index, candidate) in candidates.iter().enumerate() {
        reached += f64::from(scale.weight(candidate.logit));
        if reached >= wanted {
            return index + 1;
        }
    }
    candidates.len()
}

#[cfg(test)]
mod tests {
    use super::Typical;
    use crate::softmax::Scale;

    fn kept(probabilities: &[f64], typical_p: f32) -> Vec<u32> {
        let logits: Vec<f32> = probabilities.iter().map(|p| p.ln() as f32).collect();
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut kept = Vec::new();
        let scale = Scale { max, temperature: 1.0 };
        Typical::default().keep(&logits, scale, typical_p, &mut kept);
        kept.into_iter().map(|candidate| candidate.token).collect()
    }

    #[test]
    fn the_nearest_to_the_entropy_are_kept() {
        // The entropy is 1.22 and the surprises are 0.69, 1.61, 1.61 and 2.30: 0.2 is nearest (0.39
        // away), then 0.5 (0.53), then 0.1 (1.08).
        let row = [0.5, 0.2, 0.2, 0.1];
        assert_eq!(kept(&row, 0.0), [1]);
        assert_eq!(kept(&row, 0.3), [1, 2]);
        assert_eq!(kept(&row, 0.5), [0, 1, 2]);
        assert_eq!(kept(&row, 0.95), [0, 1, 2, 3]);
    }

    #[test]
    fn a_flat_row_is_typical_all_over() {
        // More than the first look holds.
        assert_eq!(kept(&[0.001; 1000], 0.5), (0..500).collect::<Vec<_>>());
    }

    #[test]
    fn what_cannot_be_chosen_is_not_typical() {
        let mut kept = Vec::new();
        let scale = Scale { max: f32::MAX, temperature: 1.0 };
        let row = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, f32::MAX];
        Typical::default().keep(&row, scale, 1.0, &mut kept);
        let tokens: Vec<u32> = kept.into_iter().map(|candidate| candidate.token).collect();
        assert_eq!(tokens, [1, 4]);
    }
}
