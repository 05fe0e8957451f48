//! Checks a `tokenizer.json`, then has the library read it.
//!
//! The library sizes tables by the largest token id and runs every normalizer on every text, so a
//! file of a few bytes could ask for gigabytes or for hours. Ids and counts are checked first, in
//! one pass without building anything.

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use tokenizers::models::bpe::BPE;
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::{
    DecoderWrapper, ModelWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
    Tokenizer, TokenizerImpl,
};

/// Normalizers that may follow each other: each can double the text.
const NORMALIZERS_MAX: usize = 16;

/// Checks the file against a vocabulary of that size; answers the type of its model, if it says.
///
/// # Errors
/// Not JSON, an id outside the vocabulary, or too many normalizers.
pub(crate) fn check(json: &[u8], vocab_size: usize) -> Result<Option<String>, String> {
    let file: File = serde_json::from_slice(json).map_err(|e| format!("tokenizer.json: {e}"))?;
    let added = file.added_tokens.iter().map(|token| token.id).max();
    let largest = file.model.vocab.0.max(added).unwrap_or(0);
    if largest >= vocab_size as u64 {
        return Err(format!(
            "tokenizer.json: token id {largest} found, the model's vocabulary has {vocab_size} tokens"
        ));
    }
    let normalizers = file.normalizer.map_or(0, |list| list.normalizers.len());
    if normalizers > NORMALIZERS_MAX {
        return Err(format!(
            "tokenizer.json: {normalizers} normalizers found, at most {NORMALIZERS_MAX}"
        ));
    }
    Ok(file.model.model_type)
}

/// Reads a file that was checked, with a model of that type.
///
/// Unless it is told the type, the library reads the model into a tree of values first, twice, and
/// that takes longer than everything else.
pub(crate) fn read(json: &[u8], model_type: Option<&str>) -> tokenizers::Result<Tokenizer> {
    let read = match model_type {
        Some("BPE") => read_with::<BPE>(json),
        Some("Unigram") => read_with::<Unigram>(json),
        Some("WordPiece") => read_with::<WordPiece>(json),
        _ => return Tokenizer::from_bytes(json),
    };
    // From a tree the library also reads models with fields that it does not know.
    read.or_else(|_| Tokenizer::from_bytes(json))
}

fn read_with<M>(json: &[u8]) -> tokenizers::Result<Tokenizer>
where
    M: tokenizers::Model + DeserializeOwned + Into<ModelWrapper>,
{
    let read: TokenizerImpl<
        M,
        NormalizerWrapper,
        PreTokenizerWrapper,
        PostProcessorWrapper,
        DecoderWrapper,
    > = serde_json::from_slice(json)?;
    Ok(read.into())
}

#[derive(Deserialize)]
struct File {
    model: Model,
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    normalizer: Option<Normalizer>,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    model_type: Option<String>,
    vocab: LargestId,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u64,
}

#[derive(Deserialize)]
struct Normalizer {
    #[serde(default)]
    normalizers: Vec<IgnoredAny>,
}

/// The largest id of a vocabulary: a map from token to id, or a list whose places are the ids.
struct LargestId(Option<u64>);

impl<'de> Deserialize<'de> for LargestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VocabVisitor).map(Self)
    }
}

struct VocabVisitor;

impl<'de> Visitor<'de> for VocabVisitor {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a vocabulary: an object from token to id, or a list of tokens")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut largest = None;
        while let Some((_, id)) = map.next_entry::<IgnoredAny, u64>()? {
            largest = largest.max(Some(id));
        }
        Ok(largest)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut count = 0_u64;
        while list.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(count.checked_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_refused(json: &str, expected: &str) {
        let error = check(json.as_bytes(), 10).expect_err("the file is bad");
        assert!(error.contains(expected), "`{error}` does not say `{expected}`");
    }

    #[test]
    fn a_model_is_read_whether_or_not_the_library_knows_its_type_and_fields() {
        for model in [
            r#"{"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}"#,
            r#"{"vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}"#,
            r#"{"type": "BPE", "new": {}, "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}"#,
            r#"{"type": "Unigram", "unk_id": 0, "vocab": [["a", -1], ["b", -1], ["ab", -1]]}"#,
            r#"{"type": "WordPiece", "unk_token": "a", "continuing_subword_prefix": "",
                "max_input_chars_per_word": 9, "vocab": {"a": 0, "b": 1, "ab": 2}}"#,
        ] {
            let json = format!(r#"{{"model": {model}}}"#);
            let model_type = check(json.as_bytes(), 3).expect("the ids are in the vocabulary");
            let tokenizer = read(json.as_bytes(), model_type.as_deref()).expect("it is valid");
            let tokens = tokenizer.encode_fast("ab", false).expect("the text is known");
            assert_eq!(tokens.get_ids(), [2], "{model}");
        }
    }

    #[test]
    fn ids_inside_the_vocabulary_pass() {
        let json = r#"{"model": {"vocab": {"a": 0, "b": 9}}, "added_tokens": [{"id": 3}]}"#;
        assert_eq!(check(json.as_bytes(), 10), Ok(None));
        assert_eq!(check(br#"{"model": {"vocab": [["a", -1.0]]}}"#, 10), Ok(None));
        assert_eq!(check(br#"{"model": {"vocab": {}}, "normalizer": null}"#, 10), Ok(None));
    }

    #[test]
    fn ids_outside_and_long_chains_are_refused() {
        check_refused(r#"{"model": {"vocab": {"a": 2147483648}}}"#, "token id 2147483648 found");
        check_refused(r#"{"model": {"vocab": {"a": -1}}}"#, "invalid value");
        check_refused(r#"{"model": {"vocab": {}}, "added_tokens": [{"id": 10}]}"#, "token id 10");
        check_refused(r#"{"model": {}}"#, "missing field `vocab`");
        check_refused("<html>", "expected value");
        let chain = vec![r#"{"type":"NFC"}"#; 17].join(",");
        let json =
            format!(r#"{{"model":{{"vocab":{{}}}},"normalizer":{{"normalizers":[{chain}]}}}}"#);
        check_refused(&json, "17 normalizers found");
    }
}
