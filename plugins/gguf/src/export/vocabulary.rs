//! `tokenizer.json` back to the vocabulary of a GGUF file.
//!
//! The inverse of the module `tokenizer`: what is data in the one dialect is the name of a kind or
//! of a pre-tokenizer in the other. A tokenizer that GGUF has no name for is refused, because a file
//! with another one would cut text otherwise than the model was trained with.

use super::keys::Keys;
use crate::tokenizer::pre_tokenizers;
use crate::vocabulary::TokenKind;
use plugin_api::{Error, Export};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// How SentencePiece spells a space.
const SPACE: &str = "▁";

/// The parts of a `tokenizer.json` that a file keeps.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    model: Model,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type", default)]
    model_type: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    unk_token: Option<String>,
    vocab: Value,
    #[serde(default)]
    merges: Vec<Merge>,
}

/// A merge is a pair, or in older files one text with a space in it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair(String, String),
    Line(String),
}

impl Merge {
    fn line(&self) -> String {
        match self {
            Self::Pair(left, right) => format!("{left} {right}"),
            Self::Line(line) => line.clone(),
        }
    }
}

/// Tokens in the order of their ids.
struct Tokens {
    texts: Vec<String>,
    kinds: Vec<TokenKind>,
}

/// Writes the keys of the vocabulary.
pub(super) fn write(tokenizer: &str, export: &Export, keys: &mut Keys) -> Result<(), Error> {
    let document: Document = serde_json::from_str(tokenizer)
        .map_err(|e| Error::invalid(format!("tokenizer.json: {e}")))?;
    let tokens = Tokens::of(&document, export.graph.vocab_size)?;
    match document.model.model_type.as_deref() {
        Some("BPE") | None if document.model.byte_fallback => {
            sentence_piece(&document, &tokens, keys);
        }
        Some("BPE") | None => byte_level(&document, keys)?,
        Some("WordPiece") => word_piece(&document, &tokens, keys),
        Some(other) => return Err(unsupported(&format!("a model of type {other}"))),
    }
    // llama.cpp's WordPiece spells the beginnings of words; the others are spelt alike.
    if document.model.model_type.as_deref() != Some("WordPiece") {
        keys.texts("tokenizer.ggml.tokens", tokens.texts.iter().map(String::as_str));
    }
    let kinds: Vec<i32> = tokens.kinds.iter().map(|kind| *kind as i32).collect();
    keys.integers("tokenizer.ggml.token_type", &kinds);
    special_tokens(&document, export, keys);
    Ok(())
}

fn unsupported(what: &str) -> Error {
    Error::unsupported(format!("tokenizer.json has {what}, which no GGUF file can name"))
}

impl Tokens {
    fn of(document: &Document, vocab_size: usize) -> Result<Self, Error> {
        let vocab = document.model.vocab.as_object();
        let vocab = vocab.ok_or_else(|| unsupported("a vocabulary that is no map"))?;
        let mut texts: Vec<Option<String>> = vec![None; vocab_size];
        let mut kinds = vec![TokenKind::Unused; vocab_size];
        let mut set = |id: u64, text: &str, kind: TokenKind| {
            let place = usize::try_from(id).ok().filter(|place| *place < vocab_size);
            let place = place.ok_or_else(|| {
                Error::invalid(format!(
                    "tokenizer.json: token {id}, but the model has {vocab_size}"
                ))
            })?;
            texts[place] = Some(text.to_owned());
            kinds[place] = kind;
            Ok::<_, Error>(())
        };
        for (text, id) in vocab {
            let id = id.as_u64().ok_or_else(|| unsupported("a token without a number"))?;
            set(id, text, kind(document, text))?;
        }
        for AddedToken { id, content, special } in &document.added_tokens {
            let unknown = document.model.unk_token.as_ref() == Some(content);
            let kind = match (special, unknown) {
                (_, true) => TokenKind::Unknown,
                (true, _) => TokenKind::Control,
                (false, _) => TokenKind::UserDefined,
            };
            set(u64::from(*id), content, kind)?;
        }
        let named = |(id, text): (usize, Option<String>)| text.unwrap_or(format!("[PAD{id}]"));
        Ok(Self { texts: texts.into_iter().enumerate().map(named).collect(), kinds })
    }
}

fn kind(document: &Document, text: &str) -> TokenKind {
    let byte = text.len() == 6 && text.starts_with("<0x") && text.ends_with('>');
    match () {
        () if document.model.unk_token.as_deref() == Some(text) => TokenKind::Unknown,
        () if document.model.byte_fallback && byte => TokenKind::Byte,
        () => TokenKind::Normal,
    }
}

/// GPT-2's kind: the merges as they are, and the name of the way text is cut.
fn byte_level(document: &Document, keys: &mut Keys) -> Result<(), Error> {
    let nfc = document.normalizer["type"] == "NFC";
    let patterns = patterns(&document.pre_tokenizer);
    let name = pre_tokenizers::name_of(&patterns, nfc)
        .ok_or_else(|| unsupported(&format!("the pre-tokenizer {patterns:?}")))?;
    keys.text("tokenizer.ggml.model", "gpt2");
    keys.text("tokenizer.ggml.pre", name);
    let merges: Vec<String> = document.model.merges.iter().map(Merge::line).collect();
    keys.texts("tokenizer.ggml.merges", merges.iter().map(String::as_str));
    Ok(())
}

