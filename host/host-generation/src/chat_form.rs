//! How one checkpoint writes tool calls and thoughts, out of what its family declares.
//!
//! The chat template tells: it shows earlier calls and thoughts in the form that the model learned.
//! Marks may be control tokens, which texts never show; those are made visible to what looks for
//! marks, and are tokens in grammars.

use std::collections::BTreeMap;

use crate::guide::Awaited;
use host_model::{CallSyntax, ChatConventions, ReasoningForm, Tokenizer, ToolCallForm};

/// The forms of one checkpoint.
#[derive(Debug)]
pub(crate) struct ChatForm {
    pub(crate) tool_calls: ToolCallForm,
    /// None if it was not trained to think aloud.
    pub(crate) reasoning: Option<ReasoningForm>,
    /// Control tokens that are marks or parts of them, as text.
    control: BTreeMap<u32, String>,
}

/// A part of a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Control(u32),
    Text(&'a str),
}

impl ChatForm {
    pub(crate) fn new(
        conventions: &ChatConventions,
        template: Option<&str>,
        tokenizer: &Tokenizer,
    ) -> Self {
        let has = |marker: &str| template.is_some_and(|template| template.contains(marker));
        let calls = conventions.tool_calls.iter().find(|form| has(&form.marker));
        let reasoning = conventions.reasoning.iter().find(|form| has(&form.marker)).cloned();
        let tool_calls = calls.cloned().unwrap_or_else(ToolCallForm::hermes);
        let marks = marks(&tool_calls, reasoning.as_ref());
        let texts = tokenizer.special_tokens().map(|token| (token, tokenizer.token_text(token)));
        let is_in_marks =
            |text: &str| !text.is_empty() && marks.iter().any(|mark| mark.contains(text));
        let control = texts.filter(|(_, text)| is_in_marks(text)).collect();
        Self { tool_calls, reasoning, control }
    }

    /// The text of a control token that belongs to a mark.
    pub(crate) fn control_text(&self, token: u32) -> Option<&str> {
        self.control.get(&token).map(String::as_str)
    }

    /// What shows that a mark begins.
    pub(crate) fn awaited(&self, mark: &str) -> Awaited {
        match self.pieces(mark).first() {
            Some(Piece::Control(token)) => Awaited::Token(*token),
            Some(Piece::Text(text)) => Awaited::Text(text.trim().to_owned()),
            None => Awaited::Text(String::new()),
        }
    }

    /// A mark taken apart into control tokens and text.
    pub(crate) fn pieces<'a>(&self, mark: &'a str) -> Vec<Piece<'a>> {
        let mut pieces = Vec::new();
        let mut rest = mark;
        while !rest.is_empty() {
            let found = self
                .control
                .iter()
                .filter_map(|(token, text)| Some((rest.find(&**text)?, *token, text.len())))
                // Of those that begin together, the longest.
                .min_by_key(|(at, _, len)| (*at, usize::MAX - len));
            let Some((at, token, len)) = found else {
                pieces.push(Piece::Text(rest));
                break;
            };
            if at > 0 {
                pieces.push(Piece::Text(&rest[..at]));
            }
            pieces.push(Piece::Control(token));
            rest = &rest[at + len..];
        }
        pieces
    }
}

fn marks<'a>(calls: &'a ToolCallForm, reasoning: Option<&'a ReasoningForm>) -> Vec<&'a str> {
    let ToolCallForm { open, begin, end, between, close, call, .. } = calls;
    let mut marks: Vec<&str> = vec![open, begin, end, between, close];
    match call {
        CallSyntax::Json { .. } => {}
        CallSyntax::Named { mark } => marks.push(mark),
        CallSyntax::Tagged { function, argument } => {
            marks.extend(function.iter().chain(argument).map(String::as_str));
        }
        CallSyntax::Keyed { before, quote } => marks.extend([&**before, &**quote]),
    }
    marks.extend(reasoning.iter().flat_map(|form| [&*form.begin, &*form.end]));
    marks
}
