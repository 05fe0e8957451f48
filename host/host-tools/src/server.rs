//! One joined server: its process, its conversation, its list, and its calls.
//!
//! A task of its own keeps it running ([`supervisor`]); calls go through the conversation that the
//! task keeps open, as many at once as the configuration allows. A call that may change something is
//! never made twice: nobody can tell what the first one did. The caller's own credentials never
//! reach a server.

mod backoff;
mod cache;
mod limit;
mod lists;
mod process;
mod screen;
mod status;
mod supervisor;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use host_metrics::ToolMetrics;
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;

pub use self::process::login_command;
pub use self::status::{Level, ServerState, ServerStatus};

use self::cache::Cache;
use self::limit::Limits;
use crate::config::{Names, ServerConfig};
use crate::registry::size;
use crate::result::{neighbourly, outcome};
use crate::session::{Patience, Session};
use crate::{
    Answer, Catalog, Client, Context, Map, Owner, Provider, Tool, ToolError, ToolOutcome, names,
};

/// How long a call waits for a server that is starting, or starting again.
const START_WAIT: Duration = Duration::from_secs(5);

/// A joined server.
pub(crate) struct Server {
    pub(crate) config: ServerConfig,
    name: Arc<str>,
    offer: ArcSwap<Offer>,
    version: watch::Sender<u64>,
    session: watch::Sender<Line>,
    status: Mutex<ServerStatus>,
    permits: Semaphore,
    /// Asks a server that sleeps to start.
    wake: Notify,
    last_used: Mutex<Instant>,
    /// Whether a call succeeded since the server was started.
    served: std::sync::atomic::AtomicBool,
    limits: Limits,
    cache: Cache,
    metrics: ToolMetrics,
    /// Whom it may ask things.
    client: Option<Arc<dyn Client>>,
    stop: CancellationToken,
}

/// The way to a server.
#[derive(Debug, Clone, Default)]
enum Line {
    /// It is starting for the first time, or again, and will be there soon.
    #[default]
    Coming,
    /// It can be asked.
    Open(Arc<Session>),
    /// It starts when somebody asks.
    Asleep,
    /// It will not be there soon, and why.
    Down(String),
}

/// What a server offers, and how it calls it.
#[derive(Debug, Default)]
struct Offer {
    catalog: Arc<Catalog>,
    tools: BTreeMap<String, Arc<Tool>>,
}

