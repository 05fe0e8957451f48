//! Breakers of repetitions (DRY): from the texts of a request to tokens.
//!
//! A breaker may be a token, lie inside one, or begin at the end of one and go on in the next; every
//! token of the vocabulary is looked at for that, once for each list of breakers, and the last lists
//! are kept: clients send the same one with each request. It must not know HTTP.

use std::sync::Arc;

use host_engine::{BreakerSequence, Breakers, TokenId, TokenSet};
use host_metrics::LockMetrics;
use host_model::{Tokenizer, TokenizerError};

use crate::limits::BREAKER_LISTS_KEPT_MAX;
use crate::recent::Recent;

/// What usually breaks a repetition.
pub const BREAKERS_DEFAULT: [&str; 4] = ["\n", ":", "\"", "*"];

/// Finds the breakers of one model.
#[derive(Debug)]
pub(crate) struct BreakerFinder {
    tokenizer: Tokenizer,
    recent: Recent<Vec<String>, Arc<Breakers>>,
}

impl BreakerFinder {
    pub(crate) fn new(tokenizer: &Tokenizer) -> Self {
        let recent = Recent::new(BREAKER_LISTS_KEPT_MAX, LockMetrics::default());
        Self { tokenizer: tokenizer.clone(), recent }
    }

    /// The tokens of these breakers.
    pub(crate) fn find(&self, texts: &[String]) -> Result<Arc<Breakers>, TokenizerError> {
        self.recent.find_or_make(
            |others| others == texts,
            || texts.to_vec(),
            || self.search(texts).map(Arc::new),
        )
    }

    fn search(&self, texts: &[String]) -> Result<Breakers, TokenizerError> {
        // Where a breaker can be cut: what one token ends with, and what is to follow.
        let cuts: Vec<(&str, &str)> = texts.iter().flat_map(|text| cuts(text)).collect();
        let mut heads = vec![Vec::new(); cuts.len()];
        let mut words = vec![0_u32; self.tokenizer.vocab_size().div_ceil(u32::BITS as usize)];
        for token in 0..self.tokenizer.vocab_size() as TokenId {
            let bytes = self.tokenizer.token_bytes(token);
            if texts.iter().any(|text| holds(&bytes, text.as_bytes())) {
                words[(token / u32::BITS) as usize] |= 1 << (token % u32::BITS);
                continue;
            }
            for ((head, _), heads) in cuts.iter().zip(&mut heads) {
                if bytes.ends_with(head.as_bytes()) {
                    heads.push(token);
                }
            }
        }
        let mut tokens = TokenSet::default();
        tokens.set_words(&words);
        let mut sequences = Vec::new();
        for ((_, rest), heads) in cuts.iter().zip(heads) {
            if !heads.is_empty() {
                let tail = self.tokenizer.encode(rest, false)?;
                sequences.push(BreakerSequence { heads, tail });
            }
        }
        Ok(Breakers { tokens, sequences })
    }
}

/// The places between the characters of a text, as what is before and after each.
fn cuts(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.char_indices().skip(1).map(|(index, _)| text.split_at(index))
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}
