//! Tokens that a sequence is likely to say next, so that one step can check several.
//!
//! A step with a few rows more costs little beside reading the weights, so a draft that is right
//! saves whole steps; one that is wrong costs its rows. How many tokens are drafted therefore
//! follows what became of the drafts before: text that does not repeat itself soon drafts hardly
//! anything. A draft never changes what is said, only how many steps it takes.

use crate::TokenId;
use crate::lookup::Lookup;

/// Tokens of the first draft.
const FIRST_LENGTH: usize = 2;

/// Tokens for which nothing is drafted after drafts that were all wrong; twice as many each time.
const REST_MIN: usize = 16;
const REST_MAX: usize = 512;

/// Drafts for one sequence.
#[derive(Debug)]
pub(crate) struct Drafter {
    lookup: Lookup,
    tokens: Vec<TokenId>,
    pace: Pace,
}

impl Drafter {
    pub(crate) fn new() -> Self {
        Self { lookup: Lookup::default(), tokens: Vec::new(), pace: Pace::default() }
    }

    /// Drafts what may follow a text, at most `tokens_max` tokens; returns how many.
    pub(crate) fn draft(&mut self, text: &[TokenId], tokens_max: usize) -> usize {
        self.tokens.clear();
        let count = self.pace.next().min(tokens_max);
        if count > 0 {
            self.lookup.continue_text(text, count, &mut self.tokens);
        }
        self.tokens.len()
    }

    /// The first `count` tokens of the draft.
    pub(crate) fn tokens(&self, count: usize) -> &[TokenId] {
        &self.tokens[..count]
    }

    /// Learns that of `drafted` tokens the first `accepted` were right.
    pub(crate) fn note(&mut self, drafted: usize, accepted: usize, tokens_max: usize) {
        self.pace.note(drafted, accepted, tokens_max);
    }
}

/// How much to draft.
#[derive(Debug)]
struct Pace {
    length: usize,
    /// Steps for which to draft nothing.
    rest: usize,
    /// The next such time.
    next_rest: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { length: FIRST_LENGTH, rest: 0, next_rest: REST_MIN }
    }
}

impl Pace {
    fn next(&mut self) -> usize {
        if self.rest > 0 {
            self.rest -= 1;
            return 0;
        }
        self.length
    }

    fn note(&mut self, drafted: usize, accepted: usize, tokens_max: usize) {
        if drafted == 0 {
            return;
        }
        if accepted == drafted {
            self.length = (2 * self.length).min(tokens_max);
            self.next_rest = REST_MIN;
        } else if accepted > 0 {
            self.length = accepted;
        } else if self.length > 1 {
            self.length /= 2;
        } else {
            self.rest = self.next_rest;
            self.next_rest = (2 * self.next_rest).min(REST_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pace;

    /// Tokens drafted in each of `steps` steps when so many of each draft are right.
    fn drafted(steps: usize, right: usize) -> Vec<usize> {
        let mut pace = Pace::default();
        let step = || {
            let count = pace.next();
            pace.note(count, right.min(count), 16);
            count
        };
        std::iter::repeat_with(step).take(steps).collect()
    }

    #[test]
    fn drafts_that_are_right_grow() {
        assert_eq!(drafted(6, 100), [2, 4, 8, 16, 16, 16]);
    }

    #[test]
    fn drafts_settle_where_they_are_right() {
        assert_eq!(drafted(6, 3), [2, 4, 3, 6, 3, 6]);
    }

    #[test]
    fn drafts_that_are_wrong_cost_next_to_nothing() {
        let counts = drafted(2000, 0);
        assert_eq!(counts[..4], [2, 1, 0, 0]);
        assert_eq!(counts[18], 1, "it tries again");
        assert!(counts.iter().sum::<usize>() < 12, "{counts:?}");
    }
}
