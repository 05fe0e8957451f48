//! A request's answer as its reader pulls it: text deltas, then why each choice ended.
//!
//! The text is assembled here, on the reader's thread, so that the engine thread only steps. Whether
//! the reader is async or not makes no difference: both pull the same events. Dropping the stream
//! cancels what has not ended.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use host_engine::FinishReason as EngineReason;
use tokio::sync::mpsc;

use crate::assembler::Assembler;
use crate::error::GenerationError;
use crate::limits::EVENT_QUEUE_MAX;
use crate::mailbox::Cancellation;
use crate::shared::Shared;
use crate::tool_calls::ToolCallDelta;
use crate::worker::{ChoiceEvent, Pace, Submission};

/// One thing that happened to one choice.
#[derive(Debug, Clone, PartialEq)]
pub enum GenerationEvent {
    /// More text.
    Delta {
        /// Which choice.
        choice: usize,
        /// The text and its tokens.
        delta: Delta,
    },
    /// The choice is complete; nothing follows for it.
    Finished {
        /// Which choice.
        choice: usize,
        /// Why.
        reason: FinishReason,
        /// The stop sequence that ended it, if one did.
        stop_sequence: Option<String>,
        /// Tokens counted for it.
        tokens: TokenCounts,
    },
    /// The choice ended by an error; nothing follows for it.
    Failed {
        /// Which choice.
        choice: usize,
        /// What went wrong.
        error: GenerationError,
    },
}

/// The tokens of a choice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenCounts {
    /// Tokens of the completion.
    pub completion: usize,
    /// Those of them that were thoughts.
    pub reasoning: usize,
    /// Prompt tokens that did not have to be run.
    pub cached: usize,
}

/// Text that is new, and never has to be taken back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Delta {
    /// What the model thinks before it answers, new as the text is.
    pub reasoning: String,
    /// The text; may be empty beside tokens, thoughts or tool calls.
    pub text: String,
    /// What is new of tool calls, after the text.
    pub tool_calls: Vec<ToolCallDelta>,
    /// Its tokens with their logprobs, if those were asked for.
    pub tokens: Vec<TokenPiece>,
    /// Tokens of the completion that came since the last delta.
    pub token_count: usize,
}

/// A token with its logprobs.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenPiece {
    /// The token.
    pub id: u32,
    /// The token alone as text.
    pub text: String,
    /// The token alone as bytes, which need not be whole characters.
    pub bytes: Vec<u8>,
    /// Its logprob; none for the first token of an echoed prompt.
    pub logprob: Option<f32>,
    /// The most likely tokens at its place, best first.
    pub top: Vec<TopPiece>,
    /// Characters of the choice's text before it.
    pub text_offset: usize,
}

/// One of the most likely tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct TopPiece {
    /// The token.
    pub id: u32,
    /// The token alone as text.
    pub text: String,
    /// The token alone as bytes.
    pub bytes: Vec<u8>,
    /// Its logprob.
    pub logprob: f32,
}

/// Why a choice is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// An end token or a stop sequence.
    Stop,
    /// The tokens asked for, or the context, are used up.
    Length,
    /// It calls tools and waits for what they say.
    ToolCalls,
}

/// The answer to a request.
#[derive(Debug)]
pub struct GenerationStream {
    request: u64,
    shared: Arc<Shared<Submission>>,
    receiver: mpsc::Receiver<(usize, ChoiceEvent)>,
    pace: Arc<Pace>,
    /// One for each choice, until it has ended.
    choices: Vec<Option<Assembler>>,
    /// Cached tokens of each choice's prompt.
    cached_tokens: Vec<usize>,
    ready: VecDeque<GenerationEvent>,
    prompt_token_count: usize,
}

/// Parts of a new stream.
pub(crate) struct StreamParts {
    pub(crate) request: u64,
    pub(crate) shared: Arc<Shared<Submission>>,
    pub(crate) receiver: mpsc::Receiver<(usize, ChoiceEvent)>,
    pub(crate) pace: Arc<Pace>,
    pub(crate) choices: Vec<Assembler>,
    pub(crate) prompt_token_count: usize,
}

impl GenerationStream {
    pub(crate) fn new(parts: StreamParts) -> Self {
        Self {
            request: parts.request,
            shared: parts.shared,
            receiver: parts.receiver,
            pace: parts.pace,
            cached_tokens: vec![0; parts.choices.len()],
            choices: parts.choices.into_iter().map(Some).collect(),
            ready: VecDeque::new(),
            prompt_token_count: parts.prompt_token_count,
        }
    }

