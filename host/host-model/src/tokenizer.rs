//! Text to tokens and back, on the `tokenizers` crate.
//!
//! A tokenizer comes from a file nobody has vouched for: a panic inside the library becomes an
//! error here, and sizes are bounded. Detokenizing is incremental and never splits a character.

use crate::tokenizer_file;
use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokenizers::Tokenizer as Inner;

/// Tokens of context that decide how the next one is spelled (a leading space, say).
const CONTEXT_TOKENS: usize = 6;

/// Most tokens that are spelled together.
const TOKENS_KEPT_MAX: usize = 8 * CONTEXT_TOKENS;

/// Most tokens that a character may be spread over, a byte each.
const CHARACTER_TOKENS_MAX: usize = 4;

/// A tokenizer could not be read or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tokenizer: {0}")]
pub struct TokenizerError(String);

/// Turns text into tokens and back; cheap to clone.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<Inner>,
    special: Arc<HashSet<u32>>,
    byte_level: bool,
    vocab_size: usize,
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer").field("vocab_size", &self.vocab_size).finish_non_exhaustive()
    }
}

impl Tokenizer {
    /// Reads a `tokenizer.json`; ids from `vocab_size` on are refused.
    ///
    /// # Errors
    /// It is no tokenizer, or not one for this vocabulary.
    pub fn from_json(json: &[u8], vocab_size: usize) -> Result<Self, TokenizerError> {
        let model_type = tokenizer_file::check(json, vocab_size).map_err(TokenizerError)?;
        let read = || tokenizer_file::read(json, model_type.as_deref());
        let mut inner = guarded("tokenizer.json", read)?;
        // What a training run cut and padded its texts to is no part of how a text is read.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| TokenizerError(error.to_string()))?;
        let decoder = serde_json::to_string(&inner.get_decoder());
        let byte_level = decoder.is_ok_and(|json| json.contains("\"ByteLevel\""));
        let special = inner.get_added_tokens_decoder();
        let special = special.into_iter().filter(|(_, token)| token.special).map(|(id, _)| id);
        Ok(Self {
            special: Arc::new(special.collect()),
            byte_level,
            inner: Arc::new(inner),
            vocab_size,
        })
    }

    /// Tokens of a text; `add_special` puts the tokens around it that the model was trained with.
    ///
    /// # Errors
    /// The tokenizer cannot read this text.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>, TokenizerError> {
        let encoding = guarded("encode", || self.inner.encode_fast(text, add_special))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Text of tokens.
    ///
    /// # Errors
    /// The tokenizer cannot spell these tokens.
    pub fn decode(&self, tokens: &[u32], skip_special: bool) -> Result<String, TokenizerError> {
        guarded("decode", || self.inner.decode(tokens, skip_special))
    }

    /// A token alone, as text; special tokens literally, broken characters replaced.
    #[must_use]
    pub fn token_text(&self, token: u32) -> String {
        String::from_utf8_lossy(&self.token_bytes(token)).into_owned()
    }

    /// The bytes a token stands for.
    #[must_use]
    pub fn token_bytes(&self, token: u32) -> Vec<u8> {
        let Some(piece) = self.inner.id_to_token(token) else { return Vec::new() };
        if self.inner.get_added_vocabulary().simple_id_to_token(token).is_some() {
            return piece.into_bytes();
        }
        if self.byte_level {
            return piece.chars().filter_map(byte_of).collect();
        }
        let byte = piece.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
        match byte.filter(|hex| hex.len() == 2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => vec![byte],
            None => piece.replace('\u{2581}', " ").into_bytes(),
        }
    }

    /// Whether a token is a control token that texts do not show.
    #[must_use]
    pub fn is_special(&self, token: u32) -> bool {
        self.special.contains(&token)
    }

    /// Every control token.
    pub fn special_tokens(&self) -> impl Iterator<Item = u32> {
        self.special.iter().copied()
    }

    /// Tokens in the model's vocabulary.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Spells tokens one by one, after the last tokens of the prompt.
    #[must_use]
    pub fn detokenizer(&self, prompt: &[u32]) -> Detokenizer {
        let tail = &prompt[prompt.len().saturating_sub(CONTEXT_TOKENS)..];
        Detokenizer {
            tokenizer: self.clone(),
            tokens: tail.to_vec(),
            shown: self.decode(tail, true).unwrap_or_default().len(),
        }
    }
}

/// Spells a completion token by token.
///
/// A token may hold part of a character, and its spelling may depend on the one before it, so a
/// few tokens are spelled together and only what is new is given out.
#[derive(Debug)]
pub struct Detokenizer {
    tokenizer: Tokenizer,
    tokens: Vec<u32>,
    shown: usize,
}

impl Detokenizer {
    /// Adds a token; answers the text that is complete now.
    pub fn push(&mut self, token: u32) -> String {
        self.tokens.push(token);
        let text = self.tokenizer.decode(&self.tokens, true).unwrap_or_default();
        // A replacement character at the end is a character whose other bytes are still to come,
        // or bytes that never become one.
        let is_open = text.ends_with('\u{FFFD}') || !text.is_char_boundary(self.shown);
        if is_open && self.tokens.len() < TOKENS_KEPT_MAX {
            return String::new();
        }
        let new = text.get(self.shown..).unwrap_or_default().to_owned();
        self.forget(&text);
        new
    }

