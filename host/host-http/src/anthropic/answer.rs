//! Sends a generation's events as one message or as Anthropic's event stream.
//!
//! Both are made from the same events of the same blocks. A message has one choice.

use axum::response::{IntoResponse, Response};
use host_generation::{GenerationEvent, TokenCounts};
use serde::Serialize;

use super::blocks::{Blocks, gather};
use super::error;
use super::wire::{BlockEvent, Ending, Message, MessageEvent, Usage};
use crate::answer::{Delivery, Head, Job};
use crate::error::ApiError;
use crate::event_stream::{EventWriter, streamed, write_data};
use crate::wire;

/// Sends it.
pub(super) async fn respond(mut job: Job<Blocks>) -> Result<Response, ApiError> {
    job.stream.begin().await?;
    match job.delivery {
        Delivery::Whole => whole(job).await,
        Delivery::Stream { .. } => {
            let prompt = job.stream.prompt_token_count();
            let writer =
                MessageWriter { head: job.head, blocks: job.form, prompt, has_begun: false };
            Ok(streamed(job.stream, writer))
        }
    }
}

async fn whole(mut job: Job<Blocks>) -> Result<Response, ApiError> {
    let prompt = job.stream.prompt_token_count();
    let mut message = opening(&job.head, prompt);
    let mut events = Vec::new();
    while let Some(event) = job.stream.next().await {
        match event {
            GenerationEvent::Delta { delta, .. } => events.extend(job.form.add(delta)),
            GenerationEvent::Finished { reason, stop_sequence, tokens, .. } => {
                events.extend(job.form.end());
                message.ending = Ending::new(reason, stop_sequence);
                message.usage = Usage::new(prompt, tokens);
            }
            GenerationEvent::Failed { error, .. } => return Err(error.into()),
        }
    }
    message.content = gather(events);
    Ok((wire::JSON, wire::to_json(&message)).into_response())
}

/// A message of which nothing is said yet.
fn opening(head: &Head, prompt: usize) -> Message<'_> {
    Message {
        id: &head.id,
        r#type: "message",
        role: "assistant",
        model: &head.model,
        content: Vec::new(),
        ending: Ending::default(),
        usage: Usage::new(prompt, TokenCounts::default()),
    }
}

/// The message as events.
struct MessageWriter {
    head: Head,
    blocks: Blocks,
    /// Tokens of the prompt.
    prompt: usize,
    has_begun: bool,
}

impl EventWriter for MessageWriter {
    fn write(&mut self, event: GenerationEvent, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.has_begun, true) {
            let message = opening(&self.head, self.prompt);
            write_message(&MessageEvent::Start { message }, out);
        }
        match event {
            GenerationEvent::Delta { delta, .. } => write_blocks(&self.blocks.add(delta), out),
            GenerationEvent::Finished { reason, stop_sequence, tokens, .. } => {
                write_blocks(&self.blocks.end(), out);
                let delta = Ending::new(reason, stop_sequence);
                let usage = Usage::new(self.prompt, tokens);
                write_message(&MessageEvent::Delta { delta, usage }, out);
            }
            GenerationEvent::Failed { error, .. } => {
                write_event("error", &error::body(&error.into(), None), out);
            }
        }
    }

    fn write_end(&mut self, out: &mut Vec<u8>) {
        write_message(&MessageEvent::Stop, out);
    }
}

fn write_message(event: &MessageEvent<'_>, out: &mut Vec<u8>) {
    write_event(event.name(), event, out);
}

fn write_blocks(events: &[BlockEvent], out: &mut Vec<u8>) {
    events.iter().for_each(|event| write_event(event.name(), event, out));
}

fn write_event(name: &str, body: &impl Serialize, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("event: {name}\n").as_bytes());
    write_data(body, out);
}
