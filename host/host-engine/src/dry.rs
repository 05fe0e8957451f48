//! DRY ("don't repeat yourself"): finds tokens that would go on with what the text said before.
//!
//! Where the end of the text also stands earlier in it, the token that came next there gets a
//! penalty that grows with the length of what both places share. One pass of the Z-algorithm over
//! the reversed text finds these lengths for all places, so a token costs the same however much the
//! text repeats itself. It changes no logit itself, and knows tokens only: which of them break a
//! repetition is decided where text is known.

use std::sync::Arc;

use crate::TokenId;
use crate::constraint::TokenSet;

/// A penalty on repetitions.
#[derive(Debug, Clone, PartialEq)]
pub struct Dry {
    /// Taken from the logit of a token that goes on with a repetition of `allowed_length` tokens.
    pub multiplier: f32,
    /// The penalty is so many times as high for each further token; at least 1.
    pub base: f32,
    /// Shorter repetitions cost nothing; at least 1.
    pub allowed_length: usize,
    /// How many of the last tokens are looked at.
    pub last_n: usize,
    /// Where a repetition ends.
    pub breakers: Arc<Breakers>,
}

/// What no repetition reaches beyond.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Breakers {
    /// Tokens that are or hold a breaker.
    pub tokens: TokenSet,
    /// Breakers that are several tokens.
    pub sequences: Vec<BreakerSequence>,
}

/// A breaker of several tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerSequence {
    /// Tokens of which one comes first, in rising order.
    pub heads: Vec<TokenId>,
    /// The others.
    pub tail: Vec<TokenId>,
}

impl Breakers {
    /// Whether a text ends with a breaker.
    fn end(&self, text: &[TokenId]) -> bool {
        let ends = |sequence: &BreakerSequence| {
            let head = text.strip_suffix(sequence.tail.as_slice()).and_then(|rest| rest.last());
            head.is_some_and(|head| sequence.heads.binary_search(head).is_ok())
        };
        text.last().is_some_and(|last| self.tokens.contains(*last))
            || self.sequences.iter().any(ends)
    }

    /// How many tokens come after the last breaker.
    fn tokens_after(&self, text: &[TokenId]) -> usize {
        (0..text.len()).find(|after| self.end(&text[..text.len() - after])).unwrap_or(text.len())
    }
}

impl Dry {
    /// Names, values and ranges, as the check of the parameters wants them.
    pub(crate) fn ranges(&self) -> [(&'static str, f32, bool, &'static str); 3] {
        let length = self.allowed_length as f32;
        [
            ("dry_multiplier", self.multiplier, self.multiplier >= 0.0, "0 or more"),
            ("dry_base", self.base, self.base >= 1.0, "1 or more"),
            ("dry_allowed_length", length, self.allowed_length >= 1, "1 or more"),
        ]
    }

    fn penalty(&self, length: u32) -> f32 {
        // By squaring, for the same bits on every machine.
        let mut exponent = length as usize - self.allowed_length;
        let (mut penalty, mut power) = (f64::from(self.multiplier), f64::from(self.base));
        while exponent > 0 {
            if exponent % 2 == 1 {
                penalty *= power;
            }
            power *= power;
            exponent /= 2;
        }
        // Not infinite: a token that alone is allowed must stay possible.
        penalty.min(f64::from(f32::MAX)) as f32
    }
}

/// Buffers of the search.
#[derive(Debug, Default)]
pub(crate) struct Repetitions {
    /// Length that the text's end shares with what ends so many tokens before it.
    shared: Vec<u32>,
    /// The longest repetition that a token goes on with; all zero between calls.
    longest: Vec<u32>,
    tokens: Vec<TokenId>,
}

impl Repetitions {
    /// Calls `penalise` once for each token that goes on with a repetition, with its penalty.
    pub(crate) fn each(
        &mut self,
        dry: &Dry,
        history: &[TokenId],
        vocab_size: usize,
        mut penalise: impl FnMut(TokenId, f32),
    ) {
        let text = &history[history.len().saturating_sub(dry.last_n)..];
        let reach = dry.breakers.tokens_after(text);
        if reach < dry.allowed_length {
            return;
        }
        self.measure(text);
        self.longest.resize(vocab_size, 0);
        // The token after what ends `back` tokens before the end.
        let followers = text.iter().rev().zip(&self.shared[1..]);
        for (&token, &shared) in followers {
            let length = shared.min(reach as u32);
            if length as usize >= dry.allowed_length {
                let longest = &mut self.longest[token as usize];
                if *longest == 0 {
                    self.tokens.push(token);
                }
                *longest = length.max(*longest);
            }
        }
        for token in self.tokens.drain(..) {
            let length = std::mem::take(&mut self.longest[token as usize]);
            penalise(token, dry.penalty(length));
        }
    }

