//! Logprobs as text completions have them: parallel lists, and likely tokens by their text.
//!
//! Two tokens can have the same text, and a token need not be whole characters, so a token that is
//! not text is named by its bytes, as OpenAI does, and of equal names the likelier wins. The ids are
//! there beside them for clients that want to be sure.

use host_generation::TokenPiece;
use serde::{Serialize, Serializer};

use crate::wire::finite;

/// Logprobs of a text completion.
#[derive(Debug, Default, Serialize)]
pub(crate) struct TextLogprobs {
    tokens: Vec<String>,
    token_logprobs: Vec<Option<f32>>,
    top_logprobs: Vec<Option<TopLogprobs>>,
    text_offset: Vec<usize>,
    token_ids: Vec<u32>,
}

/// Likely tokens by name, best first; an object on the wire.
#[derive(Debug)]
struct TopLogprobs(Vec<(String, f32)>);

impl Serialize for TopLogprobs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, logprob)| (name, logprob)))
    }
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
fn top_of(piece: &TokenPiece, chosen: &str) -> Option<TopLogprobs> {
    let logprob = piece.logprob?;
    if piece.top.is_empty() {
        return None;
    }
    let likely = piece.top.iter().map(|top| (name(&top.text, &top.bytes), top.logprob));
    let mut top: Vec<(String, f32)> = Vec::with_capacity(piece.top.len() + 1);
    for (name, logprob) in likely.chain([(chosen.to_owned(), logprob)]) {
        if top.iter().all(|(known, _)| *known != name) {
            top.push((name, finite(logprob)));
        }
    }
    Some(TopLogprobs(top))
}

/// A token's text, or its bytes where they are no text.
fn name(text: &str, bytes: &[u8]) -> String {
    if text.as_bytes() == bytes {
        return text.to_owned();
    }
    bytes.iter().fold("bytes:".to_owned(), |name, byte| format!("{name}\\x{byte:02x}"))
}
