//! A host in a value: router, models, metrics, and a client that calls it without a socket.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use host_generation::{
    Admin, Generator, LoadFailure, LoadProgress, LoadStage, Models, ServedModel,
};
use host_http::{AppState, HttpOptions, router};
use host_loader::{PluginReport, PluginState};
use host_metrics::Metrics;
use host_model::{CatalogEntry, LoadErrorKind, MemoryBudget, ReasoningForm};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::fake::{self, FakeModel};
use crate::fake_embedder::{self, FakeEmbedder};

/// An operator's side that loads any path that says `good`.
pub(crate) struct FakeAdmin {
    metrics: Metrics,
    memory: MemoryBudget,
    /// Loads that were begun.
    pub(crate) loads: AtomicUsize,
    /// Each load waits for a unit, if it is set and its sender is there.
    pub(crate) gate: Mutex<Option<Receiver<()>>>,
}

impl FakeAdmin {
    fn new(metrics: Metrics) -> Self {
        let (memory, loads) = (MemoryBudget::new(1000), AtomicUsize::new(0));
        Self { metrics, memory, loads, gate: Mutex::new(None) }
    }

    /// Lets loads wait for a unit each from now on.
    pub(crate) fn hold(&self) -> SyncSender<()> {
        let (sender, receiver) = sync_channel(100);
        *self.gate.lock().expect("no test panics here") = Some(receiver);
        sender
    }
}

impl Admin for FakeAdmin {
    fn plugins(&self) -> Vec<PluginReport> {
        let plugin = |name: &str, state, reason: Option<&str>| PluginReport {
            file: PathBuf::from(format!("plugins/lib{name}.so")),
            name: name.to_owned(),
            version: None,
            abi: None,
            state,
            reason: reason.map(str::to_owned),
            providers: Vec::new(),
            shadowed: Vec::new(),
            sha256: None,
            load_us: 7,
        };
        vec![
            plugin("llama", PluginState::Loaded, None),
            plugin("broken", PluginState::Refused, Some("not a plugin")),
        ]
    }

    fn rescan(&self) -> Vec<PluginReport> {
        self.plugins().into_iter().take(1).collect()
    }

    fn set_plugin_enabled(&self, name: &str, enabled: bool) -> Option<Vec<PluginReport>> {
        let mut plugins = self.plugins();
        let plugin = plugins.iter_mut().find(|plugin| plugin.name == name && name == "llama")?;
        plugin.state = if enabled { PluginState::Loaded } else { PluginState::Disabled };
        Some(plugins)
    }

    fn load_model(
        &self,
        checkpoint: &CatalogEntry,
        progress: &dyn Fn(LoadProgress),
    ) -> Result<ServedModel, LoadFailure> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        progress(LoadProgress { stage: LoadStage::Weights, done_bytes: 1, total_bytes: 2 });
        if let Some(gate) = self.gate.lock().expect("no test panics here").as_ref() {
            gate.recv().ok();
        }
        let name = checkpoint.path.file_name().unwrap_or_default().to_string_lossy();
        if name.contains("good") {
            let model = FakeModel::saying("good");
            return Ok(fake::generator(&checkpoint.id, model, &self.metrics).into());
        }
        let kind = match name.as_ref() {
            "missing" => LoadErrorKind::NotFound,
            "huge" => LoadErrorKind::Memory,
            "exotic" => LoadErrorKind::Unsupported,
            "crash" => LoadErrorKind::Failed,
            _ => LoadErrorKind::Invalid,
        };
        Err(LoadFailure { kind, message: format!("{name}: no") })
    }

    fn memory(&self) -> &MemoryBudget {
        &self.memory
    }
}