    /// The Z-algorithm, from the end backwards.
    fn measure(&mut self, text: &[TokenId]) {
        let count = text.len();
        let at = |back: usize| text[count - 1 - back];
        let shared = &mut self.shared;
        shared.clear();
        shared.resize(count, 0);
        // What lies between these two is known to equal the end.
        let (mut from, mut to) = (0, 0);
        for back in 1..count {
            let mut length =
                if back < to { (shared[back - from] as usize).min(to - back) } else { 0 };
            while back + length < count && at(length) == at(back + length) {
                length += 1;
            }
            shared[back] = length as u32;
            if back + length > to {
                (from, to) = (back, back + length);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::{BreakerSequence, Breakers, Dry, Repetitions};
    use crate::constraint::TokenSet;

    fn dry(breakers: Breakers) -> Dry {
        let breakers = Arc::new(breakers);
        Dry { multiplier: 0.5, base: 2.0, allowed_length: 2, last_n: usize::MAX, breakers }
    }

    fn penalties(dry: &Dry, text: &[u32]) -> Vec<(u32, f32)> {
        let mut found = Vec::new();
        Repetitions::default().each(dry, text, 10, |token, penalty| found.push((token, penalty)));
        found.sort_by_key(|(token, _)| *token);
        found
    }

    fn broken_by(token: u32) -> Breakers {
        let mut tokens = TokenSet::default();
        tokens.set_words(&[1 << token]);
        Breakers { tokens, sequences: Vec::new() }
    }

    #[test]
    fn the_penalty_grows_with_what_is_repeated() {
        let any = dry(Breakers::default());
        // `2 3` came before 4 and, with `1` before it, before 5.
        assert_eq!(penalties(&any, &[2, 3, 4, 1, 2, 3, 5, 1, 2, 3]), [(4, 0.5), (5, 1.0)]);
        assert_eq!(penalties(&any, &[1, 3, 4, 3]), [], "one token is no repetition yet");
        assert_eq!(penalties(&any, &[7, 7, 7, 7]), [(7, 1.0)], "places may overlap");
        assert_eq!(penalties(&any, &[]), []);
        assert_eq!(penalties(&any, &[7]), []);
    }

    #[test]
    fn only_the_last_tokens_are_looked_at() {
        let text = [1, 2, 3, 9, 1, 2];
        for (last_n, expected) in [(6, vec![(3, 0.5)]), (5, vec![]), (0, vec![])] {
            let dry = Dry { last_n, ..dry(Breakers::default()) };
            assert_eq!(penalties(&dry, &text), expected, "{last_n}");
        }
    }

    #[test]
    fn a_breaker_ends_a_repetition() {
        let text = [1, 2, 3, 4, 1, 2, 3];
        assert_eq!(penalties(&dry(Breakers::default()), &text), [(4, 1.0)]);
        assert_eq!(penalties(&dry(broken_by(1)), &text), [(4, 0.5)]);
        assert_eq!(penalties(&dry(broken_by(2)), &text), []);
        assert_eq!(penalties(&dry(broken_by(3)), &text), []);
        let sequence = |heads: &[u32], tail: &[u32]| Breakers {
            tokens: TokenSet::default(),
            sequences: vec![BreakerSequence { heads: heads.to_vec(), tail: tail.to_vec() }],
        };
        assert_eq!(penalties(&dry(sequence(&[4, 8], &[1])), &text), [(4, 0.5)]);
        assert_eq!(penalties(&dry(sequence(&[5, 8], &[1])), &text), [(4, 1.0)]);
        assert_eq!(penalties(&dry(sequence(&[1], &[2, 3])), &text), []);
    }

    #[test]
    fn a_long_repetition_stays_finite() {
        let penalties = penalties(&dry(Breakers::default()), &[3; 5000]);
        assert_eq!(penalties, [(3, f32::MAX)]);
    }

    proptest! {
        #[test]
        fn each_place_is_found(text in prop::collection::vec(0_u32..3, 0..60), broken in 0_u32..4) {
            let dry = dry(broken_by(broken));
            let reach = text.iter().rev().take_while(|token| **token != broken).count();
            let mut longest = [0; 3];
            for next in 1..text.len() {
                let pairs = text[..next].iter().rev().zip(text.iter().rev());
                let length = pairs.take_while(|(a, b)| a == b).count().min(reach);
                let longest = &mut longest[text[next] as usize];
                *longest = length.max(*longest);
            }
            let expected: Vec<_> = (0..)
                .zip(longest)
                .filter(|(_, length)| *length >= 2)
                .map(|(token, length)| (token, 0.5 * 2.0_f32.powi(length as i32 - 2)))
                .collect();
            prop_assert_eq!(penalties(&dry, &text), expected);
        }
    }
}
