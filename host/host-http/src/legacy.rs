//! Logprobs as text completions have them: parallel lists, and likely tokens by their text.
//!
//! Two tokens can have the same text, and a token need not be whole characters, so a token that is
//! not text is named by its bytes, as OpenAI does, and of equal names the likelier wins. The ids are
//! there beside them for clients that want to be sure.

use host_generation::TokenPiece;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::wire::finite;

/// Logprobs of a text completion.
#[derive(Debug, Default, Serialize)]
pub(crate) struct TextLogprobs {
    tokens: Vec<String>,
    token_logprobs: Vec<Option<f32>>,
    top_logprobs: Vec<Option<Map<String, Value>>>,
    text_offset: Vec<usize>,
    token_ids: Vec<u32>,
}

impl TextLogprobs {
    pub(crate) fn new(pieces: Vec<TokenPiece>) -> Self {
        let mut logprobs = Self::default();
        for piece in pieces {
            let name = name(&piece.text, &piece.bytes);
            logprobs.top_logprobs.push(top_of(&piece, &name));
            logprobs.tokens.push(name);
            logprobs.token_logprobs.push(piece.logprob.map(finite));
            logprobs.text_offset.push(piece.text_offset);
            logprobs.token_ids.push(piece.id);
        }
        logprobs
    }
}

/// The likely tokens, the chosen one among them.
fn top_of(piece: &TokenPiece, chosen: &str) -> Option<Map<String, Value>> {
    let logprob = piece.logprob?;
    if piece.top.is_empty() {
        return None;
    }
    let mut top = Map::new();
    for entry in &piece.top {
        let key = name(&entry.text, &entry.bytes);
        top.entry(key).or_insert_with(|| finite(entry.logprob).into());
    }
    top.entry(chosen).or_insert_with(|| finite(logprob).into());
    Some(top)
}

/// A token's text, or its bytes where they are no text.
fn name(text: &str, bytes: &[u8]) -> String {
    if text.as_bytes() == bytes {
        return text.to_owned();
    }
    bytes.iter().fold("bytes:".to_owned(), |name, byte| format!("{name}\\x{byte:02x}"))
}
