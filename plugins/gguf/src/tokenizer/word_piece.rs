//! BERT's kind of tokenizer: WordPiece.
//!
//! Hugging Face marks the pieces that continue a word with `##`; llama.cpp's converter marks those
//! that begin one, with `▁`. The text is prepared as BERT's own tokenizer does it, which differs
//! from llama.cpp in Hangul and control characters.

use super::document::{Model, Pieces, WordPiece};
use super::merges::PieceIds;
use super::{Frame, Kind, SPACE};
use crate::fault::{fault_with_hint, shown};
use crate::metadata::Metadata;
use crate::vocabulary::{TokenKind, Vocabulary, token_id};
use plugin_api::Error;
use serde_json::json;

/// `tokenizer.ggml.model` of this kind.
pub(super) const MODEL: &str = "bert";
/// What Hugging Face puts before a piece that continues a word.
const CONTINUATION: &str = "##";
/// Longer words are unknown, as in every BERT.
const WORD_CHARS_MAX: usize = 100;
/// Names under `tokenizer.ggml.pre` of models that cut text as BERT does.
const PRE_TOKENIZERS: [&str; 4] = ["default", "bert-bge", "bert-bge-large", "jina-v2-en"];
const LOWERCASE: &str = "tokenizer.ggml.normalizer.lowercase";
const OPEN_FOLDER: &str = "open the Hugging Face folder of this model instead";

/// Spells the pieces as Hugging Face does.
pub(super) fn respell(vocabulary: &mut Vocabulary<'_>) {
    for (piece, kind) in vocabulary.pieces.iter_mut().zip(&vocabulary.kinds) {
        let special = matches!(kind, TokenKind::Control | TokenKind::Unknown);
        // Earlier converters left everything in brackets as it was.
        let bracketed = piece.starts_with('[') && piece.ends_with(']');
        match piece.strip_prefix(SPACE) {
            _ if special => {}
            Some(start) if !start.is_empty() => *piece = start.to_owned().into(),
            None if bracketed || *kind == TokenKind::UserDefined => {}
            _ => *piece = format!("{CONTINUATION}{piece}").into(),
        }
    }
}

/// The tokenizer of a vocabulary that has been spelt anew.
pub(super) fn kind<'a>(
    metadata: Metadata<'_>,
    vocabulary: &'a Vocabulary<'_>,
    ids: &PieceIds<'_>,
) -> Result<Kind<'a>, Error> {
    check_pre_tokenizer(metadata)?;
    let count = vocabulary.pieces.len();
    let find = |keys: &[&str], spelling: &str| {
        for key in keys {
            if let Some(id) = token_id(metadata, key, count)? {
                return Ok(id);
            }
        }
        ids.get(spelling).copied().ok_or_else(|| {
            let expected = format!("a token id, or a token {spelling}");
            fault_with_hint(keys[0], "no such key", expected, OPEN_FOLDER)
        })
    };
    let keys = ["tokenizer.ggml.bos_token_id", "tokenizer.ggml.cls_token_id"];
    let before = find(&keys, "[CLS]")?;
    // llama.cpp spells it like this.
    let keys = ["tokenizer.ggml.seperator_token_id", "tokenizer.ggml.eos_token_id"];
    let after = find(&keys, "[SEP]")?;
    let unknown = find(&["tokenizer.ggml.unknown_token_id"], "[UNK]")?;
    let lowercase = lowercase(metadata, ids)?;
    let strip_accents = metadata.flag("tokenizer.ggml.normalizer.strip_accents")?;
    let model = WordPiece {
        model_type: "WordPiece",
        unk_token: &vocabulary.pieces[unknown as usize],
        continuing_subword_prefix: CONTINUATION,
        max_input_chars_per_word: WORD_CHARS_MAX,
        vocab: Pieces(&vocabulary.pieces),
    };
    Ok(Kind {
        normalizer: json!({
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": strip_accents, "lowercase": lowercase,
        }),
        pre_tokenizer: json!({"type": "BertPreTokenizer"}),
        decoder: json!({"type": "WordPiece", "prefix": CONTINUATION, "cleanup": true}),
        model: Model::WordPiece(model),
        frame: Frame { before: Some(before), after: Some(after), before_second: false },
    })
}

fn check_pre_tokenizer(metadata: Metadata<'_>) -> Result<(), Error> {
    let key = "tokenizer.ggml.pre";
    match metadata.text(key)? {
        Some(name) if !PRE_TOKENIZERS.contains(&name) => {
            let expected = format!("one of {}", PRE_TOKENIZERS.join(", "));
            Err(fault_with_hint(key, shown(name.as_bytes()), expected, OPEN_FOLDER))
        }
        _ => Ok(()),
    }
}

/// Whether text is turned to lower case. Earlier files do not say it, but a vocabulary
/// that keeps case has a piece for every capital letter, and one that does not has none.
fn lowercase(metadata: Metadata<'_>, ids: &PieceIds<'_>) -> Result<bool, Error> {
    if let Some(lowercase) = metadata.flag(LOWERCASE)? {
        return Ok(lowercase);
    }
    let capitals = ('A'..='Z').filter(|c| ids.contains_key(c.to_string().as_str())).count();
    match capitals {
        0 => Ok(true),
        26 => Ok(false),
        _ => {
            let found = format!("no such key, and {capitals} capital letters in the vocabulary");
            Err(fault_with_hint(LOWERCASE, found, "all capital letters or none", OPEN_FOLDER))
        }
    }
}
