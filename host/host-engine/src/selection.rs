//! Finds the largest of a row of logits without sorting the row.
//!
//! A vocabulary has 150,000 entries and a client wants the best one or the best twenty; these are
//! single passes with a small buffer. Ties go to the lower token id everywhere, so that results do
//! not depend on the algorithm. It knows no probabilities and no parameters.

use std::cmp::Ordering;

use crate::TokenId;

/// Logits looked at together, so that the compiler can keep them in few registers.
const LANES: usize = 16;

/// A token and its logit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) token: TokenId,
    pub(crate) logit: f32,
}

/// The logit as the sampler sees it: NaN can never be chosen, +inf is the largest finite number so
/// that differences stay numbers, and -0 equals 0.
pub(crate) fn cleaned(logit: f32) -> f32 {
    if logit.is_nan() { f32::NEG_INFINITY } else { logit.min(f32::MAX) + 0.0 }
}

/// The largest logit, the lowest token if several have it; none if all are NaN or -inf.
pub(crate) fn argmax(logits: &[f32]) -> Option<Candidate> {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = logits.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &logit) in lanes.iter_mut().zip(chunk) {
            // A comparison with NaN is false, which is what is wanted.
            *lane = if logit > *lane { logit } else { *lane };
        }
    }
    let best = lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |best, &x| best.max(x));
    if best == f32::NEG_INFINITY {
        return None;
    }
    let best = cleaned(best);
    let token = logits.iter().position(|&logit| logit >= best)?;
    Some(Candidate { token: token as TokenId, logit: best })
}

/// The `count` largest logits in falling order; fewer if fewer are neither NaN nor -inf.
pub(crate) fn largest(logits: &[f32], count: usize, out: &mut Vec<Candidate>) {
    out.clear();
    if count == 0 {
        return;
    }
    // When the buffer holds twice as many as wanted, the worse half goes and its best becomes the
    // floor: most of a row is then passed over by one comparison.
    let capacity = count.saturating_mul(2).max(64);
    let mut floor = f32::NEG_INFINITY;
    for (chunk, first) in logits.chunks(LANES).zip((0..).step_by(LANES)) {
        // Without a way out, so that the compiler compares many at once. NaN is above nothing.
        if !chunk.iter().fold(false, |any, &logit| any | (logit > floor)) {
            continue;
        }
        for (token, &logit) in (first..).zip(chunk) {
            let logit = cleaned(logit);
            // Equal to the floor loses too: its token id is higher than those already held.
            if logit <= floor {
                continue;
            }
            out.push(Candidate { token, logit });
            if out.len() == capacity {
                out.select_nth_unstable_by(count - 1, better_first);
                out.truncate(count);
                floor = out[count - 1].logit;
            }
        }
    }
    if out.len() > count {
        out.select_nth_unstable_by(count - 1, better_first);
        out.truncate(count);
    }
    out.sort_unstable_by(better_first);
}

/// The order of candidates: falling logits, then rising tokens.
pub(crate) fn better_first(a: &Candidate, b: &Candidate) -> Ordering {
    b.logit.total_cmp(&a.logit).then(a.token.cmp(&b.token))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Candidate, argmax, cleaned, largest};

    fn naive(logits: &[f32], count: usize) -> Vec<Candidate> {
        let mut all: Vec<Candidate> = (0..)
            .zip(logits)
            .map(|(token, &logit)| Candidate { token, logit: cleaned(logit) })
            .filter(|candidate| candidate.logit > f32::NEG_INFINITY)
            .collect();
        // Stable: ties keep the order of tokens.
        all.sort_by(|a, b| b.logit.total_cmp(&a.logit));
        all.truncate(count);
        all
    }

    fn check(logits: &[f32], count: usize) {
        let mut found = Vec::new();
        largest(logits, count, &mut found);
        assert_eq!(found, naive(logits, count), "{count} of {logits:?}");
        assert_eq!(argmax(logits), naive(logits, 1).first().copied(), "argmax of {logits:?}");
    }

    fn logit() -> impl Strategy<Value = f32> {
        prop_oneof![
            // Few values, so that ties are common.
            8 => (-3_i8..4).prop_map(f32::from),
            8 => -50.0_f32..50.0,
            1 => Just(f32::NAN),
            1 => Just(f32::NEG_INFINITY),
            1 => Just(f32::INFINITY),
            1 => Just(f32::MAX),
            1 => Just(-0.0),
        ]
    }

    proptest! {
        #[test]
        fn largest_equals_a_stable_sort(
            logits in prop::collection::vec(logit(), 1..600),
            count in 0_usize..200,
        ) {
            check(&logits, count);
        }
    }

    #[test]
    fn nothing_is_found_where_nothing_is_finite() {
        check(&[f32::NAN, f32::NEG_INFINITY, f32::NAN], 2);
        check(&[f32::NAN; 40], 2);
        check(&[], 1);
    }

    #[test]
    fn ties_go_to_the_lower_token() {
        check(&[1.0; 200], 70);
        check(&[0.0, -0.0, 0.0], 2);
        check(&[-0.0, 0.0], 1);
    }
}
