//! A conversation with one server: the only part of the crate that speaks rmcp.
//!
//! rmcp keeps the handshake of both eras, the ids and the cancellations; results pass through as
//! the JSON they are. A call ends by its answer, by its caller, by silence or by the end of the
//! conversation, and in each case but the first the server is told that nobody waits. Nothing here
//! starts or ends a process.

mod line;
mod progress;
#[cfg(test)]
mod tests;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use rmcp::ClientHandler;
use rmcp::model::{
    ClientCapabilities, ClientConfig, ClientRequest, CustomRequest, CustomResult,
    ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationCapability, ErrorData,
    FormElicitationCapability, Implementation, ProtocolVersion, ServerResult, SubscriptionFilter,
};
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, ClientServiceExt as _, NotificationContext,
    PeerRequestOptions, RequestContext, RequestHandle, RoleClient, RunningService, ServiceError,
};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::line::{LengthMax, Raised};
use self::progress::Board;
use self::transport::LineTransport;
use crate::{Client, Context, ToolError};

/// Code of an answer that was not taken because of its size.
const TOO_LARGE: i32 = -32_000;

/// Code of an answer of `host-join`: the server wants to know who asks, and the message says what to
/// do.
const REFUSED: i32 = -32_003;

/// What a server asks a person with.
const ELICIT: &str = "elicitation/create";

/// How long a call may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// How long it may stay silent.
    pub(crate) silence: Duration,
    /// How long it may take at all.
    pub(crate) total: Duration,
}

/// A conversation; it ends when it is dropped.
pub(crate) struct Session {
    service: RunningService<RoleClient, Ears>,
    board: Arc<Board>,
    server: Arc<str>,
    ended: CancellationToken,
    length_max: Arc<LengthMax>,
}

/// What a server said about itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Introduction {
    /// The revision of MCP that is spoken.
    pub(crate) revision: String,
    /// The server's own name and version.
    pub(crate) software: Option<String>,
    /// What it offers: `tools`, `prompts`, `resources`, `completions`.
    pub(crate) capabilities: Value,
    /// Whether each request stands for itself, as since 2026-07-28.
    pub(crate) stateless: bool,
}

