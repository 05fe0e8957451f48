//! Grammars on their way through a completion.
//!
//! A [`Guide`] holds from the first token. An [`AwaitingGuide`] lets a model write what it likes
//! until a mark: the end of its thoughts, or the beginning of a tool call.

use std::fmt;

use host_engine::{Constraint, TokenId, TokenSet};
use host_model::Tokenizer;
use llguidance::Matcher;

use crate::grammar::in_one_line;

/// A grammar that holds from the first token.
#[derive(Clone)]
pub(crate) struct Guide {
    matcher: Matcher,
}

impl Guide {
    pub(crate) fn new(matcher: Matcher) -> Self {
        Self { matcher }
    }
}

impl fmt::Debug for Guide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guide").field("stop_reason", &self.matcher.stop_reason()).finish()
    }
}

impl Constraint for Guide {
    fn allow(&mut self, allowed: &mut TokenSet) -> Result<bool, String> {
        let set = self.matcher.compute_mask_or_eos().map_err(in_one_line)?;
        allowed.set_words(set.as_slice());
        Ok(true)
    }

    fn accept(&mut self, token: TokenId) -> Result<bool, String> {
        self.matcher.consume_token(token).map_err(in_one_line)?;
        Ok(self.matcher.is_stopped())
    }

    fn boxed_clone(&self) -> Box<dyn Constraint> {
        Box::new(self.clone())
    }
}

/// What a grammar waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// A control token.
    Token(TokenId),
    /// Text, and no more than space behind it in the same token.
    Text(String),
    /// So many bytes from the beginning on that the grammar allows: they cannot be anything else.
    Beginning(usize),
}

/// What comes after the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Afterwards {
    /// Nothing.
    End,
    /// The model is free until the mark comes again.
    Wait,
}

/// A grammar that holds from a mark on.
#[derive(Clone)]
pub(crate) struct AwaitingGuide {
    tokenizer: Tokenizer,
    awaited: Awaited,
    afterwards: Afterwards,
    /// The grammar at its beginning.
    fresh: Matcher,
    state: State,
}

#[derive(Clone)]
enum State {
    /// With the last bytes that were written.
    Waiting(Vec<u8>),
    /// It is seen whether the answer begins as the grammar does; so many bytes did.
    Trying(Box<Guide>, usize),
    Bound(Box<Guide>),
    /// The mark cannot come any more.
    Free,
}

impl AwaitingGuide {
    pub(crate) fn new(
        tokenizer: &Tokenizer,
        awaited: Awaited,
        afterwards: Afterwards,
        fresh: Matcher,
    ) -> Self {
        let state = match awaited {
            Awaited::Beginning(_) => State::Trying(Box::new(Guide::new(fresh.clone())), 0),
            Awaited::Token(_) | Awaited::Text(_) => State::Waiting(Vec::new()),
        };
        Self { tokenizer: tokenizer.clone(), awaited, afterwards, fresh, state }
    }

    /// Whether the mark has come with this token.
    fn has_come(&mut self, token: TokenId) -> bool {
        let State::Waiting(tail) = &mut self.state else { return false };
        let text = match &self.awaited {
            Awaited::Token(awaited) => return *awaited == token,
            Awaited::Beginning(_) => return false,
            Awaited::Text(text) => text.as_bytes(),
        };
        tail.extend(self.tokenizer.token_bytes(token));
        let written = tail.trim_ascii_end();
        if written.ends_with(text) {
            tail.clear();
            return true;
        }
        let surplus = tail.len().saturating_sub(2 * text.len());
        tail.drain(..surplus);
        false
    }

    fn try_on(&mut self, token: TokenId) {
        let State::Trying(guide, bytes) = &mut self.state else { return };
        let Awaited::Beginning(enough) = self.awaited else { return };
        *bytes += self.tokenizer.token_bytes(token).len();
        if guide.matcher.try_consume_tokens(&[token]).is_ok_and(|count| count == 1) {
            if *bytes >= enough {
                self.state = State::Bound(guide.clone());
            }
        } else {
            self.state = State::Free;
        }
    }
}

impl fmt::Debug for AwaitingGuide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_bound = matches!(self.state, State::Bound(_));
        let mut debug = f.debug_struct("AwaitingGuide");
        debug.field("awaited", &self.awaited).field("is_bound", &is_bound).finish_non_exhaustive()
    }
}

impl Constraint for AwaitingGuide {
    fn allow(&mut self, allowed: &mut TokenSet) -> Result<bool, String> {
        match &mut self.state {
            State::Bound(guide) => guide.allow(allowed),
            State::Waiting(_) | State::Trying(..) | State::Free => Ok(false),
        }
    }

    fn accept(&mut self, token: TokenId) -> Result<bool, String> {
        match &mut self.state {
            State::Bound(guide) => {
                let is_over = guide.accept(token)?;
                if is_over && self.afterwards == Afterwards::Wait {
                    let goes_on = !matches!(self.awaited, Awaited::Beginning(_));
                    self.state = if goes_on { State::Waiting(Vec::new()) } else { State::Free };
                    return Ok(false);
                }
                Ok(is_over)
            }
            State::Trying(..) => {
                self.try_on(token);
                Ok(false)
            }
            State::Waiting(_) | State::Free => {
                if self.has_come(token) {
                    self.state = State::Bound(Box::new(Guide::new(self.fresh.clone())));
                }
                Ok(false)
            }
        }
    }

    fn boxed_clone(&self) -> Box<dyn Constraint> {
        Box::new(self.clone())
    }
}
