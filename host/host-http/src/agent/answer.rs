//! Sends what a loop came to as one JSON answer, or as an event stream while it runs.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use host_generation::{Delta, GenerationEvent, ToolCallDelta};
use tokio_stream::Stream;

use super::AgentJob;
use super::stream::{AgentStream, Event, Outcome};
use crate::answer::{ChunkWriter, Delivery, Form as _, Gathered, Head, Tally};
use crate::chat::ChatForm;
use crate::error::{ApiError, ErrorBody};
use crate::event_stream::{
    EventWriter as _, SERVER_SENT_EVENTS, gather, headers, write_data, write_named,
};
use crate::wire::{self, AgentReport, ToolCallProgress};

/// What an answer looks like.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) head: Head,
    pub(super) form: ChatForm,
    pub(super) delivery: Delivery,
}

/// Answers a chat with tools of the host.
pub(crate) async fn respond(job: AgentJob) -> Result<Response, ApiError> {
    let (mut stream, Shape { head, form, delivery }) = AgentStream::new(job);
    stream.begin().await?;
    match delivery {
        Delivery::Whole => whole(stream, &head, &form).await,
        Delivery::Stream { include_usage } => {
            let writer = ChunkWriter::new(head, form, include_usage, 1);
            let body = Body::from_stream(AgentBody { stream, writer, ended: false });
            Ok((headers(SERVER_SENT_EVENTS), body).into_response())
        }
    }
}

async fn whole(
    mut stream: AgentStream,
    head: &Head,
    form: &ChatForm,
) -> Result<Response, ApiError> {
    let mut gathered = Gathered::EMPTY;
    while let Some(event) = stream.next().await {
        match event {
            Event::Begun | Event::Progress(_) => {}
            Event::Delta(delta) => gathered.add(delta),
            Event::Failed(error) => return Err(error),
            Event::Ended(outcome) => {
                gathered.add(left(&outcome));
                gathered.reason = outcome.reason;
                let report = AgentReport::whole(&outcome.ending);
                let usage = Some(Some(tally(&outcome).usage()));
                let choices = [form.whole(0, gathered)];
                let mut body = head.envelope(ChatForm::OBJECT, &choices, usage);
                body.agent = Some(&report);
                return Ok((wire::JSON, wire::to_json(&body)).into_response());
            }
        }
    }
    Err(ApiError::internal("an answer with tools has no end"))
}

/// The body of a streamed answer.
struct AgentBody {
    stream: AgentStream,
    writer: ChunkWriter<ChatForm>,
    ended: bool,
}

impl Stream for AgentBody {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { stream, writer, ended } = self.get_mut();
        gather(ended, |out| {
            stream.poll_next(cx).map(|event| event.is_none_or(|event| write(writer, event, out)))
        })
    }
}

/// Writes an event, and says whether it is the last.
fn write(writer: &mut ChunkWriter<ChatForm>, event: Event, out: &mut Vec<u8>) -> bool {
    match event {
        Event::Begun => writer.open(0, out),
        Event::Delta(delta) => writer.write(GenerationEvent::Delta { choice: 0, delta }, out),
        Event::Progress(progress) => write_named(ToolCallProgress::NAME, &progress, out),
        Event::Failed(error) => {
            write_data(&ErrorBody { error: &error }, out);
            return true;
        }
        Event::Ended(outcome) => {
            let delta = left(&outcome);
            if !delta.tool_calls.is_empty() {
                writer.write(GenerationEvent::Delta { choice: 0, delta }, out);
            }
            writer.set_usage(tally(&outcome));
            writer.set_agent(AgentReport::streamed(&outcome.ending));
            writer.close(0, outcome.reason, out);
            writer.write_end(out);
            return true;
        }
    }
    false
}

/// Calls that are the client's to run.
fn left(outcome: &Outcome) -> Delta {
    let call = |(index, call): (usize, &host_tools::agent::AgentCall)| ToolCallDelta {
        index,
        name: Some(call.name.clone()),
        arguments: call.arguments.clone(),
    };
    let tool_calls = outcome.ending.left.iter().enumerate().map(call).collect();
    Delta { tool_calls, ..Delta::default() }
}

fn tally(outcome: &Outcome) -> Tally {
    let mut tally = Tally::new(outcome.prompt_tokens, 1);
    tally.add(0, outcome.tokens);
    tally
}
