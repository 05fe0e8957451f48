//! Makes the text of one choice from its tokens.
//!
//! Streamed and whole answers both come from here, so they cannot differ. A token's logprobs are
//! given out with the text that the token begins, never before it and never for text that a stop
//! sequence took away. It keeps no clock and knows no channel.

use std::collections::VecDeque;
use std::sync::Arc;

use host_engine::TokenLogprobs;
use host_model::{Detokenizer, Tokenizer};

use crate::chat_form::ChatForm;
use crate::reasoning::{ReasoningSplitter, Split};
use crate::stop::{Match, StopMatcher};
use crate::stream::{Delta, TokenPiece, TopPiece};
use crate::tool_calls::{Parsed, ToolCallParser};
use crate::tools::{ToolChoice, Tools};

/// What a choice is assembled for.
#[derive(Debug)]
pub(crate) struct AssemblerOptions<'a> {
    pub(crate) tokenizer: &'a Tokenizer,
    pub(crate) prompt: &'a [u32],
    /// Text to begin with, if the prompt is echoed.
    pub(crate) echo: Option<&'a str>,
    pub(crate) stop: &'a [String],
    /// Whether logprobs come with the tokens.
    pub(crate) logprobs: bool,
    /// How the model writes thoughts and tool calls.
    pub(crate) form: &'a Arc<ChatForm>,
    /// Tools whose calls are to be found in the text.
    pub(crate) tools: Option<&'a Tools>,
    /// The conversation as text, if the answer may begin with thoughts.
    pub(crate) chat: Option<&'a str>,
    /// Most tokens of the completion.
    pub(crate) tokens_max: usize,
}

/// The text of one choice, as far as its tokens have come.
#[derive(Debug)]
pub(crate) struct Assembler {
    tokenizer: Tokenizer,
    detokenizer: Option<Detokenizer>,
    matcher: StopMatcher,
    form: Arc<ChatForm>,
    reasoning: Option<ReasoningSplitter>,
    tool_calls: Option<ToolCallParser>,
    /// Whether the answer is tool calls and nothing else.
    only_calls: bool,
    tokens_max: usize,
    echo: Option<Echo>,
    /// Pieces whose text has not been shown, each with the length of text before it.
    unshown: VecDeque<(TokenPiece, usize)>,
    /// Characters decoded, held back ones included.
    decoded_chars: usize,
    /// Bytes decoded, held back ones included.
    decoded: usize,
    shown: usize,
    /// Tokens since the last delta.
    fresh_tokens: usize,
    completion_tokens: usize,
    reasoning_tokens: usize,
    logprobs: bool,
}

/// The prompt, to be shown before the completion.
#[derive(Debug)]
struct Echo {
    text: String,
    pieces: Vec<TokenPiece>,
    detokenizer: Detokenizer,
    chars: usize,
}

impl Assembler {
    pub(crate) fn new(options: &AssemblerOptions<'_>) -> Self {
        let (tokenizer, form) = (options.tokenizer, options.form);
        let splitter = |prompt| Some(ReasoningSplitter::new(form.reasoning.as_ref()?, prompt));
        let parser = |tools: &Tools| {
            ToolCallParser::new(&form.tool_calls, Arc::clone(&tools.offered), tools.calls_max())
        };
        let mut assembler = Self {
            detokenizer: Some(tokenizer.detokenizer(options.prompt)),
            tokenizer: tokenizer.clone(),
            matcher: StopMatcher::new(options.stop),
            form: Arc::clone(form),
            reasoning: options.chat.and_then(splitter),
            tool_calls: options.tools.map(parser),
            only_calls: options.tools.is_some_and(|tools| tools.choice != ToolChoice::Auto),
            tokens_max: options.tokens_max,
            echo: options.echo.map(|text| Echo {
                text: text.to_owned(),
                pieces: Vec::new(),
                detokenizer: tokenizer.detokenizer(&[]),
                chars: 0,
            }),
            unshown: VecDeque::new(),
            decoded_chars: options.echo.map_or(0, |text| text.chars().count()),
            decoded: 0,
            shown: 0,
            fresh_tokens: 0,
            completion_tokens: 0,
            reasoning_tokens: 0,
            logprobs: options.logprobs,
        };
        // Nothing comes before the first token of a prompt, so it has no logprob.
        if let (Some(&first), true) = (options.prompt.first(), options.logprobs) {
            assembler.score_prompt_token(first, None);
        }
        assembler
    }

