//! The events of a loop, made by whoever reads them: a reader that leaves takes the loop with it.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use host_generation::{Delta, FinishReason, TokenCounts};
use host_tools::agent::{Ending, Stop};
use tokio::sync::mpsc;

use super::AgentJob;
use super::answer::Shape;
use super::session::Client;
use crate::error::ApiError;
use crate::limits::AGENT_EVENTS_MAX;
use crate::meter::Meter;
use crate::wire::ToolCallProgress;

/// What happens on the way to an answer.
#[derive(Debug)]
pub(super) enum Event {
    /// The model has taken the first turn.
    Begun,
    /// More text, of any turn.
    Delta(Delta),
    /// A call begins or has ended.
    Progress(ToolCallProgress),
    /// That was all.
    Ended(Box<Outcome>),
    /// Nothing follows.
    Failed(ApiError),
}

/// What an answer came to.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) ending: Ending,
    pub(super) reason: FinishReason,
    pub(super) prompt_tokens: usize,
    pub(super) tokens: TokenCounts,
}

/// A loop on its way to its last event.
type Run = Pin<Box<dyn Future<Output = Event> + Send>>;

/// A loop and its events.
pub(super) struct AgentStream {
    /// None once it has ended.
    run: Option<Run>,
    events: mpsc::Receiver<Event>,
    first: VecDeque<Event>,
    last: Option<Event>,
}

impl AgentStream {
    /// Begins nothing before it is read.
    pub(super) fn new(job: AgentJob) -> (Self, Shape) {
        let AgentJob { generator, prompt, request, agent, head, form, delivery } = job;
        let (sender, events) = mpsc::channel(AGENT_EVENTS_MAX);
        let mut conversation = prompt.messages.clone();
        let mut client = Client::new(generator, prompt, request, sender);
        let run = async move {
            match agent.run(&mut client, &mut conversation).await {
                Err(error) => Event::Failed(error),
                Ok(ending) => Event::Ended(Box::new(outcome(ending, &client))),
            }
        };
        // Tokens are charged to the request, whoever reads the answer.
        let run: Run = Box::pin(Meter::current().measure(run));
        let stream = Self { run: Some(run), events, first: VecDeque::new(), last: None };
        (stream, Shape { head, form, delivery })
    }

    /// Waits for the first event, so that what is refused at once gets a status of its own.
    pub(super) async fn begin(&mut self) -> Result<(), ApiError> {
        match self.next().await {
            Some(Event::Failed(error)) => Err(error),
            event => {
                self.first.extend(event);
                Ok(())
            }
        }
    }

    /// The next event; none after the last.
    pub(super) async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if let Some(event) = self.first.pop_front() {
            return Poll::Ready(Some(event));
        }
        if let Some(run) = &mut self.run
            && let Poll::Ready(last) = run.as_mut().poll(cx)
        {
            (self.run, self.last) = (None, Some(last));
        }
        match self.events.poll_recv(cx) {
            Poll::Ready(Some(event)) => Poll::Ready(Some(event)),
            _ if self.run.is_none() => Poll::Ready(self.last.take()),
            _ => Poll::Pending,
        }
    }
}

impl fmt::Debug for AgentStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentStream").field("runs", &self.run.is_some()).finish_non_exhaustive()
    }
}

fn outcome(ending: Ending, client: &Client) -> Outcome {
    let reason = match ending.stop {
        Some(Stop::Time) => FinishReason::Length,
        _ if !ending.left.is_empty() => FinishReason::ToolCalls,
        _ => client.reason,
    };
    Outcome { ending, reason, prompt_tokens: client.prompt_tokens, tokens: client.tokens }
}
