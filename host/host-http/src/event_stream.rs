//! Sends a generation's events while they come, as server-sent events or as an endpoint has them.
//!
//! What an endpoint's events say is its [`EventWriter`]'s; here they are only gathered and sent. A
//! client that leaves drops the stream, and with it the generation.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use host_generation::GenerationEvent;
use serde::Serialize;
use tokio_stream::Stream;

use crate::limits::CHUNK_BYTES;
use crate::merge::MergedStream;
use crate::wire;

/// The type of server-sent events.
pub(crate) const SERVER_SENT_EVENTS: &str = "text/event-stream; charset=utf-8";

/// Writes the events of a stream in an endpoint's words.
pub(crate) trait EventWriter: Send + Unpin + 'static {
    const CONTENT_TYPE: &'static str = SERVER_SENT_EVENTS;

    /// Writes what happened. A failure is the last that is written.
    fn write(&mut self, event: GenerationEvent, out: &mut Vec<u8>);
    /// Writes the last words of a stream that did not fail.
    fn write_end(&mut self, out: &mut Vec<u8>);
}

/// An answer that is sent while it is made.
pub(crate) fn streamed<W: EventWriter>(stream: MergedStream, writer: W) -> Response {
    let events = EventStream { stream, writer, ended: false };
    (headers(W::CONTENT_TYPE), Body::from_stream(events)).into_response()
}

/// The headers of an answer that is sent while it is made.
pub(crate) fn headers(content_type: &'static str) -> [(HeaderName, HeaderValue); 3] {
    [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        // Proxies that buffer would turn the stream into one late answer.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ]
}

/// Writes the data of an event.
pub(crate) fn write_data(body: &impl Serialize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(&wire::to_json(body));
    out.extend_from_slice(b"\n\n");
}

/// Writes an event that has a name.
pub(crate) fn write_named(name: &str, body: &impl Serialize, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("event: {name}\n").as_bytes());
    write_data(body, out);
}

/// Gathers bytes until there are enough to send, or nothing more comes for now. `step` writes one
/// event, and says whether it was the last.
pub(crate) fn gather(
    ended: &mut bool,
    mut step: impl FnMut(&mut Vec<u8>) -> Poll<bool>,
) -> Poll<Option<Result<Bytes, Infallible>>> {
    let mut out = Vec::new();
    while !*ended && out.len() < CHUNK_BYTES {
        match step(&mut out) {
            Poll::Ready(is_last) => *ended = is_last,
            Poll::Pending => break,
        }
    }
    match (out.is_empty(), *ended) {
        (false, _) => Poll::Ready(Some(Ok(out.into()))),
        (true, true) => Poll::Ready(None),
        (true, false) => Poll::Pending,
    }
}

struct EventStream<W> {
    stream: MergedStream,
    writer: W,
    ended: bool,
}

impl<W: EventWriter> Stream for EventStream<W> {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { stream, writer, ended } = self.get_mut();
        gather(ended, |out| {
            stream.poll_next(cx).map(|event| match event {
                Some(event) => {
                    let is_last = matches!(event, GenerationEvent::Failed { .. });
                    writer.write(event, out);
                    is_last
                }
                None => {
                    writer.write_end(out);
                    true
                }
            })
        })
    }
}