impl Session {
    /// Begins a conversation over the server's output and input.
    pub(crate) async fn open(
        server: &Arc<str>,
        read: impl AsyncRead + Send + Unpin + 'static,
        write: impl AsyncWrite + Send + Unpin + 'static,
        line_bytes_max: usize,
        client: Option<Arc<dyn Client>>,
    ) -> Result<Self, String> {
        let board = Arc::new(Board::default());
        let ended = CancellationToken::new();
        let length_max = LengthMax::new(line_bytes_max);
        let transport =
            LineTransport::new(read, write, Arc::clone(&length_max), &board, ended.clone());
        let ears = Ears { changed: Arc::default(), client };
        let lifecycle = ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::LATEST],
            legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
        };
        let service = ears.serve_with_lifecycle(transport, lifecycle).await.map_err(explain)?;
        Ok(Self { service, board, server: Arc::clone(server), ended, length_max })
    }

    /// What the server said about itself.
    pub(crate) fn introduction(&self) -> Introduction {
        let Some(info) = self.service.peer().peer_info() else { return Introduction::default() };
        Introduction {
            revision: info.protocol_version.to_string(),
            software: info.server_info.as_ref().map(|is| format!("{} {}", is.name, is.version)),
            capabilities: serde_json::to_value(&info.capabilities).unwrap_or_default(),
            stateless: !info.protocol_version.has_initialize(),
        }
    }

    /// Reads lines of at least so many bytes until the guard is dropped.
    pub(crate) fn read_longer_lines(&self, bytes: usize) -> Raised {
        self.length_max.raise(bytes)
    }

    /// Told whenever the server says that one of its lists changed.
    pub(crate) fn changes(&self) -> Arc<Notify> {
        Arc::clone(&self.service.service().changed)
    }

    /// Asks a stateless server to tell when its lists change; others do so by themselves. Ends when
    /// the server does not want to.
    pub(crate) async fn listen(&self, capabilities: &Value, changes: &Notify) {
        let wanted = |list: &str| (capabilities[list]["listChanged"] == true).then_some(true);
        let mut filter = SubscriptionFilter::default();
        filter.tools_list_changed = wanted("tools");
        filter.prompts_list_changed = wanted("prompts");
        filter.resources_list_changed = wanted("resources");
        if filter == SubscriptionFilter::default() {
            return;
        }
        match self.service.peer().listen(filter).await {
            Ok(mut subscription) => {
                while let Ok(Some(_)) = subscription.next().await {
                    changes.notify_one();
                }
            }
            Err(error) => tracing::debug!(server = %self.server, %error, "tells no changes"),
        }
    }

    /// Whether the server no longer speaks.
    pub(crate) fn is_over(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Ends when the server no longer speaks.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Ends the conversation: the server's input is closed and waiting calls fail.
    pub(crate) fn close(&self) {
        self.service.cancellation_token().cancel();
    }

    /// Sends a request and waits for its result.
    pub(crate) async fn request(
        &self,
        method: &str,
        params: Value,
        context: &Context,
        patience: Patience,
    ) -> Result<Value, ToolError> {
        let request = ClientRequest::CustomRequest(CustomRequest::new(method, Some(params)));
        let peer = self.service.peer();
        let handle = peer
            .send_request_with_option(request, PeerRequestOptions::no_options())
            .await
            .map_err(|error| self.failure(error))?;
        let watch = self.board.watch(handle.progress_token.clone(), context.notifier.clone());
        let mut call = Call { handle: Some(handle) };
        let answer = self.await_answer(&mut call, &watch.beat, context, patience).await;
        drop(watch);
        match answer? {
            ServerResult::CustomResult(CustomResult(value)) => Ok(value),
            other => serde_json::to_value(other).map_err(|error| self.unreadable(&error)),
        }
    }

    async fn await_answer(
        &self,
        call: &mut Call,
        beat: &Notify,
        context: &Context,
        patience: Patience,
    ) -> Result<ServerResult, ToolError> {
        let Some(handle) = &mut call.handle else { return Err(ToolError::Cancelled) };
        let begun = Instant::now();
        let last = begun + patience.total;
        let mut silent = (begun + patience.silence).min(last);
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut handle.rx => break answer,
                () = context.cancel.cancelled() => return Err(ToolError::Cancelled),
                () = beat.notified() => silent = (Instant::now() + patience.silence).min(last),
                () = tokio::time::sleep_until(silent) => {
                    let after = if silent == last { patience.total } else { patience.silence };
                    return Err(ToolError::Timeout { after });
                }
            }
        };
        call.handle = None;
        answer.unwrap_or(Err(ServiceError::TransportClosed)).map_err(|error| self.failure(error))
    }

    fn failure(&self, error: ServiceError) -> ToolError {
        match error {
            ServiceError::McpError(error) if error.code.0 == TOO_LARGE && error.data.is_none() => {
                let bytes_max = self.length_max.bytes();
                ToolError::TooLarge {
                    what: "result",
                    bytes: bytes_max.saturating_add(1),
                    bytes_max,
                }
            }
            ServiceError::McpError(error) => ToolError::Protocol {
                code: error.code.0,
                message: format!("{}: {}", self.server, error.message),
                data: error.data,
            },
            ServiceError::Cancelled { .. } => ToolError::Cancelled,
            error => ToolError::Unavailable {
                server: self.server.to_string(),
                reason: match error {
                    ServiceError::TransportClosed => "it ended during the call".to_owned(),
                    error => error.to_string(),
                },
            },
        }
    }

    fn unreadable(&self, error: &serde_json::Error) -> ToolError {
        let reason = format!("its answer cannot be read: {error}");
        ToolError::Unavailable { server: self.server.to_string(), reason }
    }

    /// Whether the server still answers.
    pub(crate) async fn ping(&self, stateless: bool, limit: Duration) -> Result<(), ToolError> {
        let method = if stateless { "server/discover" } else { "ping" };
        let patience = Patience { silence: limit, total: limit };
        let nobody = Context::new(crate::Caller::everything("host"));
        match self.request(method, json!({}), &nobody, patience).await {
            // Whoever says that there is no such method is alive.
            Ok(_) | Err(ToolError::Protocol { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("server", &self.server).finish_non_exhaustive()
    }
}

/// A request that waits; dropped before its answer, it tells the server to stop.
struct Call {
    handle: Option<RequestHandle<RoleClient>>,
}

impl Drop for Call {
    fn drop(&mut self) {
        let Some(handle) = self.handle.take() else { return };
        // On a task of its own: a server that does not read would hold up whoever waits for it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(handle.cancel(Some("nobody waits for the answer".to_owned())));
        }
    }
}

/// What is heard from a server beside answers.
struct Ears {
    changed: Arc<Notify>,
    client: Option<Arc<dyn Client>>,
}

impl ClientHandler for Ears {
    fn get_info(&self) -> ClientConfig {
        let software = Implementation::new("host", env!("CARGO_PKG_VERSION"));
        // A server may not ask for samples or roots, and for input only where somebody answers.
        let mut capabilities = ClientCapabilities::default();
        if self.client.is_some() {
            let form = FormElicitationCapability::new();
            capabilities.elicitation = Some(ElicitationCapability::new().with_form(form));
        }
        ClientConfig::new(capabilities, software)
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let Some(client) = &self.client else {
            return Ok(ElicitResult::new(ElicitationAction::Decline));
        };
        let fault =
            |error: &dyn std::fmt::Display| ErrorData::internal_error(error.to_string(), None);
        let params = serde_json::to_value(request).map_err(|error| fault(&error))?;
        let given = client.ask(ELICIT, params).await.map_err(|error| fault(&error))?;
        serde_json::from_value(given).map_err(|error| fault(&error))
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }

    async fn on_prompt_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }

    async fn on_resource_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }
}

fn explain(error: ClientInitializeError) -> String {
    match error {
        ClientInitializeError::ConnectionClosed(_) => "it ended during the handshake".to_owned(),
        ClientInitializeError::LegacyFallbackFailed { discover, fallback } => match *discover {
            ClientInitializeError::JsonRpcError(refused) if refused.code.0 == REFUSED => {
                refused.message.into_owned()
            }
            _ => explain(*fallback),
        },
        error => format!("the handshake failed: {error}"),
    }
}
