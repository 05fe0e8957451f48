//! A server of a scripted model, and a client that sends single messages.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use host_generation::{Admin, LoadFailure, LoadProgress, Models, ServedModel};
use host_loader::PluginReport;
use host_mcp::{Endpoints, HostTools, HostToolsParts, McpOptions, McpServer};
use host_metrics::Metrics;
use host_model::{CatalogEntry, LoadErrorKind, MemoryBudget};
use host_tools::{Caller, Settings, ToolRegistry};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::fake::{self, FakeModel};

const MODERN: &str = "2026-07-28";

/// An operator's side that has nothing.
struct NoAdmin(MemoryBudget);

impl Admin for NoAdmin {
    fn plugins(&self) -> Vec<PluginReport> {
        Vec::new()
    }

    fn rescan(&self) -> Vec<PluginReport> {
        Vec::new()
    }

    fn set_plugin_enabled(&self, _name: &str, _enabled: bool) -> Option<Vec<PluginReport>> {
        None
    }

    fn load_model(
        &self,
        checkpoint: &CatalogEntry,
        _progress: &dyn Fn(LoadProgress),
    ) -> Result<ServedModel, LoadFailure> {
        let message = format!("{} cannot be loaded", checkpoint.id);
        Err(LoadFailure { kind: LoadErrorKind::NotFound, message })
    }

    fn memory(&self) -> &MemoryBudget {
        &self.0
    }
}

pub(crate) struct TestServer {
    router: Router,
    pub(crate) metrics: Metrics,
    _server: McpServer,
}

impl TestServer {
    /// A host whose models are one of the script, or none.
    pub(crate) fn new(model: Option<FakeModel>, endpoints: Endpoints) -> Self {
        let metrics = Metrics::new();
        let models = Models::new(&metrics);
        if let Some(model) = model {
            models.insert(fake::generator("fake", model, &metrics));
        }
        let own = HostTools::new(HostToolsParts {
            models,
            metrics: metrics.clone(),
            admin: Arc::new(NoAdmin(MemoryBudget::new(1000))),
            endpoints,
            settings: json!({}),
        });
        let registry = ToolRegistry::new(Settings::default());
        registry.add(Arc::new(own));
        let server = McpServer::new(registry, &metrics, McpOptions::default());
        Self { router: server.router(), metrics, _server: server }
    }

    /// The value of a series; 0 if it is not there.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let page = self.metrics.encode();
        let line = page.lines().find_map(|line| line.strip_prefix(series));
        line.map_or(0.0, |value| value.trim().parse().expect("a number"))
    }

    /// Waits until a series has a value.
    pub(crate) async fn reaches(&self, series: &str, value: f64) {
        for _ in 0..1000 {
            if self.metric(series) == value {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{series} is {} and does not become {value}", self.metric(series));
    }

    /// Sends a message of a session, or one of the revision without sessions.
    pub(crate) async fn send(&self, message: &Value, session: Option<&str>) -> Response<Body> {
        let method = message["method"].as_str().unwrap_or_default();
        let name = message["params"]["name"].as_str().unwrap_or_default();
        let mut request = Request::post("/mcp")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        match session {
            Some("") => {}
            Some(session) => request = request.header("mcp-session-id", session),
            None => {
                request = request.header("mcp-protocol-version", MODERN);
                request = request.header("mcp-method", method).header("mcp-name", name);
            }
        }
        let mut request = request.body(Body::from(message.to_string())).expect("a request");
        request.extensions_mut().insert(Caller::everything("test"));
        self.router.clone().oneshot(request).await.expect("routes do not fail")
    }

    /// Begins a session; its id.
    pub(crate) async fn initialize(&self) -> String {
        let params = json!({
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        });
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        let response = self.send(&message, Some("")).await;
        let session = response.headers()["mcp-session-id"].to_str().expect("a text").to_owned();
        messages(response).await;
        let message = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        self.send(&message, Some(&session)).await;
        session
    }

    /// The result of a call without a session, and the notifications before it.
    pub(crate) async fn call(&self, name: &str, arguments: Value) -> (Value, Vec<Value>) {
        let response = self.send(&call(name, arguments), None).await;
        let mut messages = messages(response).await;
        let answer = messages.pop().expect("an answer");
        assert!(answer["result"].is_object(), "{answer}");
        (answer["result"].clone(), messages)
    }
}

/// A call of the revision without sessions, whose progress is wanted.
#[expect(clippy::needless_pass_by_value, reason = "written in place by callers, read by `json!`")]
pub(crate) fn call(name: &str, arguments: Value) -> Value {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "progressToken": 7,
    });
    let params = json!({"name": name, "arguments": arguments, "_meta": meta});
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
}

/// All messages of an answer.
pub(crate) async fn messages(response: Response<Body>) -> Vec<Value> {
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    let text = String::from_utf8(body.to_vec()).expect("UTF-8");
    if text.starts_with('{') {
        return vec![serde_json::from_str(&text).expect("JSON")];
    }
    let data = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
    data.filter(|data| !data.is_empty())
        .map(|data| serde_json::from_str(data).expect("JSON"))
        .collect()
}
