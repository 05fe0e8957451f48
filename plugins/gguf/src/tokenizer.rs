//! Translates the vocabulary of a GGUF file to the `tokenizer.json` dialect of Hugging Face.
//!
//! Four kinds of GGUF tokenizer become a BPE or a WordPiece model with a normalizer, a
//! pre-tokenizer, a post-processor and a decoder. It does not tokenize.

mod bpe;
mod document;
mod merges;
pub(crate) mod pre_tokenizers;
mod word_piece;

use crate::fault::shown;
use crate::metadata::Metadata;
use crate::vocabulary::{TokenKind, Vocabulary};
use document::{AddedToken, Document, Model};
use plugin_api::Error;
use serde_json::{Value, json};

const MODEL: &str = "tokenizer.ggml.model";
/// How SentencePiece spells a space; GGUF's WordPiece vocabularies begin words with it.
const SPACE: &str = "▁";

/// What the kinds differ in.
struct Kind<'a> {
    normalizer: Value,
    pre_tokenizer: Value,
    decoder: Value,
    model: Model<'a>,
    frame: Frame,
}

/// Tokens around a text.
struct Frame {
    before: Option<u32>,
    after: Option<u32>,
    /// Of two texts, the second begins with it too.
    before_second: bool,
}

/// The `tokenizer.json` of a file; nothing if it has no vocabulary.
pub(crate) fn tokenizer_json(metadata: Metadata<'_>) -> Result<Option<Vec<u8>>, Error> {
    let Some(mut vocabulary) = Vocabulary::read(metadata)? else { return Ok(None) };
    match vocabulary.model {
        "llama" => bpe::respell_spaces(&mut vocabulary),
        word_piece::MODEL => word_piece::respell(&mut vocabulary),
        _ => {}
    }
    let ids = merges::piece_ids(&vocabulary)?;
    let kind = match vocabulary.model {
        "gpt2" => bpe::byte_level(metadata, &vocabulary, &ids)?,
        "llama" => bpe::sentence_piece(metadata, &vocabulary, &ids)?,
        "gemma4" => bpe::merged_sentence_piece(metadata, &vocabulary, &ids)?,
        word_piece::MODEL => word_piece::kind(metadata, &vocabulary, &ids)?,
        other => return Err(unsupported(other)),
    };
    let document = document(&vocabulary, kind);
    let failed = |error| Error::failed(format!("tokenizer.json: cannot be written: {error}"));
    serde_json::to_vec(&document).map(Some).map_err(failed)
}

fn unsupported(model: &str) -> Error {
    let hint = match model {
        "t5" | "rwkv" | "plamo2" => "open the Hugging Face folder of this model instead",
        _ => "the file is damaged, or newer than this plugin",
    };
    let found = shown(model.as_bytes());
    Error::unsupported(format!(
        "{MODEL}: found {found}, expected gpt2, llama, gemma4 or bert; {hint}"
    ))
}

fn document<'a>(vocabulary: &'a Vocabulary<'_>, kind: Kind<'a>) -> Document<'a> {
    let added_tokens = vocabulary.iter().filter_map(|(id, piece, kind)| match kind {
        TokenKind::Control | TokenKind::Unknown => Some(AddedToken::new(id, piece, true)),
        TokenKind::UserDefined => Some(AddedToken::new(id, piece, false)),
        TokenKind::Undefined | TokenKind::Normal | TokenKind::Unused | TokenKind::Byte => None,
    });
    Document {
        version: "1.0",
        truncation: (),
        padding: (),
        added_tokens: added_tokens.collect(),
        normalizer: kind.normalizer,
        pre_tokenizer: kind.pre_tokenizer,
        post_processor: post_processor(vocabulary, &kind.frame),
        decoder: kind.decoder,
        model: kind.model,
    }
}

/// Puts the frame's tokens around a text, and around two.
fn post_processor(vocabulary: &Vocabulary<'_>, frame: &Frame) -> Value {
    let mut special_tokens = serde_json::Map::new();
    let mut special = |id: Option<u32>, type_id: u32| {
        let id = id?;
        let piece = vocabulary.piece(id)?;
        let description = json!({"id": piece, "ids": [id], "tokens": [piece]});
        special_tokens.insert(piece.to_owned(), description);
        Some(json!({"SpecialToken": {"id": piece, "type_id": type_id}}))
    };
    let mut around = |sequence: &str, type_id: u32, before: Option<u32>| {
        let text = json!({"Sequence": {"id": sequence, "type_id": type_id}});
        let parts = [special(before, type_id), Some(text), special(frame.after, type_id)];
        parts.into_iter().flatten().collect::<Vec<_>>()
    };
    let single = around("A", 0, frame.before);
    let second = around("B", 1, frame.before.filter(|_| frame.before_second));
    if single.len() == 1 {
        return Value::Null;
    }
    let pair = [single.as_slice(), &second].concat();
    json!({
        "type": "TemplateProcessing",
        "single": single,
        "pair": pair,
        "special_tokens": special_tokens,
    })
}