    /// What is left at the end: the bytes of an unfinished character, made visible.
    #[must_use]
    pub fn finish(self) -> String {
        let text = self.tokenizer.decode(&self.tokens, true).unwrap_or_default();
        text.get(self.shown..).unwrap_or_default().to_owned()
    }

    /// Keeps only the tokens that the next one's spelling may depend on.
    fn forget(&mut self, text: &str) {
        self.shown = text.len();
        let count = self.tokens.len();
        if count < 2 * CONTEXT_TOKENS {
            return;
        }
        // A cut inside a character would spoil the spelling of all bytes that follow it.
        let last = count - CONTEXT_TOKENS;
        for start in (last - CHARACTER_TOKENS_MAX..=last).rev() {
            let kept = self.tokenizer.decode(&self.tokens[start..], true).unwrap_or_default();
            // Bytes that make no characters at all are cut somewhere.
            if text.ends_with(&kept) || count >= TOKENS_KEPT_MAX {
                self.tokens.drain(..start);
                self.shown = kept.len();
                return;
            }
        }
    }
}

/// Runs a function of the library; its errors and panics become ours.
fn guarded<T>(
    what: &str,
    body: impl FnOnce() -> Result<T, tokenizers::Error>,
) -> Result<T, TokenizerError> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(TokenizerError(format!("{what}: {error}").replace('\n', " "))),
        Err(_) => Err(TokenizerError(format!("{what}: the tokenizer panicked on this input"))),
    }
}

/// The byte a character of the byte-level alphabet stands for (GPT-2's `bytes_to_unicode`).
fn byte_of(character: char) -> Option<u8> {
    let code = character as u32;
    match code {
        0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF => Some(code as u8),
        0x100..=0x120 => Some((code - 0x100) as u8),
        0x121..=0x142 => Some((code - 0x121 + 0x7F) as u8),
        0x143 => Some(0xAD),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tokenizer of two words and the special tokens `[CLS]`, `[SEP]` and `[PAD]`.
    fn json(more: &str) -> String {
        format!(
            r#"{{"version": "1.0", "normalizer": null, "pre_tokenizer": {{"type": "Whitespace"}},
            "added_tokens": [], "decoder": null, {more},
            "post_processor": {{"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}},
            "model": {{"type": "WordLevel", "unk_token": "a",
                       "vocab": {{"a": 0, "b": 1, "[CLS]": 2, "[SEP]": 3, "[PAD]": 4}}}}}}"#
        )
    }

    /// A tokenizer whose tokens are bytes.
    fn bytes() -> Tokenizer {
        let vocab: std::collections::BTreeMap<String, u32> =
            (0..256).map(|byte| (format!("<0x{byte:02X}>"), byte)).collect();
        let vocab = serde_json::to_string(&vocab).expect("a map of texts");
        let json = format!(
            r#"{{"version": "1.0", "added_tokens": [], "decoder": {{"type": "Sequence",
                "decoders": [{{"type": "ByteFallback"}}, {{"type": "Fuse"}}]}},
            "model": {{"type": "BPE", "byte_fallback": true, "vocab": {vocab}, "merges": []}}}}"#
        );
        Tokenizer::from_json(json.as_bytes(), 256).expect("it is valid")
    }

    #[test]
    fn characters_of_many_tokens_are_spelled_however_many_there_are() {
        let tokenizer = bytes();
        let text = "a🦀🦀🦀ö🦀🦀🦀🦀🦀🦀🦀🦀€€€€€€€€€€€€🦀b".repeat(3);
        let mut detokenizer = tokenizer.detokenizer(&[]);
        let shown: String = text.bytes().map(|byte| detokenizer.push(byte.into())).collect();
        assert_eq!(shown, text);
    }

    #[test]
    fn bytes_that_make_no_character_are_bounded() {
        let mut detokenizer = bytes().detokenizer(&[]);
        for _ in 0..1000 {
            detokenizer.push(0xF0);
            detokenizer.push(u32::from(b'a'));
            assert!(detokenizer.tokens.len() <= TOKENS_KEPT_MAX);
        }
    }

    #[test]
    fn a_text_is_neither_cut_nor_padded() {
        let training = r#""truncation": {"direction": "Right", "max_length": 4,
                "strategy": "LongestFirst", "stride": 0},
            "padding": {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": null,
                "pad_id": 4, "pad_type_id": 0, "pad_token": "[PAD]"}"#;
        for more in [training, r#""truncation": null, "padding": null"#] {
            let tokenizer = Tokenizer::from_json(json(more).as_bytes(), 5).expect("it is valid");
            let tokens = tokenizer.encode("a b a b b", true).expect("the words are known");
            assert_eq!(tokens, [2, 0, 1, 0, 1, 1, 3]);
        }
    }
}
