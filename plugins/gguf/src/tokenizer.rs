//! Translates the vocabulary of a GGUF file to the `tokenizer.json` dialect of Hugging Face.
//!
//! Three kinds of GGUF tokenizer become one: a BPE model with a normalizer, a pre-tokenizer, a
//! post-processor and a decoder. What llama.cpp decides in code from the name of the kind or of
//! the pre-tokenizer is data here. It does not tokenize.

mod document;
mod merges;
pub(crate) mod pre_tokenizers;

use crate::fault::{fault, shown};
use crate::metadata::{Metadata, ValueType};
use crate::vocabulary::{TokenKind, Vocabulary};
use document::{AddedToken, Document, Model, Pieces};
use merges::PieceIds;
use plugin_api::Error;
use serde_json::{Value, json};

const MODEL: &str = "tokenizer.ggml.model";
const MERGES: &str = "tokenizer.ggml.merges";
/// How SentencePiece spells a space.
const SPACE: &str = "▁";

/// What the three kinds differ in.
struct Kind<'a> {
    normalizer: Value,
    pre_tokenizer: Value,
    decoder: Value,
    merges: Vec<(&'a str, &'a str)>,
    /// Characters that are no piece become byte pieces.
    byte_fallback: bool,
    /// A whole word that is a piece is taken without merging.
    ignore_merges: bool,
    /// Unless the file says otherwise.
    add_bos: bool,
}

/// The `tokenizer.json` of a file; nothing if it has no vocabulary.
pub(crate) fn tokenizer_json(metadata: Metadata<'_>) -> Result<Option<Vec<u8>>, Error> {
    let Some(vocabulary) = Vocabulary::read(metadata)? else { return Ok(None) };
    let ids = merges::piece_ids(&vocabulary)?;
    let kind = match vocabulary.model {
        "gpt2" => byte_level(metadata, &ids)?,
        "llama" => {
            check_byte_pieces(&vocabulary)?;
            sentence_piece(metadata, &vocabulary, &ids)?
        }
        "gemma4" => {
            check_byte_pieces(&vocabulary)?;
            merged_sentence_piece(metadata, &ids)?
        }
        other => return Err(unsupported(other)),
    };
    let document = document(metadata, &vocabulary, kind)?;
    let failed = |error| Error::failed(format!("tokenizer.json: cannot be written: {error}"));
    serde_json::to_vec(&document).map(Some).map_err(failed)
}

/// Byte pieces are spelt `<0x00>` to `<0xFF>`; another spelling would never be found.
fn check_byte_pieces(vocabulary: &Vocabulary<'_>) -> Result<(), Error> {
    let digit = |byte: &u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(byte);
    let well_spelt = |piece: &str| match piece.as_bytes() {
        [b'<', b'0', b'x', high, low, b'>'] => digit(high) && digit(low),
        _ => false,
    };
    let mut bytes = vocabulary.iter().filter(|(_, _, kind)| *kind == TokenKind::Byte);
    match bytes.find(|(_, piece, _)| !well_spelt(piece)) {
        None => Ok(()),
        Some((id, piece, _)) => Err(fault(
            format!("tokenizer.ggml.tokens: token {id}"),
            shown(piece.as_bytes()),
            "a byte piece, `<0x00>` to `<0xFF>`",
        )),
    }
}

fn unsupported(model: &str) -> Error {
    let hint = match model {
        "bert" | "t5" | "rwkv" | "plamo2" => "open the Hugging Face folder of this model instead",
        _ => "the file is damaged, or newer than this plugin",
    };
    let found = shown(model.as_bytes());
    Error::unsupported(format!("{MODEL}: found {found}, expected gpt2, llama or gemma4; {hint}"))
}

/// GPT-2's kind: bytes spelt as printable characters, the file's own merges.
fn byte_level<'a>(metadata: Metadata<'a>, ids: &PieceIds<'a>) -> Result<Kind<'a>, Error> {
    let pre = pre_tokenizers::find(metadata.text("tokenizer.ggml.pre")?.unwrap_or("default"))?;
    let mut steps: Vec<Value> = pre.patterns.iter().map(|pattern| split(pattern)).collect();
    steps.push(json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false,
    }));
    Ok(Kind {
        normalizer: if pre.nfc { json!({"type": "NFC"}) } else { Value::Null },
        pre_tokenizer: json!({"type": "Sequence", "pretokenizers": steps}),
        decoder: json!({
            "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true,
        }),
        merges: file_merges(metadata, ids)?,
        byte_fallback: false,
        ignore_merges: pre.ignore_merges,
        add_bos: pre.add_bos,
    })
}

fn split(pattern: &str) -> Value {
    json!({
        "type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false,
    })
}

