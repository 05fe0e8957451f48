//! What a sequence may say next, decided by a grammar that the engine does not know.
//!
//! Tokens that may not come are out before any other choice, so what is sampled is always allowed.
//! A set of tokens is a bit for each, which is how grammar libraries give it and how it is laid over
//! a row of logits thirty-two at a time.

use std::fmt::Debug;

use crate::TokenId;

/// A rule that every token of a completion keeps.
pub trait Constraint: Debug + Send {
    /// Puts the tokens that may come next into `allowed`, which may hold anything before; false if
    /// every token may come, and `allowed` means nothing.
    ///
    /// # Errors
    /// The rule cannot be followed any further, in words for the client who set it.
    fn allow(&mut self, allowed: &mut TokenSet) -> Result<bool, String>;

    /// Takes the token that was chosen of them; whether the completion ends with it.
    ///
    /// # Errors
    /// As [`Constraint::allow`].
    fn accept(&mut self, token: TokenId) -> Result<bool, String>;

    /// The same rule in the same state.
    fn boxed_clone(&self) -> Box<dyn Constraint>;
}

impl Clone for Box<dyn Constraint> {
    fn clone(&self) -> Self {
        (**self).boxed_clone()
    }
}

const WORD_BITS: usize = u32::BITS as usize;

/// Tokens of a vocabulary, a bit each.
#[derive(Debug, Clone, Default)]
pub struct TokenSet {
    words: Vec<u32>,
}

impl TokenSet {
    /// Becomes the set of these bits: token `t` is bit `t % 32` of word `t / 32`.
    pub fn set_words(&mut self, words: &[u32]) {
        self.words.clear();
        self.words.extend_from_slice(words);
    }

    /// Whether a token is in the set.
    pub fn contains(&self, token: TokenId) -> bool {
        let token = token as usize;
        self.words.get(token / WORD_BITS).is_some_and(|word| word >> (token % WORD_BITS) & 1 == 1)
    }

    /// Copies the logits of the tokens in the set and puts minus infinity for all others.
    pub(crate) fn mask(&self, logits: &[f32], masked: &mut Vec<f32>) {
        masked.clear();
        let words = self.words.iter().copied().chain(std::iter::repeat(0));
        for (logits, word) in logits.chunks(WORD_BITS).zip(words) {
            match word {
                0 => masked.resize(masked.len() + logits.len(), f32::NEG_INFINITY),
                u32::MAX => masked.extend_from_slice(logits),
                _ => masked.extend(logits.iter().enumerate().map(|(bit, logit)| {
                    if word >> bit & 1 == 1 { *logit } else { f32::NEG_INFINITY }
                })),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TokenSet;

    #[test]
    fn only_tokens_of_the_set_keep_their_logits() {
        let logits: Vec<f32> = (0..130).map(|token| token as f32).collect();
        let mut set = TokenSet::default();
        // The last word is missing, as if the vocabulary were shorter than the row.
        set.set_words(&[u32::MAX, 0, 0b1001]);
        let mut masked = vec![7.0];
        set.mask(&logits, &mut masked);
        assert_eq!(masked.len(), logits.len());
        for (token, logit) in (0..).zip(&masked) {
            let inside = token < 32 || token == 64 || token == 67;
            assert_eq!(set.contains(token), inside);
            assert_eq!(*logit, if inside { token as f32 } else { f32::NEG_INFINITY });
        }
    }
}
