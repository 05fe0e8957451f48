//! The events of all prompts of a request as one stream.
//!
//! A text completion may carry several prompts, each of which is a generation of its own; clients
//! number the choices of all of them in one row. Whoever has something to say is heard in turn.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use host_generation::{GenerationError, GenerationEvent, GenerationStream};

use crate::meter::Meter;

/// The streams of one request.
#[derive(Debug)]
pub(crate) struct MergedStream {
    streams: Vec<GenerationStream>,
    /// Choices of each stream.
    choices: usize,
    /// The stream to ask first.
    turn: usize,
    first: VecDeque<GenerationEvent>,
    meter: Arc<Meter>,
    /// Tokens of each choice that the meter has.
    counted: Vec<usize>,
}

impl MergedStream {
    /// Streams of `choices` choices each.
    pub(crate) fn new(streams: Vec<GenerationStream>, choices: usize) -> Self {
        let counted = vec![0; streams.len() * choices];
        let meter = Meter::current();
        meter.add_prompt_tokens(streams.iter().map(GenerationStream::prompt_token_count).sum());
        Self { streams, choices, turn: 0, first: VecDeque::new(), meter, counted }
    }

    /// Choices of all streams.
    pub(crate) fn choice_count(&self) -> usize {
        self.streams.len() * self.choices
    }

    /// Choices of each prompt.
    pub(crate) fn choices_per_prompt(&self) -> usize {
        self.choices
    }

    /// Tokens of all prompts.
    pub(crate) fn prompt_token_count(&self) -> usize {
        self.streams.iter().map(GenerationStream::prompt_token_count).sum()
    }

    /// Waits for the first event, so that what the engine refuses gets a status of its own.
    pub(crate) async fn begin(&mut self) -> Result<(), GenerationError> {
        match self.next().await {
            Some(GenerationEvent::Failed { error, .. }) => Err(error),
            event => {
                self.first.extend(event);
                Ok(())
            }
        }
    }

    /// The next event of any stream; none when all have ended.
    pub(crate) async fn next(&mut self) -> Option<GenerationEvent> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<GenerationEvent>> {
        if let Some(event) = self.first.pop_front() {
            return Poll::Ready(Some(event));
        }
        let count = self.streams.len();
        let mut ended = 0;
        for step in 0..count {
            let index = (self.turn + step) % count;
            match self.streams[index].poll_next(cx) {
                Poll::Ready(Some(event)) => {
                    self.turn = (index + 1) % count;
                    let event = renumber(event, index * self.choices);
                    self.count(&event);
                    return Poll::Ready(Some(event));
                }
                Poll::Ready(None) => ended += 1,
                Poll::Pending => {}
            }
        }
        if ended == count { Poll::Ready(None) } else { Poll::Pending }
    }

    /// Counts tokens as they come: whoever hangs up has had them.
    fn count(&mut self, event: &GenerationEvent) {
        let (choice, count) = match event {
            GenerationEvent::Delta { choice, delta } => (*choice, delta.token_count),
            GenerationEvent::Finished { choice, tokens, .. } => {
                (*choice, tokens.completion.saturating_sub(self.counted[*choice]))
            }
            GenerationEvent::Failed { .. } => return,
        };
        self.counted[choice] += count;
        self.meter.add_completion_tokens(count);
    }
}

fn renumber(mut event: GenerationEvent, by: usize) -> GenerationEvent {
    match &mut event {
        GenerationEvent::Delta { choice, .. }
        | GenerationEvent::Finished { choice, .. }
        | GenerationEvent::Failed { choice, .. } => *choice += by,
    }
    event
}
