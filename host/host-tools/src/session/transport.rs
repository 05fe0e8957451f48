//! Messages as lines over a server's input and output.
//!
//! rmcp's own transport would do, but for three things: an answer that is too large must reach its
//! caller as an error, progress must be heard in order, and results must stay the JSON they are
//! instead of the type they look like. What is not JSON is passed over: servers print.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::model::{
    ClientJsonRpcMessage, ClientRequest, CustomResult, ErrorCode, ErrorData, JsonRpcMessage,
    RequestId, ServerJsonRpcMessage, ServerNotification, ServerResult,
};
use rmcp::service::RoleClient;
use rmcp::transport::Transport;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::TOO_LARGE;
use super::line::{LengthMax, Line, Lines};
use super::progress::Board;

pub(super) struct LineTransport<R, W> {
    lines: Lines<R>,
    write: Arc<tokio::sync::Mutex<Option<W>>>,
    /// Requests whose result rmcp itself wants to understand, and whether one asks for what is
    /// spoken.
    typed: Arc<Mutex<HashMap<RequestId, bool>>>,
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
            typed: Arc::default(),
            board: Arc::clone(board),
            ended,
            length_max,
        }
    }

    fn message(&self, line: &[u8]) -> Option<ServerJsonRpcMessage> {
        let Ok(Value::Object(mut message)) = serde_json::from_slice(line) else {
            let text = String::from_utf8_lossy(&line[..line.len().min(200)]);
            tracing::debug!(%text, "a line that is no message");
            return None;
        };
        if let Some(result) = message.remove("result") {
            let id: RequestId = serde_json::from_value(message.remove("id")?).ok()?;
            let typed = self.typed.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            let result = match typed {
                Some(_) => serde_json::from_value(result).ok()?,
                None => ServerResult::CustomResult(CustomResult(result)),
            };
            if typed == Some(true) && matches!(result, ServerResult::EmptyResult(_)) {
                // Some older servers say yes to whatever they do not know.
                let error = ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "an empty answer", None);
                return Some(JsonRpcMessage::error(error, Some(id)));
            }
            return Some(JsonRpcMessage::response(result, id));
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
        if let JsonRpcMessage::Request(request) = &item
            && !matches!(request.request, ClientRequest::CustomRequest(_))
        {
            let mut typed = self.typed.lock().unwrap_or_else(PoisonError::into_inner);
            let asks = matches!(request.request, ClientRequest::DiscoverRequest(_));
            typed.insert(request.id.clone(), asks);
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
