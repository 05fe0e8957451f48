//! Messages as lines over a server's input and output.
//!
//! rmcp's own transport would do, but for three things: an answer that is too large must reach its
//! caller as an error, progress must be heard in order, and results must stay the JSON they are
//! instead of the type they look like. What is not JSON is passed over: servers print.
//!
//! And a server may be slow to start: rmcp waits ten seconds to hear which revisions it speaks, then
//! begins a session of an older one, and takes an answer to the first question for a fault.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::model::{
    ClientJsonRpcMessage, ClientRequest, CustomResult, DiscoverResult, ErrorCode, ErrorData,
    Implementation, InitializeResult, JsonRpcMessage, ProtocolVersion, RequestId,
    ServerJsonRpcMessage, ServerNotification, ServerResult,
};
use rmcp::service::RoleClient;
use rmcp::transport::Transport;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::TOO_LARGE;
use super::line::{LengthMax, Line, Lines};
use super::progress::Board;
use crate::Map;

pub(super) struct LineTransport<R, W> {
    lines: Lines<R>,
    write: Arc<tokio::sync::Mutex<Option<W>>>,
    own: Own,
    board: Arc<Board>,
    ended: CancellationToken,
    length_max: Arc<LengthMax>,
}

impl<R: AsyncRead + Unpin, W> LineTransport<R, W> {
    pub(super) fn new(
        read: R,
        write: W,
        length_max: Arc<LengthMax>,
        board: &Arc<Board>,
        ended: CancellationToken,
    ) -> Self {
        Self {
            lines: Lines::new(read, Arc::clone(&length_max)),
            write: Arc::new(tokio::sync::Mutex::new(Some(write))),
            own: Own::default(),
            board: Arc::clone(board),
            ended,
            length_max,
        }
    }

    fn message(&self, line: &[u8]) -> Option<ServerJsonRpcMessage> {
        let Ok(Value::Object(message)) = serde_json::from_slice(line) else {
            let text = String::from_utf8_lossy(&line[..line.len().min(200)]);
            tracing::debug!(%text, "a line that is no message");
            return None;
        };
        if !message.contains_key("method") {
            return self.answer(message);
        }
        let message = serde_json::from_value(Value::Object(message)).ok()?;
        if let JsonRpcMessage::Notification(notification) = message {
            return match notification.notification {
                ServerNotification::ProgressNotification(progress) => {
                    self.board.hear(progress.params);
                    None
                }
                other => Some(JsonRpcMessage::notification(other)),
            };
        }
        Some(message)
    }

    fn answer(&self, mut message: Map) -> Option<ServerJsonRpcMessage> {
        let id: Option<RequestId> =
            message.get("id").and_then(|id| serde_json::from_value(id.clone()).ok());
        let asked = id.as_ref().and_then(|id| self.own.lock().remove(id));
        let result = message.remove("result");
        if let Some(Asked::GivenUp { instead }) = asked {
            return self.late(result?, instead);
        }
        let Some(result) = result else {
            return serde_json::from_value(Value::Object(message)).ok();
        };
        let id = id?;
        let result = match asked {
            Some(_) => serde_json::from_value(result).ok()?,
            None => ServerResult::CustomResult(CustomResult(result)),
        };
        if asked == Some(Asked::Revisions) && matches!(result, ServerResult::EmptyResult(_)) {
            // Some older servers say yes to whatever they do not know.
            let error = ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "an empty answer", None);
            return Some(JsonRpcMessage::error(error, Some(id)));
        }
        Some(JsonRpcMessage::response(result, id))
    }

    /// What a server tells of itself when rmcp no longer waits for it, as the answer that rmcp waits
    /// for: whoever has answered the one question may refuse the other.
    fn late(&self, told: Value, instead: RequestId) -> Option<ServerJsonRpcMessage> {
        let told: DiscoverResult = serde_json::from_value(told).ok()?;
        if !told.supported_versions.contains(&ProtocolVersion::LATEST) {
            return None;
        }
        // What the server says to the other question is for nobody from now on.
        self.own.lock().remove(&instead)?;
        let nameless = || Implementation::new("nameless", "?");
        let result = InitializeResult::new(told.capabilities.clone())
            .with_protocol_version(ProtocolVersion::LATEST)
            .with_server_info(told.server_info().unwrap_or_else(nameless));
        Some(JsonRpcMessage::response(ServerResult::InitializeResult(result), instead))
    }
}

/// What rmcp itself asks, whose results it wants to understand.
#[derive(Default)]
struct Own(Mutex<HashMap<RequestId, Asked>>);

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// Which revisions the server speaks.
    Revisions,
    /// The same, for longer than rmcp waits; it asks to begin a session instead.
    GivenUp {
        instead: RequestId,
    },
    Other,
}

impl Own {
    fn lock(&self) -> MutexGuard<'_, HashMap<RequestId, Asked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, id: &RequestId, request: &ClientRequest) {
        let mut own = self.lock();
        let asked = match request {
            ClientRequest::CustomRequest(_) => return,
            ClientRequest::DiscoverRequest(_) => Asked::Revisions,
            ClientRequest::InitializeRequest(_) => {
                for asked in own.values_mut().filter(|asked| **asked == Asked::Revisions) {
                    *asked = Asked::GivenUp { instead: id.clone() };
                }
                Asked::Other
            }
            _ => Asked::Other,
        };
        own.insert(id.clone(), asked);
    }
}

impl<R, W> Transport<RoleClient> for LineTransport<R, W>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Error = std::io::Error;

    fn send(
        &mut self,
        item: ClientJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        if let JsonRpcMessage::Request(request) = &item {
            self.own.note(&request.id, &request.request);
        }
        let write = Arc::clone(&self.write);
        async move {
            let mut line = serde_json::to_vec(&item)?;
            line.push(b'\n');
            let mut write = write.lock().await;
            let write = write.as_mut().ok_or(std::io::ErrorKind::NotConnected)?;
            write.write_all(&line).await?;
            write.flush().await
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            match self.lines.next().await {
                Line::Whole(line) => {
                    if let Some(message) = self.message(&line) {
                        return Some(message);
                    }
                }
                Line::TooLong(id) => {
                    let bytes_max = self.length_max.bytes();
                    let text = format!("an answer of more than {bytes_max} bytes");
                    tracing::warn!(bytes_max, "a line that is too long");
                    if id.is_some() {
                        let error = ErrorData::new(ErrorCode(TOO_LARGE), text, None);
                        return Some(JsonRpcMessage::error(error, id));
                    }
                }
                Line::End => {
                    self.ended.cancel();
                    return None;
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.ended.cancel();
        drop(self.write.lock().await.take());
        Ok(())
    }
}