impl Server {
    pub(crate) fn new(
        config: ServerConfig,
        metrics: &ToolMetrics,
        client: Option<Arc<dyn Client>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            name: config.name.as_str().into(),
            offer: ArcSwap::default(),
            version: watch::Sender::new(0),
            session: watch::Sender::new(Line::default()),
            status: Mutex::new(ServerStatus::new(&config.name)),
            permits: Semaphore::new(config.concurrent_max),
            wake: Notify::new(),
            last_used: Mutex::new(Instant::now()),
            served: false.into(),
            limits: Limits::new(&config.calls_per_minute),
            cache: Cache::default(),
            metrics: metrics.clone(),
            client,
            stop: CancellationToken::new(),
            config,
        })
    }

    /// How it is now.
    pub(crate) fn status(&self) -> ServerStatus {
        self.lock_status().clone()
    }

    /// Ends it; its task ends when the process has.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    fn lock_status(&self) -> MutexGuard<'_, ServerStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn owner(&self) -> Owner {
        Owner::Server(Arc::clone(&self.name))
    }

    fn unavailable(&self, reason: impl Into<String>) -> ToolError {
        ToolError::Unavailable { server: self.name.to_string(), reason: reason.into() }
    }

    /// The conversation, waited for if it will be there soon.
    async fn line(&self, context: &Context) -> Result<Arc<Session>, ToolError> {
        let mut line = self.session.subscribe();
        let open = async {
            loop {
                match &*line.borrow_and_update() {
                    Line::Open(session) if !session.is_over() => return Ok(Arc::clone(session)),
                    // It ended a moment ago, and the next one is about to be begun.
                    Line::Open(_) => {}
                    Line::Down(reason) => return Err(self.unavailable(reason.clone())),
                    Line::Asleep => self.wake.notify_one(),
                    Line::Coming => {}
                }
                if line.changed().await.is_err() {
                    return Err(self.unavailable("the host is stopping"));
                }
            }
        };
        tokio::select! {
            found = tokio::time::timeout(START_WAIT, open) => {
                found.unwrap_or_else(|_| Err(self.unavailable("it is starting")))
            }
            () = context.cancel.cancelled() => Err(ToolError::Cancelled),
        }
    }

    /// A request that takes one of the server's places.
    async fn ask(
        &self,
        method: &str,
        params: Value,
        context: &Context,
    ) -> Result<Value, ToolError> {
        let patience = Patience { silence: self.config.timeout, total: self.config.total_max };
        let permit = tokio::select! {
            permit = tokio::time::timeout(patience.silence, self.permits.acquire()) => permit,
            () = context.cancel.cancelled() => return Err(ToolError::Cancelled),
        };
        let Ok(Ok(_permit)) = permit else {
            return Err(self.unavailable("all its places are taken"));
        };
        let session = self.line(context).await?;
        self.touch();
        let result = session.request(method, params, context, patience).await;
        self.touch();
        let result = result?;
        self.served.store(true, std::sync::atomic::Ordering::Relaxed);
        // While lists are read, longer lines than that of a result are.
        size::check("result", size::of(&result), self.config.result_bytes_max)?;
        Ok(result)
    }

    fn touch(&self) {
        *self.last_used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn idle(&self) -> Duration {
        self.last_used.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    async fn call(
        &self,
        name: &str,
        arguments: Map,
        context: Context,
    ) -> Result<ToolOutcome, ToolError> {
        let offer = self.offer.load_full();
        let tool = offer.tools.get(name).ok_or_else(|| ToolError::unknown("tool", name))?;
        let key = self.cache_key(tool, &arguments, &context);
        if let Some(outcome) = key.as_ref().and_then(|key| self.cache.get(key, Instant::now())) {
            return Ok(outcome);
        }
        self.limits.take(&tool.original_name, Instant::now())?;
        let mut params = json!({ "name": tool.original_name, "arguments": arguments });
        if let (Some(input), Value::Object(params)) = (&context.input, &mut params) {
            for key in ["inputResponses", "requestState"] {
                if let Some(value) = input.get(key) {
                    params.insert(key.to_owned(), value.clone());
                }
            }
        }
        let again = self.may_repeat(tool).then(|| params.clone());
        let result = match (self.ask("tools/call", params, &context).await, again) {
            (Err(ToolError::Unavailable { .. }), Some(params)) => {
                self.ask("tools/call", params, &context).await?
            }
            (result, _) => result?,
        };
        let outcome = outcome(result);
        if let (Some(key), Some(cache)) = (key, &self.config.cache)
            && !outcome.is_error
            && outcome.input_required.is_none()
        {
            self.cache.put(key, outcome.clone(), Instant::now() + cache.ttl);
        }
        Ok(outcome)
    }

    /// Whether a call whose server died during it may be made again.
    fn may_repeat(&self, tool: &Tool) -> bool {
        let said = [tool.annotations.read_only, tool.annotations.idempotent];
        self.config.trusted && said.contains(&Some(true))
    }

    /// Under what a result may be kept, if it may be at all.
    fn cache_key(&self, tool: &Tool, arguments: &Map, context: &Context) -> Option<String> {
        let cache = self.config.cache.as_ref()?;
        let named = cache.tools.iter().any(|glob| glob.matches(&tool.original_name));
        let harmless = tool.annotations.read_only == Some(true);
        (named && harmless && context.input.is_none()).then(|| {
            let arguments = Value::Object(arguments.clone());
            format!("{} {arguments}", tool.original_name)
        })
    }

    /// A resource's address at the server, out of ours.
    fn original_uri<'a>(&self, uri: &'a str) -> Option<&'a str> {
        match &self.config.names {
            Names::Flat => Some(uri),
            Names::Prefix(prefix) | Names::Custom(_, prefix) => {
                uri.strip_prefix(prefix.as_str())?.strip_prefix('+')
            }
        }
    }

    async fn read(&self, uri: &str, context: Context) -> Result<Value, ToolError> {
        let original = self.original_uri(uri).ok_or_else(|| ToolError::unknown("resource", uri))?;
        let mut result = self.ask("resources/read", json!({ "uri": original }), &context).await?;
        let contents = result.get_mut("contents").and_then(Value::as_array_mut);
        for content in contents.into_iter().flatten() {
            if let Some(of) = content["uri"].as_str() {
                content["uri"] = Value::from(names::uri(&self.config.names, of));
            }
        }
        Ok(neighbourly(result))
    }

    async fn fill(&self, name: &str, arguments: Map, context: Context) -> Result<Value, ToolError> {
        let catalog = Arc::clone(&self.offer.load().catalog);
        let prompt = catalog.prompts.iter().find(|prompt| prompt.name == name);
        let prompt = prompt.ok_or_else(|| ToolError::unknown("prompt", name))?;
        let params = json!({ "name": prompt.original_name, "arguments": arguments });
        Ok(neighbourly(self.ask("prompts/get", params, &context).await?))
    }

    async fn complete_for(&self, mut params: Value, context: Context) -> Result<Value, ToolError> {
        let reference = &mut params["ref"];
        if let Some(name) = reference["name"].as_str() {
            let catalog = Arc::clone(&self.offer.load().catalog);
            let prompt = catalog.prompts.iter().find(|prompt| prompt.name == name);
            let prompt = prompt.ok_or_else(|| ToolError::unknown("prompt", name))?;
            reference["name"] = Value::from(prompt.original_name.as_str());
        } else if let Some(uri) = reference["uri"].as_str() {
            let original =
                self.original_uri(uri).ok_or_else(|| ToolError::unknown("resource", uri))?;
            reference["uri"] = Value::from(original);
        }
        Ok(neighbourly(self.ask("completion/complete", params, &context).await?))
    }
}

impl Provider for Server {
    fn name(&self) -> &str {
        &self.name
    }

    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.offer.load().catalog)
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn call_tool<'a>(
        &'a self,
        name: &'a str,
        arguments: Map,
        context: Context,
    ) -> Answer<'a, ToolOutcome> {
        Box::pin(self.call(name, arguments, context))
    }

    fn read_resource<'a>(&'a self, uri: &'a str, context: Context) -> Answer<'a, Value> {
        Box::pin(self.read(uri, context))
    }

    fn prompt<'a>(&'a self, name: &'a str, arguments: Map, context: Context) -> Answer<'a, Value> {
        Box::pin(self.fill(name, arguments, context))
    }

    fn complete<'a>(&'a self, params: Value, context: Context) -> Answer<'a, Value> {
        Box::pin(self.complete_for(params, context))
    }
}