pub(crate) struct TestHost {
    pub(crate) state: AppState,
    pub(crate) metrics: Metrics,
    pub(crate) admin: Arc<FakeAdmin>,
    pub(crate) router: Router,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl TestHost {
    /// No model.
    pub(crate) fn empty(options: HttpOptions) -> Self {
        let metrics = Metrics::new();
        let admin = Arc::new(FakeAdmin::new(metrics.clone()));
        let dyn_admin: Arc<dyn Admin> = Arc::<FakeAdmin>::clone(&admin);
        let state = AppState::new(Models::default(), metrics.clone(), dyn_admin, options);
        Self { router: router(state.clone(), Router::new()), state, metrics, admin }
    }

    /// Models that are there to be loaded.
    pub(crate) fn offering(ids: &[&str]) -> Self {
        let host = Self::empty(HttpOptions::default());
        for id in ids {
            host.state
                .models()
                .offer(CatalogEntry::at(Path::new("/models").join(id).as_path(), None));
        }
        host
    }

    /// The model `fake`, which says `script` from position 0 on.
    pub(crate) fn saying(script: &str) -> Self {
        Self::serving(FakeModel::saying(script))
    }

    pub(crate) fn serving(model: FakeModel) -> Self {
        Self::serving_with(HttpOptions::default(), model)
    }

    pub(crate) fn serving_with(options: HttpOptions, model: FakeModel) -> Self {
        let host = Self::empty(options);
        host.state.models().insert(fake::generator("fake", model, &host.metrics));
        host
    }

    /// The model `fake`, which thinks before it answers. Its template shows the variables that say
    /// how much.
    pub(crate) fn thinking(script: &str) -> Self {
        let mut parts = fake::parts("fake", fake::limits());
        let effort = "{{ enable_thinking }} {{ reasoning_effort }}{# </think> #}";
        parts.chat_template = Some(format!("{}{effort}", fake::CHAT_TEMPLATE));
        parts.chat.reasoning = vec![ReasoningForm::think()];
        let host = Self::empty(HttpOptions::default());
        let model = FakeModel::saying(script);
        let generator = Generator::spawn_with(parts, model, host.metrics.clone());
        host.state.models().insert(generator.expect("the limits agree"));
        host
    }

    /// The embedding model `fake`.
    pub(crate) fn embedding(model: FakeEmbedder) -> Self {
        let host = Self::empty(HttpOptions::default());
        host.state.models().insert(fake_embedder::embedder("fake", model, &host.metrics));
        host
    }

    pub(crate) async fn call(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("the router never fails");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("the body never fails").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("answers are text");
        Answer { status: parts.status, headers: parts.headers, text }
    }

    /// The answer's body, still running.
    pub(crate) async fn open(&self, path: &str, body: &Value) -> Body {
        let request = post(path, body.to_string());
        let response = self.router.clone().oneshot(request).await.expect("the router never fails");
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(get(path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(post(path, body.to_string())).await
    }

    /// The body of a good answer.
    pub(crate) async fn ok(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()
    }

    /// The objects of a good event stream, without the last word.
    pub(crate) async fn events(&self, path: &str, body: &Value) -> Vec<Value> {
        let mut body = body.clone();
        body["stream"] = json!(true);
        let answer = self.post(path, &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let (events, end) = answer.text.split_once("data: [DONE]\n\n").expect("the last word");
        assert_eq!(end, "");
        events.split_terminator("\n\n").map(event).collect()
    }

    /// Waits for other threads, up to ten seconds.
    #[track_caller]
    pub(crate) fn wait_idle(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.metrics.encode().contains("host_requests_in_flight{model=\"fake\"} 0\n") {
            assert!(Instant::now() < deadline, "a request is in flight for ever");
            std::thread::yield_now();
        }
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a text header"))
    }
}

pub(crate) fn event(line: &str) -> Value {
    let data = line.strip_prefix("data: ").unwrap_or_else(|| panic!("no event: {line:?}"));
    serde_json::from_str(data).unwrap_or_else(|e| panic!("{e}: {data}"))
}

pub(crate) fn get(path: &str) -> Request<Body> {
    Request::get(path).header("host", "localhost").body(Body::empty()).expect("a request")
}

pub(crate) fn post(path: &str, body: impl Into<Bytes>) -> Request<Body> {
    Request::post(path)
        .header("host", "127.0.0.1:8080")
        .header("content-type", "application/json")
        .body(Body::from(body.into()))
        .expect("a request")
}

/// A conversation of one word. Rendered with special tokens it has 23 tokens.
pub(crate) fn chat(more: Value) -> Value {
    with(json!({"model": "fake", "messages": [{"role": "user", "content": "hi"}]}), more)
}

/// The same conversation for the Responses API.
pub(crate) fn response(more: Value) -> Value {
    with(json!({"model": "fake", "input": "hi", "temperature": 0}), more)
}

/// The script of a model that answers that conversation with `answer`.
pub(crate) fn chat_script(answer: &str) -> String {
    format!("{}{answer}", ".".repeat(CHAT_TOKENS))
}

/// Tokens of [`chat`]: BOS, turn, `user:hi;`, turn, `assistant:`.
pub(crate) const CHAT_TOKENS: usize = 1 + 1 + 8 + 1 + 10;

/// A text completion of `ab` (with BOS 3 tokens).
pub(crate) fn completion(more: Value) -> Value {
    with(json!({"model": "fake", "prompt": "ab"}), more)
}

fn with(mut body: Value, more: Value) -> Value {
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

/// The answer with what differs each time put aside.
pub(crate) fn stable(mut body: Value) -> Value {
    if let Some(id) = body["id"].as_str() {
        let prefix = id.split('-').next().unwrap_or_default().to_owned();
        body["id"] = format!("{prefix}-ID").into();
    }
    if body["created"].is_u64() {
        body["created"] = 0.into();
    }
    if body["system_fingerprint"].is_string() {
        body["system_fingerprint"] = "fp".into();
    }
    body
}

/// The answer, laid out for a snapshot.
pub(crate) fn pretty(body: Value) -> String {
    serde_json::to_string_pretty(&stable(body)).expect("JSON") + "\n"
}
