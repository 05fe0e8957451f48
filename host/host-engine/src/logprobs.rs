//! Logprobs: the log-softmax of the raw logits, for the chosen token and the most likely ones.
//!
//! Clients use them to score text, so they describe the model and not the sampler: temperature,
//! penalties and bias leave them alone. The sum runs over the whole row. Nothing here chooses.

use crate::TokenId;
use crate::selection::{Candidate, argmax, cleaned, largest};
use crate::softmax::Scale;

/// Logprobs at one position.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprobs {
    /// The token that stands at the position.
    pub token: TokenId,
    /// Its logprob; -inf if the model gave it NaN or -inf.
    pub logprob: f32,
    /// The most likely tokens, best first, as many as asked for; `token` need not be among them.
    pub top: Vec<TopLogprob>,
}

/// One of the most likely tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TopLogprob {
    /// The token.
    pub token: TokenId,
    /// Its logprob.
    pub logprob: f32,
}

/// Scores `token` against its row of logits; none if no logit is finite.
pub(crate) fn score(
    logits: &[f32],
    token: TokenId,
    top_count: u8,
    scratch: &mut Vec<Candidate>,
) -> Option<TokenLogprobs> {
    let max = argmax(logits)?.logit;
    let sum = Scale { max, temperature: 1.0 }.total(logits);
    let max = f64::from(max);
    // The maximum is taken off first: added to the logarithm, a huge one would swallow it.
    let log_sum = sum.ln();
    let logprob = |logit: f32| (f64::from(logit) - max - log_sum) as f32;
    largest(logits, usize::from(top_count), scratch);
    let top = scratch
        .iter()
        .map(|candidate| TopLogprob { token: candidate.token, logprob: logprob(candidate.logit) })
        .collect();
    Some(TokenLogprobs { token, logprob: logprob(cleaned(logits[token as usize])), top })
}

#[cfg(test)]
mod tests {
    use super::score;

    fn naive(logits: &[f32]) -> Vec<f64> {
        let clean = |x: &f32| if x.is_nan() { f64::NEG_INFINITY } else { f64::from(*x) };
        let sum: f64 = logits.iter().map(|x| clean(x).exp()).sum();
        logits.iter().map(|x| (clean(x).exp() / sum).ln()).collect()
    }

    fn check(logits: &[f32], top: &[u32]) {
        let expected = naive(logits);
        for token in 0..logits.len() {
            let found = score(logits, token as u32, top.len() as u8, &mut Vec::new())
                .expect("a finite logit");
            let close = |a: f32, b: f64| a == b as f32 || (f64::from(a) - b).abs() < 1e-5;
            assert!(close(found.logprob, expected[token]), "{token}: {found:?} {expected:?}");
            assert_eq!(found.top.iter().map(|top| top.token).collect::<Vec<_>>(), top);
            for entry in found.top {
                assert!(close(entry.logprob, expected[entry.token as usize]), "{entry:?}");
            }
        }
    }

    #[test]
    fn logprobs_equal_the_naive_log_softmax() {
        check(&[0.0, 1.0, 2.0, 3.0], &[3, 2]);
        check(&[-1.5, 0.25, -7.0, 0.25, 3.0], &[4, 1, 3, 0, 2]);
        check(&[5.0], &[0]);
        check(&[2.0, 2.0, 2.0], &[0, 1]);
    }

    #[test]
    fn nan_and_minus_infinity_have_no_probability() {
        check(&[f32::NAN, 1.0, f32::NEG_INFINITY, 2.0], &[3, 1]);
        let found = score(&[f32::NAN, 1.0], 0, 5, &mut Vec::new()).expect("a finite logit");
        assert_eq!(found.logprob, f32::NEG_INFINITY);
        assert_eq!(found.top.len(), 1);
        assert_eq!(score(&[f32::NAN, f32::NEG_INFINITY], 1, 1, &mut Vec::new()), None);
    }

    #[test]
    fn huge_logits_do_not_overflow() {
        let found = score(&[3e38, 3e38, -3e38], 0, 0, &mut Vec::new()).expect("a finite logit");
        assert!((found.logprob - 0.5_f32.ln()).abs() < 1e-6, "{found:?}");
        let found = score(&[f32::INFINITY, 0.0], 0, 0, &mut Vec::new()).expect("a finite logit");
        assert_eq!(found.logprob, 0.0);
    }
}