    pub(crate) fn request(&self) -> u64 {
        self.request
    }

    /// Tokens of the prompt.
    pub fn prompt_token_count(&self) -> usize {
        self.prompt_token_count
    }

    /// The next event; none when every choice has ended.
    #[expect(clippy::should_implement_trait, reason = "an iterator has no future items")]
    pub fn next(&mut self) -> impl Future<Output = Option<GenerationEvent>> + Send + '_ {
        poll_fn(|cx| self.poll_next(cx))
    }

    /// The next event, for a reader that waits for several streams at once.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<GenerationEvent>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Poll::Ready(Some(event));
            }
            if self.has_ended() {
                return Poll::Ready(None);
            }
            let Poll::Ready(received) = self.receiver.poll_recv(cx) else { return Poll::Pending };
            self.receive(received);
        }
    }

    /// The next event, for a reader with a thread of its own; must not be called in async code.
    pub fn blocking_next(&mut self) -> Option<GenerationEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.has_ended() {
                return None;
            }
            let received = self.receiver.blocking_recv();
            self.receive(received);
        }
    }

    fn has_ended(&self) -> bool {
        self.choices.iter().all(Option::is_none)
    }

    fn receive(&mut self, received: Option<(usize, ChoiceEvent)>) {
        let Some((choice, event)) = received else { return self.fail_all() };
        if self.receiver.len() <= EVENT_QUEUE_MAX / 2
            && self.pace.blocked.swap(false, Ordering::SeqCst)
        {
            self.shared.mailbox.caught_up(self.request);
        }
        // Tokens may still come after a stop sequence was found.
        let Some(assembler) = &mut self.choices[choice] else { return };
        match event {
            ChoiceEvent::Cached(count) => self.cached_tokens[choice] = count,
            ChoiceEvent::PromptLogprobs(logprobs) => assembler.push_prompt(logprobs),
            ChoiceEvent::Token { token, logprobs } => {
                let (delta, stopped) = assembler.push(token, logprobs.as_ref());
                let completion_tokens = assembler.completion_tokens();
                let reason = stop_reason(assembler);
                self.show(choice, delta);
                if stopped {
                    let cancellation = Cancellation { request: self.request, choice: Some(choice) };
                    self.shared.mailbox.cancel(cancellation);
                    self.finish(choice, reason, completion_tokens);
                }
            }
            ChoiceEvent::Finished { reason, usage } => {
                let (delta, stopped) = assembler.finish();
                let reason = match reason {
                    EngineReason::Length if !stopped => FinishReason::Length,
                    _ => stop_reason(assembler),
                };
                self.show(choice, delta);
                self.finish(choice, reason, usage.completion_tokens);
            }
            ChoiceEvent::Failed(error) => {
                self.choices[choice] = None;
                self.ready.push_back(GenerationEvent::Failed { choice, error });
            }
        }
    }

    fn show(&mut self, choice: usize, delta: Option<Delta>) {
        self.ready.extend(delta.map(|delta| GenerationEvent::Delta { choice, delta }));
    }

    fn finish(&mut self, choice: usize, reason: FinishReason, completion_tokens: usize) {
        let assembler = self.choices[choice].take();
        let found = assembler.as_ref().and_then(Assembler::stop_sequence);
        let stop_sequence = found.map(str::to_owned);
        let tokens = TokenCounts {
            completion: completion_tokens,
            reasoning: assembler.as_ref().map_or(0, Assembler::reasoning_tokens),
            cached: self.cached_tokens[choice],
        };
        self.ready.push_back(GenerationEvent::Finished { choice, reason, stop_sequence, tokens });
    }

    /// The engine thread ended with this request unanswered.
    fn fail_all(&mut self) {
        let error = match self.pace.given_up.load(Ordering::SeqCst) {
            true => GenerationError::ReaderStuck,
            false => self.shared.closed_error(),
        };
        for (choice, assembler) in self.choices.iter_mut().enumerate() {
            if assembler.take().is_some() {
                self.ready.push_back(GenerationEvent::Failed { choice, error: error.clone() });
            }
        }
    }
}

/// Why an answer that came to its end did.
fn stop_reason(assembler: &Assembler) -> FinishReason {
    if assembler.has_tool_calls() { FinishReason::ToolCalls } else { FinishReason::Stop }
}

impl Drop for GenerationStream {
    fn drop(&mut self) {
        // A stream read to its end has nothing left in the engine, or its stop has cancelled it.
        if !self.has_ended() {
            self.shared.mailbox.cancel(Cancellation { request: self.request, choice: None });
        }
    }
}