/// The patterns text is cut with, one after the other.
fn patterns(pre_tokenizer: &Value) -> Vec<&str> {
    match pre_tokenizer["type"].as_str() {
        Some("Sequence") => pre_tokenizer["pretokenizers"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(patterns)
            .collect(),
        Some("Split") => pre_tokenizer["pattern"]["Regex"].as_str().into_iter().collect(),
        Some("Digits") if pre_tokenizer["individual_digits"] == true => vec![r"\p{N}"],
        Some("ByteLevel") if pre_tokenizer["use_regex"] != false => vec![pre_tokenizers::GPT2],
        _ => Vec::new(),
    }
}

/// SentencePiece's BPE: a piece scores the less the later it is merged.
fn sentence_piece(document: &Document, tokens: &Tokens, keys: &mut Keys) {
    let mut rank: HashMap<String, usize> = HashMap::new();
    for (index, merge) in document.model.merges.iter().enumerate() {
        let merged = match merge {
            Merge::Pair(left, right) => format!("{left}{right}"),
            Merge::Line(line) => line.replacen(' ', "", 1),
        };
        rank.entry(merged).or_insert(index);
    }
    // What no merge makes comes last; it is found character by character.
    let last = document.model.merges.len();
    let score = |text: &String| -(*rank.get(text).unwrap_or(&last) as f32);
    let scores: Vec<f32> = tokens.texts.iter().map(score).collect();
    keys.text("tokenizer.ggml.model", "llama");
    keys.text("tokenizer.ggml.pre", "default");
    keys.floats("tokenizer.ggml.scores", &scores);
    let normalizer = document.normalizer.to_string();
    let prepends = normalizer.contains("\"Prepend\"")
        || document.pre_tokenizer["prepend_scheme"].as_str().is_some_and(|s| s != "never");
    keys.flag("tokenizer.ggml.add_space_prefix", prepends);
}

/// BERT's kind: llama.cpp spells the beginnings of words where the other dialect spells their rest.
fn word_piece(document: &Document, tokens: &Tokens, keys: &mut Keys) {
    keys.text("tokenizer.ggml.model", "bert");
    keys.text("tokenizer.ggml.pre", "default");
    for option in ["lowercase", "strip_accents"] {
        if let Some(value) = document.normalizer[option].as_bool() {
            keys.flag(&format!("tokenizer.ggml.normalizer.{option}"), value);
        }
    }
    let spell = |(text, kind): (&String, &TokenKind)| match text.strip_prefix("##") {
        Some(rest) if *kind == TokenKind::Normal => rest.to_owned(),
        None if *kind == TokenKind::Normal && !is_bracketed(text) => format!("{SPACE}{text}"),
        _ => text.clone(),
    };
    let texts: Vec<String> = tokens.texts.iter().zip(&tokens.kinds).map(spell).collect();
    keys.texts("tokenizer.ggml.tokens", texts.iter().map(String::as_str));
}

fn is_bracketed(text: &str) -> bool {
    text.starts_with('[') && text.ends_with(']')
}

/// The tokens with a meaning of their own, and whether they are put around a text.
fn special_tokens(document: &Document, export: &Export, keys: &mut Keys) {
    let around = Around::of(&document.post_processor);
    let id = |text: &str| {
        let added = document.added_tokens.iter().find(|token| token.content == text);
        added.map(|token| token.id).or_else(|| {
            let id = document.model.vocab.get(text)?.as_u64()?;
            u32::try_from(id).ok()
        })
    };
    let first = around.first.as_deref().and_then(id);
    let last = around.last.as_deref().and_then(id);
    let begin = first.or(export.checkpoint.bos_token);
    let end = last.or(export.checkpoint.eos_tokens.first().copied());
    let unknown = document.model.unk_token.as_deref().and_then(id);
    for (key, token) in [("bos", begin), ("eos", end), ("unknown", unknown)] {
        if let Some(token) = token {
            keys.unsigned(&format!("tokenizer.ggml.{key}_token_id"), token);
        }
    }
    if document.model.model_type.as_deref() == Some("WordPiece") {
        for (key, token) in [("cls", first), ("seperator", last)] {
            if let Some(token) = token {
                keys.unsigned(&format!("tokenizer.ggml.{key}_token_id"), token);
            }
        }
    }
    // Further end tokens: llama.cpp knows one more by name.
    if let Some(turn) = export.checkpoint.eos_tokens.iter().find(|token| Some(**token) != end) {
        keys.unsigned("tokenizer.ggml.eot_token_id", *turn);
    }
    keys.flag("tokenizer.ggml.add_bos_token", around.first.is_some());
    keys.flag("tokenizer.ggml.add_eos_token", around.last.is_some());
}

/// Special tokens that a post-processor puts before and after a text.
#[derive(Default)]
struct Around {
    first: Option<String>,
    last: Option<String>,
}

impl Around {
    fn of(post_processor: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        match post_processor["type"].as_str() {
            Some("Sequence") => {
                let steps = post_processor["processors"].as_array().into_iter().flatten();
                steps.map(Self::of).fold(Self::default(), |all, step| Self {
                    first: step.first.or(all.first),
                    last: step.last.or(all.last),
                })
            }
            Some("BertProcessing" | "RobertaProcessing") => Self {
                first: text(&post_processor["cls"][0]),
                last: text(&post_processor["sep"][0]),
            },
            Some("TemplateProcessing") => {
                let parts = post_processor["single"].as_array();
                let parts: &[Value] = parts.map_or(&[], Vec::as_slice);
                let special = |part: Option<&Value>| {
                    let special: Option<&Map<String, Value>> =
                        part?.get("SpecialToken")?.as_object();
                    text(special?.get("id")?)
                };
                let last = (parts.len() > 1).then(|| parts.last()).flatten();
                Self { first: special(parts.first()), last: special(last) }
            }
            _ => Self::default(),
        }
    }
}