    /// Whether the answer has a tool call so far.
    pub(crate) fn has_tool_calls(&self) -> bool {
        self.tool_calls.as_ref().is_some_and(|parser| parser.call_count() > 0)
    }

    /// The stop sequence that ended the text.
    pub(crate) fn stop_sequence(&self) -> Option<&str> {
        self.matcher.found()
    }

    /// Tokens of the completion, as far as the text needed them.
    pub(crate) fn completion_tokens(&self) -> usize {
        self.completion_tokens
    }

    /// Those of them that were thoughts.
    pub(crate) fn reasoning_tokens(&self) -> usize {
        self.reasoning_tokens
    }

    /// Takes the logprobs of prompt tokens, which are shown with the echo.
    pub(crate) fn push_prompt(&mut self, logprobs: Vec<TokenLogprobs>) {
        for entry in logprobs {
            self.score_prompt_token(entry.token, Some(&entry));
        }
    }

    /// Takes a token; whether a stop sequence ended the text with it.
    pub(crate) fn push(
        &mut self,
        token: u32,
        logprobs: Option<&TokenLogprobs>,
    ) -> (Option<Delta>, bool) {
        self.fresh_tokens += 1;
        self.completion_tokens += 1;
        let is_thinking = self.reasoning.as_ref().is_some_and(ReasoningSplitter::is_thinking);
        self.reasoning_tokens += usize::from(is_thinking);
        if let (true, Some(entry)) = (self.logprobs, logprobs) {
            let piece = piece(&self.tokenizer, entry, self.decoded_chars);
            self.unshown.push_back((piece, self.decoded));
        }
        let mut text = self.detokenizer.as_mut().map(|it| it.push(token)).unwrap_or_default();
        text.push_str(self.mark(token));
        let (delta, stopped) = self.show(&text);
        // A reader should see that the model is at work although such tokens have no text.
        let is_silent = delta.is_none() && self.tokenizer.is_special(token);
        if is_silent {
            let token_count = std::mem::take(&mut self.fresh_tokens);
            return (self.with_echo(Delta { token_count, ..Delta::default() }), stopped);
        }
        (delta, stopped)
    }

    /// The rest of the text once no token comes any more; whether a stop sequence ended it.
    pub(crate) fn finish(&mut self) -> (Option<Delta>, bool) {
        let text = self.detokenizer.take().map(Detokenizer::finish).unwrap_or_default();
        let (delta, stopped) = self.show(&text);
        if stopped {
            return (delta, true);
        }
        let mut delta = delta.unwrap_or_default();
        let rest = self.matcher.finish();
        self.part(&rest, &mut delta);
        self.part_end(&mut delta);
        delta.tokens.extend(self.unshown.drain(..).map(|(piece, _)| piece));
        delta.token_count += std::mem::take(&mut self.fresh_tokens);
        (self.with_echo(delta), false)
    }

    fn show(&mut self, text: &str) -> (Option<Delta>, bool) {
        self.decoded += text.len();
        self.decoded_chars += text.chars().count();
        let (text, stopped) = match self.matcher.push(text) {
            Match::None(text) => (text, false),
            Match::Stop(text) => (text, true),
        };
        self.shown += text.len();
        let ready = self.unshown.iter().take_while(|(_, start)| *start < self.shown).count();
        let tokens: Vec<TokenPiece> = self.unshown.drain(..ready).map(|(piece, _)| piece).collect();
        if stopped {
            self.unshown.clear();
        }
        let mut delta = Delta { tokens, ..Delta::default() };
        self.part(&text, &mut delta);
        if stopped {
            self.part_end(&mut delta);
        }
        let stopped = stopped || self.has_called_enough();
        if delta == Delta::default() && !stopped {
            return (None, false);
        }
        delta.token_count = std::mem::take(&mut self.fresh_tokens);
        (self.with_echo(delta), stopped)
    }