/// SentencePiece's BPE: spaces spelt `▁`, byte pieces, merges that follow from the scores.
fn sentence_piece<'a>(
    metadata: Metadata<'a>,
    vocabulary: &'a Vocabulary<'_>,
    ids: &PieceIds<'_>,
) -> Result<Kind<'a>, Error> {
    let add_space = metadata.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE});
    let prepend = json!({"type": "Prepend", "prepend": SPACE});
    let normalizer = if add_space {
        json!({"type": "Sequence", "normalizers": [prepend, replace]})
    } else {
        replace
    };
    Ok(Kind {
        normalizer,
        pre_tokenizer: Value::Null,
        decoder: space_decoder(add_space),
        merges: merges::from_scores(vocabulary, ids)?,
        byte_fallback: true,
        ignore_merges: false,
        add_bos: true,
    })
}

/// Gemma 4's kind: spelt as SentencePiece does, with the file's own merges.
fn merged_sentence_piece<'a>(
    metadata: Metadata<'a>,
    ids: &PieceIds<'a>,
) -> Result<Kind<'a>, Error> {
    Ok(Kind {
        normalizer: json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE}),
        // No merge crosses the end of a run of line feeds; shorter words are found sooner.
        pre_tokenizer: split("[^\\n]+|\\n+"),
        decoder: space_decoder(false),
        merges: file_merges(metadata, ids)?,
        byte_fallback: true,
        ignore_merges: false,
        add_bos: true,
    })
}

fn space_decoder(strip_first: bool) -> Value {
    let mut steps = vec![
        json!({"type": "Replace", "pattern": {"String": SPACE}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if strip_first {
        steps.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    json!({"type": "Sequence", "decoders": steps})
}

fn file_merges<'a>(
    metadata: Metadata<'a>,
    ids: &PieceIds<'_>,
) -> Result<Vec<(&'a str, &'a str)>, Error> {
    let Some(lines) = metadata.array(MERGES, ValueType::Text)? else {
        return Err(fault(MERGES, "no such key", "the merges of the vocabulary"));
    };
    merges::from_lines(lines.texts(MERGES), ids)
}

fn document<'a>(
    metadata: Metadata<'_>,
    vocabulary: &'a Vocabulary<'_>,
    kind: Kind<'a>,
) -> Result<Document<'a>, Error> {
    let added_tokens = vocabulary.iter().filter_map(|(id, piece, kind)| match kind {
        TokenKind::Control | TokenKind::Unknown => Some(AddedToken::new(id, piece, true)),
        TokenKind::UserDefined => Some(AddedToken::new(id, piece, false)),
        TokenKind::Undefined | TokenKind::Normal | TokenKind::Unused | TokenKind::Byte => None,
    });
    let unknown = if kind.byte_fallback { vocabulary.unknown } else { None };
    let add_bos = metadata.flag("tokenizer.ggml.add_bos_token")?.unwrap_or(kind.add_bos);
    let add_eos = metadata.flag("tokenizer.ggml.add_eos_token")?.unwrap_or(false);
    let post_processor = post_processor(
        vocabulary,
        vocabulary.bos.filter(|_| add_bos),
        vocabulary.eos.filter(|_| add_eos),
    );
    Ok(Document {
        version: "1.0",
        truncation: (),
        padding: (),
        added_tokens: added_tokens.collect(),
        normalizer: kind.normalizer,
        pre_tokenizer: kind.pre_tokenizer,
        post_processor,
        decoder: kind.decoder,
        model: Model {
            model_type: "BPE",
            dropout: (),
            unk_token: unknown.and_then(|id| vocabulary.piece(id)),
            continuing_subword_prefix: (),
            end_of_word_suffix: (),
            fuse_unk: kind.byte_fallback,
            byte_fallback: kind.byte_fallback,
            ignore_merges: kind.ignore_merges,
            vocab: Pieces(&vocabulary.pieces),
            merges: kind.merges,
        },
    })
}

/// Puts the begin and end tokens around a text.
fn post_processor(vocabulary: &Vocabulary<'_>, bos: Option<u32>, eos: Option<u32>) -> Value {
    let mut special_tokens = serde_json::Map::new();
    let mut special = |id: Option<u32>, type_id: u32| {
        let id = id?;
        let piece = vocabulary.piece(id)?;
        let description = json!({"id": piece, "ids": [id], "tokens": [piece]});
        special_tokens.insert(piece.to_owned(), description);
        Some(json!({"SpecialToken": {"id": piece, "type_id": type_id}}))
    };
    let mut around = |sequence: &str, type_id: u32| {
        let text = json!({"Sequence": {"id": sequence, "type_id": type_id}});
        let parts = [special(bos, type_id), Some(text), special(eos, type_id)];
        parts.into_iter().flatten().collect::<Vec<_>>()
    };
    let (single, second) = (around("A", 0), around("B", 1));
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
