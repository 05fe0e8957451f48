//! The vocabulary a GGUF file carries: pieces, their kinds and scores, and the special token ids.
//!
//! All lists are checked against each other here, once, so that what translates or searches them
//! may index freely. It knows nothing about how text becomes tokens.

use crate::fault::{fault, shown};
use crate::metadata::{Metadata, Scalar, ValueType};
use plugin_api::Error;
use std::borrow::Cow;

/// Most tokens; the largest vocabularies have about 262,000.
const TOKENS_MAX: usize = 1 << 20;
const TOKENS: &str = "tokenizer.ggml.tokens";
const KINDS: &str = "tokenizer.ggml.token_type";
const SCORES: &str = "tokenizer.ggml.scores";

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Undefined,
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

/// In the order of their numbers.
const TOKEN_KINDS: [TokenKind; 7] = [
    TokenKind::Undefined,
    TokenKind::Normal,
    TokenKind::Unknown,
    TokenKind::Control,
    TokenKind::UserDefined,
    TokenKind::Unused,
    TokenKind::Byte,
];

/// A checked vocabulary; the index of a piece is its token id.
#[derive(Debug)]
pub(crate) struct Vocabulary<'a> {
    /// Way of tokenizing: `gpt2`, `llama`, ...
    pub(crate) model: &'a str,
    /// Text of each token. Only an empty piece is not the file's own text.
    pub(crate) pieces: Vec<Cow<'a, str>>,
    /// As many as pieces.
    pub(crate) kinds: Vec<TokenKind>,
    /// As many as pieces, or none.
    pub(crate) scores: Vec<f32>,
    pub(crate) bos: Option<u32>,
    pub(crate) eos: Option<u32>,
    pub(crate) unknown: Option<u32>,
}

impl<'a> Vocabulary<'a> {
    /// Reads and checks the vocabulary; nothing if the file has none.
    pub(crate) fn read(metadata: Metadata<'a>) -> Result<Option<Self>, Error> {
        let Some(tokens) = metadata.array(TOKENS, ValueType::Text)? else { return Ok(None) };
        if !(1..=TOKENS_MAX).contains(&tokens.count) {
            let found = format!("{} tokens", tokens.count);
            return Err(fault(TOKENS, found, format!("1 to {TOKENS_MAX}")));
        }
        let Some(model) = metadata.text("tokenizer.ggml.model")? else {
            return Err(fault("tokenizer.ggml.model", "no such key", "the kind of tokenizer"));
        };
        let pieces = tokens.texts(TOKENS).enumerate().map(|(id, text)| piece(id, text?));
        let pieces: Vec<_> = pieces.collect::<Result<_, Error>>()?;
        let count = pieces.len();
        Ok(Some(Self {
            model,
            pieces,
            kinds: kinds(metadata, count)?,
            scores: scores(metadata, count)?,
            bos: token_id(metadata, "tokenizer.ggml.bos_token_id", count)?,
            eos: token_id(metadata, "tokenizer.ggml.eos_token_id", count)?,
            unknown: token_id(metadata, "tokenizer.ggml.unknown_token_id", count)?,
        }))
    }

    /// Text of a token.
    pub(crate) fn piece(&self, id: u32) -> Option<&str> {
        self.pieces.get(usize::try_from(id).ok()?).map(AsRef::as_ref)
    }

    /// Every token: id, text, kind.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &str, TokenKind)> {
        let tokens = (0_u32..).zip(&self.pieces).zip(&self.kinds);
        tokens.map(|((id, piece), kind)| (id, piece.as_ref(), *kind))
    }
}

/// An empty piece matches no text; it gets a name, because names must differ.
fn piece(id: usize, text: &str) -> Result<Cow<'_, str>, Error> {
    Ok(if text.is_empty() { format!("[empty token {id}]").into() } else { text.into() })
}

fn kinds(metadata: Metadata<'_>, count: usize) -> Result<Vec<TokenKind>, Error> {
    let Some(numbers) = metadata.array(KINDS, ValueType::I32)? else {
        return Ok(vec![TokenKind::Normal; count]);
    };
    check_count(KINDS, numbers.count, count)?;
    let kind = |number: Scalar<'_>| match number {
        Scalar::Signed(number) => {
            let known = usize::try_from(number).ok().and_then(|number| TOKEN_KINDS.get(number));
            known.copied().ok_or_else(|| fault(KINDS, format!("kind {number}"), "0 to 6"))
        }
        _ => Err(fault(KINDS, "no integer", "0 to 6")),
    };
    numbers.scalars(KINDS).map(|number| kind(number?)).collect()
}

fn scores(metadata: Metadata<'_>, count: usize) -> Result<Vec<f32>, Error> {
    let Some(numbers) = metadata.array(SCORES, ValueType::F32)? else { return Ok(Vec::new()) };
    check_count(SCORES, numbers.count, count)?;
    let score = |number: Scalar<'_>| match number {
        Scalar::Float(score) if !score.is_nan() => Ok(score as f32),
        _ => Err(fault(SCORES, "NaN", "numbers")),
    };
    numbers.scalars(SCORES).map(|number| score(number?)).collect()
}

fn check_count(key: &str, found: usize, expected: usize) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    let found = format!("{found} elements");
    Err(fault(key, found, format!("{expected}, one for each of {TOKENS}")))
}

/// The token id under a key, checked against the vocabulary.
pub(crate) fn token_id(
    metadata: Metadata<'_>,
    key: &str,
    token_count: usize,
) -> Result<Option<u32>, Error> {
    let Some(id) = metadata.integer(key)? else { return Ok(None) };
    match u32::try_from(id) {
        Ok(fitting) if id < token_count as u64 => Ok(Some(fitting)),
        _ => Err(fault(key, format!("token {id}"), format!("less than the {token_count} tokens"))),
    }
}

/// Refuses a vocabulary that contradicts the rest of the file.
pub(crate) fn check_size(
    metadata: Metadata<'_>,
    architecture: &str,
    token_count: usize,
) -> Result<(), Error> {
    let key = format!("{architecture}.vocab_size");
    match metadata.integer(&key)? {
        Some(size) if size != token_count as u64 => {
            let expected = format!("{token_count}, the number of tokens in the file");
            Err(fault(shown(key.as_bytes()), size, expected))
        }
        _ => Ok(()),
    }
}
