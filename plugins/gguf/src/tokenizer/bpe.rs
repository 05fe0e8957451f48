//! The three kinds of GGUF tokenizer that are BPE models.
//!
//! What llama.cpp decides in code from the name of the kind or of the pre-tokenizer is data here.

use super::document::{Bpe, Model, Pieces};
use super::merges::{self, PieceIds};
use super::{Frame, Kind, SPACE, pre_tokenizers};
use crate::fault::{fault, shown};
use crate::metadata::{Metadata, ValueType};
use crate::vocabulary::{TokenKind, Vocabulary};
use plugin_api::Error;
use serde_json::{Value, json};

const MERGES: &str = "tokenizer.ggml.merges";

/// What the three differ in.
struct Parts<'a> {
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

impl<'a> Parts<'a> {
    fn kind(
        self,
        metadata: Metadata<'_>,
        vocabulary: &'a Vocabulary<'_>,
    ) -> Result<Kind<'a>, Error> {
        let add_bos = metadata.flag("tokenizer.ggml.add_bos_token")?.unwrap_or(self.add_bos);
        let add_eos = metadata.flag("tokenizer.ggml.add_eos_token")?.unwrap_or(false);
        let unknown = if self.byte_fallback { vocabulary.unknown } else { None };
        let model = Bpe {
            model_type: "BPE",
            dropout: (),
            unk_token: unknown.and_then(|id| vocabulary.piece(id)),
            continuing_subword_prefix: (),
            end_of_word_suffix: (),
            fuse_unk: self.byte_fallback,
            byte_fallback: self.byte_fallback,
            ignore_merges: self.ignore_merges,
            vocab: Pieces(&vocabulary.pieces),
            merges: self.merges,
        };
        Ok(Kind {
            normalizer: self.normalizer,
            pre_tokenizer: self.pre_tokenizer,
            decoder: self.decoder,
            model: Model::Bpe(model),
            frame: Frame {
                before: vocabulary.bos.filter(|_| add_bos),
                after: vocabulary.eos.filter(|_| add_eos),
                before_second: true,
            },
        })
    }
}

/// GPT-2's kind: bytes spelt as printable characters, the file's own merges.
pub(super) fn byte_level<'a>(
    metadata: Metadata<'a>,
    vocabulary: &'a Vocabulary<'_>,
    ids: &PieceIds<'_>,
) -> Result<Kind<'a>, Error> {
    let pre = pre_tokenizers::find(metadata.text("tokenizer.ggml.pre")?.unwrap_or("default"))?;
    let mut steps: Vec<Value> = pre.patterns.iter().map(|pattern| split(pattern)).collect();
    steps.push(json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false,
    }));
    let parts = Parts {
        normalizer: if pre.nfc { json!({"type": "NFC"}) } else { Value::Null },
        pre_tokenizer: json!({"type": "Sequence", "pretokenizers": steps}),
        decoder: json!({
            "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true,
        }),
        merges: file_merges(metadata, ids)?,
        byte_fallback: false,
        ignore_merges: pre.ignore_merges,
        add_bos: pre.add_bos,
    };
    parts.kind(metadata, vocabulary)
}

fn split(pattern: &str) -> Value {
    json!({
        "type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false,
    })
}

/// SentencePiece spells a token for several spaces `▁▁`; llama.cpp's converter writes the spaces.
pub(super) fn respell_spaces(vocabulary: &mut Vocabulary<'_>) {
    for (piece, kind) in vocabulary.pieces.iter_mut().zip(&vocabulary.kinds) {
        if *kind == TokenKind::UserDefined && piece.chars().all(|c| c == ' ') {
            *piece = piece.replace(' ', SPACE).into();
        }
    }
}

/// SentencePiece's BPE: spaces spelt `▁`, byte pieces, merges that follow from the scores.
pub(super) fn sentence_piece<'a>(
    metadata: Metadata<'a>,
    vocabulary: &'a Vocabulary<'_>,
    ids: &PieceIds<'_>,
) -> Result<Kind<'a>, Error> {
    check_byte_pieces(vocabulary)?;
    let add_space = metadata.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE});
    let prepend = json!({"type": "Prepend", "prepend": SPACE});
    let normalizer = if add_space {
        json!({"type": "Sequence", "normalizers": [prepend, replace]})
    } else {
        replace
    };
    let parts = Parts {
        normalizer,
        pre_tokenizer: Value::Null,
        decoder: space_decoder(add_space),
        merges: merges::from_scores(vocabulary, ids)?,
        byte_fallback: true,
        ignore_merges: false,
        add_bos: true,
    };
    parts.kind(metadata, vocabulary)
}

/// Gemma 4's kind: spelt as SentencePiece does, with the file's own merges.
pub(super) fn merged_sentence_piece<'a>(
    metadata: Metadata<'a>,
    vocabulary: &'a Vocabulary<'_>,
    ids: &PieceIds<'_>,
) -> Result<Kind<'a>, Error> {
    check_byte_pieces(vocabulary)?;
    let parts = Parts {
        normalizer: json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE}),
        // No merge crosses the end of a run of line feeds; shorter words are found sooner.
        pre_tokenizer: split("[^\\n]+|\\n+"),
        decoder: space_decoder(false),
        merges: file_merges(metadata, ids)?,
        byte_fallback: true,
        ignore_merges: false,
        add_bos: true,
    };
    parts.kind(metadata, vocabulary)
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
