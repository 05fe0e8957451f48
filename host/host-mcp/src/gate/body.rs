//! Bodies: a request's read whole within bounds, an answer's watched until its end.

use std::mem::take;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, header};
use host_metrics::McpAnswer;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Frame, SizeHint};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::refusal::Refusal;
use crate::sessions::Use;

/// Time for a whole request body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// Most bytes of a refused body that are read, so that its client hears the refusal.
const DISCARD_BYTES_MAX: u64 = 64 << 20;

/// Time for reading them.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// The bytes of a request.
pub(super) async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Refusal> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let length: Option<u64> = length.and_then(|length| length.parse().ok());
    if length.is_some_and(|length| length > limit as u64) {
        if length.is_some_and(|length| length <= DISCARD_BYTES_MAX) {
            discard(body).await;
        }
        return Err(Refusal::too_large(limit));
    }
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, limit).collect()).await;
    match collected.map_err(|_| Refusal::too_slow())? {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::too_large(limit)),
        Err(error) => Err(Refusal::broken(error)),
    }
}

/// Reads what is sent and keeps nothing of it: a connection that is closed over unread bytes is
/// reset, and the refusal is lost with it.
async fn discard(mut body: Body) {
    let read = async { while let Some(Ok(_)) = body.frame().await {} };
    tokio::time::timeout(DISCARD_TIMEOUT, read).await.ok();
}

/// An answer that is counted, holds its session, and may have to end when the host stops.
pub(super) struct Watched {
    pub(super) body: Body,
    /// When it ends, whether its body has or not.
    pub(super) ends: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// Whether a first event without a message is left out: it tells a client how to take up the
    /// stream again, and older ones would read a message in it.
    pub(super) skips_empty: bool,
    pub(super) answer: McpAnswer,
    pub(super) _used: Option<Use>,
}

/// Whether a frame is an event, and no message is in it.
fn is_empty_event(data: &Bytes) -> bool {
    data.windows(5).any(|field| field == b"data:") && !data.contains(&b'{')
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        if this.ends.as_mut().is_some_and(|ends| ends.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(None);
        }
        loop {
            let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
            let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
            let is_skipped = take(&mut this.skips_empty) && data.is_some_and(is_empty_event);
            if is_skipped {
                continue;
            }
            this.answer.add_bytes(data.map_or(0, Bytes::len));
            return Poll::Ready(frame);
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    // Nothing that is left out has a length of its own: it is part of a stream.
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
