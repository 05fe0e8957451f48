//! The merges of a BPE model, in the order in which they apply: the file's own, or those that
//! follow from SentencePiece's scores.
//!
//! Deriving them looks at every way to cut every piece in two. To look a part up without reading
//! it again, parts are compared by a hash that comes from the hashes of the piece's beginnings in
//! one step; only parts that are found are compared as text. So the work grows with the length of
//! the vocabulary and the number of merges, whatever the pieces are.

use crate::fault::{fault, fault_with_hint, shown};
use crate::vocabulary::{TokenKind, Vocabulary};
use plugin_api::Error;
use std::cmp::Reverse;
use std::collections::HashMap;

/// Longest piece that takes part in derived merges; real ones stay below 100 bytes.
const PIECE_BYTES_MAX: usize = 512;
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

/// Token id of each piece.
pub(super) type PieceIds<'a> = HashMap<&'a str, u32>;

/// Token ids by text; two tokens of one text are refused.
pub(super) fn piece_ids<'a>(vocabulary: &'a Vocabulary<'_>) -> Result<PieceIds<'a>, Error> {
    let mut ids = PieceIds::with_capacity(vocabulary.pieces.len());
    for (id, piece, _) in vocabulary.iter() {
        if let Some(other) = ids.insert(piece, id) {
            let found = format!("{} as tokens {other} and {id}", shown(piece.as_bytes()));
            return Err(fault("tokenizer.ggml.tokens", found, "every text once"));
        }
    }
    Ok(ids)
}

/// Merges that the file lists, one in a line: two pieces with a space between them.
pub(super) fn from_lines<'a>(
    lines: impl ExactSizeIterator<Item = Result<&'a str, Error>>,
    ids: &PieceIds<'_>,
) -> Result<Vec<(&'a str, &'a str)>, Error> {
    let mut merges = Vec::with_capacity(lines.len());
    let mut merged = String::new();
    for (index, line) in lines.enumerate() {
        let line = line?;
        // The first character belongs to the left piece, even if it is a space.
        let first = line.chars().next().map_or(0, char::len_utf8);
        let space = line[first..].find(' ').map(|space| space + first);
        let parts = space.map(|space| (&line[..space], &line[space + 1..]));
        let known = parts.filter(|(left, right)| {
            merged.clear();
            merged.push_str(left);
            merged.push_str(right);
            [left, right, merged.as_str()].iter().all(|piece| ids.contains_key(piece))
        });
        merges.push(known.ok_or_else(|| {
            let field = format!("tokenizer.ggml.merges: merge {index}");
            let expected = "two pieces of the vocabulary with a space between them, \
                            whose join is a piece too";
            fault(field, shown(line.as_bytes()), expected)
        })?);
    }
    Ok(merges)
}

/// A piece cut in two.
struct Cut {
    score: f32,
    left: u32,
    right: u32,
    /// Characters of the parts.
    lengths: (usize, usize),
}

/// Merges that follow from SentencePiece's scores: of all pairs of neighbours whose join is a
/// piece, SentencePiece joins the one with the highest score. Equal scores are ordered as Hugging
/// Face's converter orders them.
pub(super) fn from_scores<'a>(
    vocabulary: &'a Vocabulary<'_>,
    ids: &PieceIds<'_>,
) -> Result<Vec<(&'a str, &'a str)>, Error> {
    if vocabulary.scores.is_empty() {
        return Err(fault("tokenizer.ggml.scores", "no such key", "a score for each token"));
    }
    let pieces: Vec<&'a str> = vocabulary.pieces.iter().map(AsRef::as_ref).collect();
    let parts = Parts::new(&pieces, ids);
    let mut cuts = Vec::new();
    for ((_, piece, kind), score) in vocabulary.iter().zip(&vocabulary.scores) {
        if matches!(kind, TokenKind::Control | TokenKind::Unknown | TokenKind::Byte) {
            continue;
        }
        if piece.len() > PIECE_BYTES_MAX {
            let found = format!("a piece of {} bytes", piece.len());
            let expected = format!("at most {PIECE_BYTES_MAX}");
            let hint = "open the Hugging Face folder of this model instead";
            return Err(fault_with_hint("tokenizer.ggml.tokens", found, expected, hint));
        }
        // SentencePiece gives these 0, the highest score; llama.cpp's converter forgets it.
        let score = if kind == TokenKind::UserDefined { 0.0 } else { *score };
        parts.cut(piece, score, &mut cuts);
    }
    cuts.sort_by(|a, b| {
        let by_length = Reverse(a.lengths).cmp(&Reverse(b.lengths));
        b.score.total_cmp(&a.score).then(by_length)
    });
    let text = |id: u32| pieces[id as usize];
    Ok(cuts.into_iter().map(|cut| (text(cut.left), text(cut.right))).collect())
}

/// Finds pieces by the hash of their text.
struct Parts<'a> {
    pieces: &'a [&'a str],
    by_hash: HashMap<u64, u32>,
    /// Powers of [`BASE`].
    powers: Vec<u64>,
}

impl<'a> Parts<'a> {
    fn new(pieces: &'a [&'a str], ids: &PieceIds<'_>) -> Self {
        let by_hash = ids.iter().map(|(piece, id)| (piece.bytes().fold(0, extended), *id));
        let powers = std::iter::successors(Some(1_u64), |power| Some(power.wrapping_mul(BASE)));
        Self {
            pieces,
            by_hash: by_hash.collect(),
            powers: powers.take(PIECE_BYTES_MAX + 1).collect(),
        }
    }

    /// Adds every way to cut `piece` into two pieces, ordered by their ids.
    fn cut(&self, piece: &str, score: f32, cuts: &mut Vec<Cut>) {
        let whole = piece.bytes().fold(0, extended);
        let count = piece.chars().count();
        let first = cuts.len();
        let mut left_hash = 0;
        let mut left_end = 0;
        for (left_count, character) in (1..count).zip(piece.chars()) {
            let end = left_end + character.len_utf8();
            left_hash = piece[left_end..end].bytes().fold(left_hash, extended);
            left_end = end;
            let shift = self.powers[piece.len() - end];
            let right_hash = whole.wrapping_sub(left_hash.wrapping_mul(shift));
            let found =
                self.find(left_hash, &piece[..end]).zip(self.find(right_hash, &piece[end..]));
            if let Some((left, right)) = found {
                cuts.push(Cut { score, left, right, lengths: (left_count, count - left_count) });
            }
        }
        cuts[first..].sort_by_key(|cut| (cut.left, cut.right));
    }

    fn find(&self, hash: u64, part: &str) -> Option<u32> {
        let id = *self.by_hash.get(&hash)?;
        (self.pieces[id as usize] == part).then_some(id)
    }
}

/// The hash of a text that is one byte longer.
fn extended(hash: u64, byte: u8) -> u64 {
    hash.wrapping_mul(BASE).wrapping_add(u64::from(byte) + 1)
}
