//! Finds where the end of a text occurred before in it.
//!
//! Text that repeats itself (code that is edited, quotations, lists) goes on as it did the last
//! time, so the tokens after an earlier occurrence are a good guess at the next ones. Places are
//! linked by the pair of tokens that ends there, each place to the one before it with a like pair;
//! a token is indexed once and a search looks at a few places. It guesses only: what it says need
//! not be right, and it knows no model.

use crate::TokenId;

/// Tokens that a place must have in common with the end of the text: the pair.
const MATCH_MIN: usize = 2;

/// Tokens in common after which no better place is looked for.
const MATCH_MAX: usize = 8;

/// Most places that are compared.
const PLACES_MAX: usize = 16;

/// No place.
const NONE: u32 = u32::MAX;

/// Fewest entries of the table of pairs.
const PAIRS_MIN: usize = 256;

/// The places of a text that grows.
#[derive(Debug, Default)]
pub(crate) struct Lookup {
    /// Last place of each pair, by its hash; a power of two, no shorter than the text.
    last: Vec<u32>,
    /// For each place, the one before it of the same hash.
    earlier: Vec<u32>,
}

impl Lookup {
    /// Writes to `out` the `count` tokens that followed where the text ended as it ends now; none
    /// if it never did. The text may have grown since the last call, and must not have changed.
    pub(crate) fn continue_text(&mut self, text: &[TokenId], count: usize, out: &mut Vec<TokenId>) {
        out.clear();
        self.extend(text);
        let Some(place) = self.best_place(text) else { return };
        for source in place + 1..place + 1 + count {
            // A text that repeats with a short period is continued by what was just written.
            let token = text.get(source).copied().unwrap_or_else(|| out[source - text.len()]);
            out.push(token);
        }
    }

    /// Links the places that were not, up to the last but one: that is the last to have a follower.
    fn extend(&mut self, text: &[TokenId]) {
        if text.len() > self.last.len() {
            self.last.clear();
            self.last.resize((2 * text.len()).next_power_of_two().max(PAIRS_MIN), NONE);
            self.earlier.clear();
        }
        for place in self.earlier.len()..text.len().saturating_sub(1) {
            let before = match place {
                0 => NONE,
                _ => {
                    let slot = self.slot(text, place);
                    std::mem::replace(&mut self.last[slot], place as u32)
                }
            };
            self.earlier.push(before);
        }
    }

    /// The place with most in common with the end, the latest of several.
    fn best_place(&self, text: &[TokenId]) -> Option<usize> {
        if text.len() <= MATCH_MIN {
            return None;
        }
        let mut place = self.last[self.slot(text, text.len() - 1)];
        let (mut best, mut best_length) = (None, MATCH_MIN - 1);
        for _ in 0..PLACES_MAX {
            if place == NONE {
                break;
            }
            let length = common_end(&text[..=place as usize], text);
            if length > best_length {
                (best, best_length) = (Some(place as usize), length);
            }
            if length == MATCH_MAX {
                break;
            }
            place = self.earlier[place as usize];
        }
        best
    }

    /// Entry of the pair that ends at `place`.
    fn slot(&self, text: &[TokenId], place: usize) -> usize {
        let pair = u64::from(text[place - 1]) << 32 | u64::from(text[place]);
        let hash = pair.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash >> 32) as usize & (self.last.len() - 1)
    }
}

/// Tokens in which two texts end alike, as far as that matters.
fn common_end(one: &[TokenId], other: &[TokenId]) -> usize {
    let pairs = one.iter().rev().zip(other.iter().rev());
    pairs.take(MATCH_MAX).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Lookup, MATCH_MAX, PLACES_MAX, common_end};

    fn continued(text: &[u32], count: usize) -> Vec<u32> {
        let mut out = vec![7; 3];
        Lookup::default().continue_text(text, count, &mut out);
        out
    }

    #[test]
    fn the_text_goes_on_as_it_did_before() {
        assert_eq!(continued(&[1, 2, 3, 4, 5, 9, 1, 2, 3], 2), [4, 5]);
        assert_eq!(continued(&[1, 2, 3, 4, 5, 9, 1, 2, 3], 0), []);
        // The longer match wins over the later one, and the later one of equals.
        assert_eq!(continued(&[8, 1, 2, 3, 7, 1, 2, 4, 8, 1, 2], 1), [3]);
        assert_eq!(continued(&[8, 1, 2, 3, 8, 1, 2, 4, 8, 1, 2], 1), [4]);
    }

    #[test]
    fn a_short_period_goes_on_for_ever() {
        assert_eq!(continued(&[5, 1, 2, 3, 1, 2, 3], 7), [1, 2, 3, 1, 2, 3, 1]);
        assert_eq!(continued(&[5, 6, 6, 6], 4), [6; 4]);
    }

    #[test]
    fn nothing_follows_what_was_never_said() {
        for text in [&[][..], &[1], &[1, 1], &[1, 2, 3], &[1, 2, 3, 2]] {
            assert_eq!(continued(text, 4), [], "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn an_index_that_grew_says_what_a_new_one_says(
            text in prop::collection::vec(0_u32..5, 0..700),
            cuts in prop::collection::vec(0_usize..700, 0..8),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let mut lookup = Lookup::default();
            let mut out = Vec::new();
            for cut in cuts {
                lookup.continue_text(&text[..cut], 3, &mut out);
                prop_assert_eq!(&out, &continued(&text[..cut], 3));
            }
        }

        #[test]
        fn the_best_of_the_latest_places_is_found(
            text in prop::collection::vec(0_u32..6, 3..60),
        ) {
            let ends_alike = |place: usize| common_end(&text[..=place], &text);
            let places = (1..text.len() - 1).rev().filter(|place| ends_alike(*place) >= 2);
            // The first of the best, from the latest back.
            let best = places.take(PLACES_MAX).fold(None, |best, place| match best {
                Some(best) if ends_alike(best) >= ends_alike(place) => Some(best),
                _ => Some(place),
            });
            let expected: Vec<u32> = best.map(|place| text[place + 1]).into_iter().collect();
            prop_assert!(best.is_none_or(|place| ends_alike(place) <= MATCH_MAX));
            prop_assert_eq!(continued(&text, 1), expected);
        }
    }
}
