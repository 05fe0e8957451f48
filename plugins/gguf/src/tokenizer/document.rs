//! The shape of a `tokenizer.json`, written straight from the vocabulary without a copy of it.

use serde::{Serialize, Serializer};
use serde_json::Value;
use std::borrow::Cow;

/// The whole file. `()` is written as `null`.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    pub(super) version: &'static str,
    pub(super) truncation: (),
    pub(super) padding: (),
    pub(super) added_tokens: Vec<AddedToken<'a>>,
    pub(super) normalizer: Value,
    pub(super) pre_tokenizer: Value,
    pub(super) post_processor: Value,
    pub(super) decoder: Value,
    pub(super) model: Model<'a>,
}

/// A token that is found in the text before anything else happens to it.
#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "the dialect has these fields")]
pub(super) struct AddedToken<'a> {
    id: u32,
    content: &'a str,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
    special: bool,
}

impl<'a> AddedToken<'a> {
    /// `special` ones are left out of decoded text.
    pub(super) fn new(id: u32, content: &'a str, special: bool) -> Self {
        let (single_word, lstrip, rstrip, normalized) = (false, false, false, false);
        Self { id, content, single_word, lstrip, rstrip, normalized, special }
    }
}

/// What finds the pieces of a word; `type` is among the fields of each.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Model<'a> {
    Bpe(Bpe<'a>),
    WordPiece(WordPiece<'a>),
}

/// The BPE model.
#[derive(Serialize)]
pub(super) struct Bpe<'a> {
    #[serde(rename = "type")]
    pub(super) model_type: &'static str,
    pub(super) dropout: (),
    pub(super) unk_token: Option<&'a str>,
    pub(super) continuing_subword_prefix: (),
    pub(super) end_of_word_suffix: (),
    pub(super) fuse_unk: bool,
    pub(super) byte_fallback: bool,
    pub(super) ignore_merges: bool,
    pub(super) vocab: Pieces<'a>,
    pub(super) merges: Vec<(&'a str, &'a str)>,
}

/// The WordPiece model: of each word the longest piece, then the longest of what is left.
#[derive(Serialize)]
pub(super) struct WordPiece<'a> {
    #[serde(rename = "type")]
    pub(super) model_type: &'static str,
    pub(super) unk_token: &'a str,
    pub(super) continuing_subword_prefix: &'static str,
    pub(super) max_input_chars_per_word: usize,
    pub(super) vocab: Pieces<'a>,
}

/// The pieces as a map from text to id.
pub(super) struct Pieces<'a>(pub(super) &'a [Cow<'a, str>]);

impl Serialize for Pieces<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().zip(0_u32..))
    }
}
