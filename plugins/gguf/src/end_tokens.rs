//! Finds the tokens that end a text.
//!
//! Files name one end token and often omit the one that ends a turn of a chat, so the well-known
//! spellings are looked up in the vocabulary, as llama.cpp does. Only pieces that text cannot
//! spell by accident count: control and user-defined ones.

use crate::metadata::Metadata;
use crate::vocabulary::{TokenKind, Vocabulary, token_id};
use plugin_api::Error;
use std::collections::HashMap;

/// Keys of end tokens, the main one first.
const KEYS: [&str; 3] =
    ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"];

/// Spellings that end a text, a turn or a message in some model family.
const SPELLINGS: [&str; 28] = [
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|calls|>",
    "<|flush|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "</s>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "[e~[",
    "<｜end▁of▁sentence｜>",
    "<|fim_pad|>",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<reponame>",
    "<|file_sep|>",
    "<fim-pad>",
];

/// A spelling that ends nothing in a vocabulary that has all of the others.
const EXCEPTIONS: [(&str, &[&str]); 3] = [
    ("<|end|>", &["<|return|>", "<|call|>"]),
    ("<|end|>", &["<|calls|>", "<|flush|>"]),
    ("</s>", &["<|tool_response>"]),
];

/// Ids of all end tokens: those the file names first, then the well-known ones in vocabulary order.
pub(crate) fn end_tokens(
    metadata: Metadata<'_>,
    vocabulary: &Vocabulary<'_>,
) -> Result<Vec<u32>, Error> {
    let mut ids = Vec::new();
    for key in KEYS {
        ids.extend(token_id(metadata, key, vocabulary.pieces.len())?);
    }
    let found: HashMap<&str, u32> = vocabulary
        .iter()
        .filter(|(_, _, kind)| matches!(kind, TokenKind::Control | TokenKind::UserDefined))
        .filter(|(_, piece, _)| SPELLINGS.contains(piece))
        .map(|(id, piece, _)| (piece, id))
        .collect();
    let excepted = |piece: &str| {
        EXCEPTIONS
            .iter()
            .any(|(name, others)| *name == piece && others.iter().all(|o| found.contains_key(o)))
    };
    let mut known: Vec<u32> =
        found.iter().filter(|(piece, _)| !excepted(piece)).map(|(_, id)| *id).collect();
    known.sort_unstable();
    ids.extend(known);
    let mut seen = Vec::new();
    ids.retain(|id| {
        !seen.contains(id) && {
            seen.push(*id);
            true
        }
    });
    Ok(ids)
}