    /// Whether no further tool call may come, or none that has room: an answer of calls ends with a
    /// whole one rather than with a part of the next.
    fn has_called_enough(&self) -> bool {
        let Some(parser) = &self.tool_calls else { return false };
        let left = self.tokens_max.saturating_sub(self.completion_tokens);
        let call_tokens = self.completion_tokens / parser.call_count().max(1);
        parser.is_done() || self.only_calls && parser.is_between_calls() && left < call_tokens
    }

    /// The text of a control token that is a mark, where marks are looked for.
    fn mark(&self, token: u32) -> &str {
        let looks = self.reasoning.is_some() || self.tool_calls.is_some();
        looks.then(|| self.form.control_text(token)).flatten().unwrap_or_default()
    }

    /// Adds text to a delta, its thoughts and tool calls apart.
    fn part(&mut self, text: &str, delta: &mut Delta) {
        match &mut self.reasoning {
            None => self.part_answer(text, delta),
            Some(splitter) => {
                let split = splitter.push(text);
                self.part_split(&split, delta);
            }
        }
    }

    fn part_split(&mut self, split: &Split, delta: &mut Delta) {
        delta.reasoning.push_str(&split.reasoning);
        self.part_answer(&split.text, delta);
    }

    fn part_answer(&mut self, text: &str, delta: &mut Delta) {
        let Some(parser) = &mut self.tool_calls else { return delta.text.push_str(text) };
        let Parsed { text, calls } = parser.push(text);
        delta.text.push_str(&text);
        delta.tool_calls.extend(calls);
    }

    /// Adds what may no longer become a mark or a tool call.
    fn part_end(&mut self, delta: &mut Delta) {
        if let Some(splitter) = &mut self.reasoning {
            let split = splitter.finish();
            self.part_split(&split, delta);
        }
        if let Some(parser) = &mut self.tool_calls {
            delta.text.push_str(&parser.finish());
        }
    }

    /// Puts the echo before the first delta; nothing at all is no delta.
    fn with_echo(&mut self, mut delta: Delta) -> Option<Delta> {
        if let Some(echo) = self.echo.take() {
            delta.text.insert_str(0, &echo.text);
            delta.tokens.splice(0..0, echo.pieces);
        }
        (delta != Delta::default()).then_some(delta)
    }

    fn score_prompt_token(&mut self, token: u32, entry: Option<&TokenLogprobs>) {
        let Some(echo) = &mut self.echo else { return };
        let scored = match entry {
            Some(entry) => piece(&self.tokenizer, entry, echo.chars),
            None => TokenPiece {
                id: token,
                text: self.tokenizer.token_text(token),
                bytes: self.tokenizer.token_bytes(token),
                logprob: None,
                top: Vec::new(),
                text_offset: echo.chars,
            },
        };
        echo.pieces.push(scored);
        echo.chars += echo.detokenizer.push(token).chars().count();
    }
}

fn piece(tokenizer: &Tokenizer, entry: &TokenLogprobs, text_offset: usize) -> TokenPiece {
    let top = entry.top.iter().map(|top| TopPiece {
        id: top.token,
        text: tokenizer.token_text(top.token),
        bytes: tokenizer.token_bytes(top.token),
        logprob: top.logprob,
    });
    TokenPiece {
        id: entry.token,
        text: tokenizer.token_text(entry.token),
        bytes: tokenizer.token_bytes(entry.token),
        logprob: Some(entry.logprob),
        top: top.collect(),
        text_offset,
    }
}
