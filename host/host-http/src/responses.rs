//! `POST /v1/responses`: OpenAI's Responses API, without its memory.
//!
//! A request is read as the chat request that asks for the same. What answers it is told as items:
//! texts and calls.

mod answer;
mod items;
mod output;
mod request;

use answer::Answer;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use host_generation::GenerationEvent;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::event_stream::{EventWriter, streamed, write_data};
use crate::fields::Fields;
use crate::merge::MergedStream;
use crate::state::AppState;
use crate::{body, chat, wire};

/// Answers a conversation.
pub(crate) async fn responses(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read(&state, request).await?;
    let mut job = body::run_blocking(move || prepare(&state, &bytes)).await?;
    let begun = job.stream.begin().await;
    begun.map_err(|error| ApiError::from(error).renamed(request::own_name))?;
    if !job.is_streamed {
        return whole(job).await;
    }
    Ok(streamed(job.stream, Writer { answer: job.answer, sequence: 0 }))
}

/// An answer about to be sent.
#[derive(Debug)]
struct Job {
    stream: MergedStream,
    answer: Answer,
    is_streamed: bool,
}

fn prepare(state: &AppState, bytes: &[u8]) -> Result<Job, ApiError> {
    let object = body::parse(bytes)?;
    let fields = Fields::of_request(&object);
    let is_streamed = fields.flag("stream")?;
    let chat = request::to_chat(&fields)?;
    let submitted = chat::submit(state, &Fields::of_request(&chat), "resp_");
    let (stream, head) = submitted.map_err(|error| error.renamed(request::own_name))?;
    let answer = Answer::new(&fields, &head, stream.prompt_token_count());
    Ok(Job { stream, answer, is_streamed })
}

async fn whole(job: Job) -> Result<Response, ApiError> {
    let Job { mut stream, mut answer, .. } = job;
    while let Some(event) = stream.next().await {
        if let GenerationEvent::Failed { error, .. } = event {
            return Err(error.into());
        }
        answer.take(event);
    }
    Ok((wire::JSON, wire::to_json(answer.response())).into_response())
}

/// The answer as events.
struct Writer {
    answer: Answer,
    /// The number of the next event.
    sequence: u64,
}

impl EventWriter for Writer {
    fn write(&mut self, event: GenerationEvent, out: &mut Vec<u8>) {
        if self.sequence == 0 {
            self.write_response("created", out);
            self.write_response("in_progress", out);
        }
        self.answer.take(event);
        for event in self.answer.output.take_events() {
            self.write_event(event.kind, event.body, out);
        }
        if let Some(status) = self.answer.ended().map(str::to_owned) {
            self.write_response(&status, out);
        }
    }

    /// The last event is written with what ends the answer.
    fn write_end(&mut self, _out: &mut Vec<u8>) {}
}

impl Writer {
    fn write_response(&mut self, what: &str, out: &mut Vec<u8>) {
        let body = json!({"response": self.answer.response()});
        self.write_event(&format!("response.{what}"), body, out);
    }

    fn write_event(&mut self, kind: &str, mut body: Value, out: &mut Vec<u8>) {
        body["type"] = kind.into();
        body["sequence_number"] = self.sequence.into();
        self.sequence += 1;
        out.extend_from_slice(format!("event: {kind}\n").as_bytes());
        write_data(&body, out);
    }
}
