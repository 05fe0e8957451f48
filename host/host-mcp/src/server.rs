//! The server: its routes for whoever listens, and its conversation on a pair of streams.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use host_metrics::Metrics;
use host_tools::{Caller, ToolRegistry};
use rmcp::service::{ServerInitializeError, serve_server_with_ct};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::gate::Gate;
use crate::protocol::{Handler, Shared};

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct McpOptions {
    /// Most bytes of a request body.
    pub body_bytes_max: usize,
    /// Most sessions of clients of older revisions.
    pub sessions_max: usize,
    /// Time after which a session that nobody uses is closed.
    pub session_idle: Duration,
}

impl Default for McpOptions {
    fn default() -> Self {
        Self { body_bytes_max: 4 << 20, sessions_max: 1024, session_idle: Duration::from_secs(300) }
    }
}

/// Why a conversation on a pair of streams ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum StdioError {
    /// It did not come to a first message.
    #[error("the client and the host did not come to terms: {0}")]
    Start(String),
    /// The host failed in it.
    #[error("the conversation broke off: {0}")]
    Broken(String),
}

/// The MCP server of a host; clones share it.
#[derive(Debug, Clone)]
pub struct McpServer {
    shared: Arc<Shared>,
    options: McpOptions,
}

impl McpServer {
    /// A server for what a registry offers.
    pub fn new(registry: ToolRegistry, metrics: &Metrics, options: McpOptions) -> Self {
        let draining = CancellationToken::new();
        let shared = Arc::new(Shared { registry, metrics: metrics.mcp(), draining });
        Self { shared, options }
    }

    /// What it offers, for other surfaces.
    pub fn registry(&self) -> &ToolRegistry {
        &self.shared.registry
    }

    /// The routes. Each request must carry a [`Caller`] as an extension: whoever serves the routes
    /// knows who asks. Call it on a tokio runtime.
    pub fn router(&self) -> Router {
        let gate = Gate::new(Arc::clone(&self.shared), self.options.clone());
        Router::new().route("/mcp", any(answer)).route("/mcp/stream", any(answer)).with_state(gate)
    }

    /// Speaks with one client, who may do everything, until it leaves.
    ///
    /// # Errors
    /// It spoke no MCP, or the host failed.
    pub async fn speak<R, W>(&self, read: R, write: W) -> Result<(), StdioError>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let console = Caller::everything("stdio");
        let handler = Handler::new(Arc::clone(&self.shared), Some(console));
        let stop = self.shared.draining.child_token();
        match serve_server_with_ct(handler, (read, write), stop).await {
            Ok(running) => match running.waiting().await {
                Ok(_) => Ok(()),
                Err(error) => Err(StdioError::Broken(error.to_string())),
            },
            // A client that leaves at once has not done anything wrong.
            Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => {
                Ok(())
            }
            Err(error) => Err(StdioError::Start(error.to_string())),
        }
    }

    /// Ends what has no end of its own, so that the host can stop; running calls are finished.
    pub fn drain(&self) {
        self.shared.draining.cancel();
    }
}

async fn answer(State(gate): State<Arc<Gate>>, request: Request) -> Response {
    gate.answer(request).await
}
