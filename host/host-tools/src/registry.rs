//! All that the host offers, merged from its providers.
//!
//! A snapshot is replaced as a whole when a provider changes, so that listing and calling mostly take
//! no lock and a call is judged by the list it was chosen from. What a caller may see is what they may
//! call: both ask [`Caller::may`].

mod audit;
mod merge;
mod schema;
pub(crate) mod size;
mod subjects;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use host_metrics::{Metrics, ToolMetrics};
use serde_json::Value;
use tokio::sync::watch;

use self::audit::Record;
use self::merge::{Snapshot, ToolEntry};
use self::subjects::Subjects;
use crate::{Caller, Catalog, Context, Map, Provider, ToolError, ToolOutcome};

/// How the registry behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where calls are counted.
    pub metrics: Metrics,
    /// How long changes are gathered before the list is made anew.
    pub debounce: Duration,
    /// Calls a minute that each caller may make; 0 is without limit.
    pub calls_per_minute: u32,
    /// Most bytes of a call's arguments.
    pub arguments_bytes_max: usize,
    /// Most bytes of a result, whoever gives it; servers have limits of their own below it.
    pub result_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            metrics: Metrics::new(),
            debounce: Duration::from_millis(50),
            calls_per_minute: 0,
            arguments_bytes_max: 4 << 20,
            result_bytes_max: 64 << 20,
        }
    }
}

/// All that the host offers; clones share it.
#[derive(Clone)]
pub struct ToolRegistry {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    metrics: ToolMetrics,
    subjects: Subjects,
    /// Held while a snapshot is made, so that a later one is never replaced by an earlier one.
    providers: Mutex<Vec<Arc<dyn Provider>>>,
    snapshot: ArcSwap<Snapshot>,
    version: watch::Sender<u64>,
}

impl ToolRegistry {
    /// A registry without providers.
    pub fn new(settings: Settings) -> Self {
        let inner = Inner {
            metrics: settings.metrics.tools(),
            settings,
            subjects: Subjects::default(),
            providers: Mutex::default(),
            snapshot: ArcSwap::default(),
            version: watch::Sender::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Takes in what a provider offers, now and whenever it changes. Call it on a tokio runtime.
    pub fn add(&self, provider: Arc<dyn Provider>) {
        let mut changes = provider.changed();
        changes.mark_unchanged();
        self.inner.providers.lock().unwrap_or_else(PoisonError::into_inner).push(provider);
        self.inner.merge();
        let inner: Weak<Inner> = Arc::downgrade(&self.inner);
        let debounce = self.inner.settings.debounce;
        tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                tokio::time::sleep(debounce).await;
                changes.mark_unchanged();
                let Some(inner) = inner.upgrade() else { return };
                inner.refresh();
            }
        });
    }

    /// What a caller may see, each list sorted by name.
    pub fn list(&self, caller: &Caller) -> Arc<Catalog> {
        let snapshot = self.inner.current();
        let full = &snapshot.catalog;
        let reads = caller.may_read();
        if reads && full.tools.iter().all(|tool| caller.may(tool)) {
            return Arc::clone(full);
        }
        let tools = full.tools.iter().filter(|tool| caller.may(tool)).cloned().collect();
        let rest = if reads { Catalog::clone(full) } else { Catalog::default() };
        Arc::new(Catalog { tools, ..rest })
    }

    /// Where calls are counted.
    pub(crate) fn metrics(&self) -> &ToolMetrics {
        &self.inner.metrics
    }

    /// What could not be taken in, a line each, for an operator.
    pub fn problems(&self) -> Vec<String> {
        self.inner.current().problems.clone()
    }

    /// A number that grows whenever the merged catalog changes.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.inner.version.subscribe()
    }

    /// Calls a tool by the name in the list. A result that does not fit the tool's own schema is a
    /// failure of the tool.
    ///
    /// # Errors
    ///
    /// As [`ToolError`] says; a tool the caller may not see is unknown to them.
    pub async fn call_tool(
        &self,
        name: &str,
        arguments: Map,
        context: Context,
    ) -> Result<ToolOutcome, ToolError> {
        let snapshot = self.inner.current();
        let entry = snapshot
            .tools
            .get(name)
            .filter(|entry| context.caller.may(&entry.tool))
            .ok_or_else(|| ToolError::unknown("tool", name))?;
        let bytes = audit::bytes(&arguments);
        let record = Record::begin(&entry.tool, &arguments, bytes, &context, &self.inner.metrics);
        let result = self.inner.call(entry, arguments, bytes, context).await;
        record.end(&result);
        result
    }

    /// Reads a resource: a result of `resources/read`.
    ///
    /// # Errors
    ///
    /// As [`ToolError`] says.
    pub async fn read_resource(&self, uri: &str, context: Context) -> Result<Value, ToolError> {
        let snapshot = self.inner.current();
        let provider = snapshot
            .resource(uri)
            .filter(|_| context.caller.may_read())
            .ok_or_else(|| ToolError::unknown("resource", uri))?;
        provider.read_resource(uri, context).await
    }

    /// Fills a prompt: a result of `prompts/get`.
    ///
    /// # Errors
    ///
    /// As [`ToolError`] says.
    pub async fn prompt(
        &self,
        name: &str,
        arguments: Map,
        context: Context,
    ) -> Result<Value, ToolError> {
        let snapshot = self.inner.current();
        let provider = snapshot
            .prompts
            .get(name)
            .filter(|_| context.caller.may_read())
            .ok_or_else(|| ToolError::unknown("prompt", name))?;
        provider.prompt(name, arguments, context).await
    }

    /// Completes an argument of a prompt or of a resource template: parameters and result of
    /// `completion/complete`.
    ///
    /// # Errors
    ///
    /// As [`ToolError`] says.
    pub async fn complete(&self, params: Value, context: Context) -> Result<Value, ToolError> {
        let snapshot = self.inner.current();
        let reference = &params["ref"];
        let (prompt, uri) = (reference["name"].as_str(), reference["uri"].as_str());
        let provider = match (prompt, uri) {
            (Some(name), _) => snapshot.prompts.get(name),
            (None, Some(uri)) => snapshot.templates.get(uri).or_else(|| snapshot.resource(uri)),
            (None, None) => None,
        };
        let provider = provider
            .filter(|_| context.caller.may_read())
            .map(Arc::clone)
            .ok_or_else(|| ToolError::unknown("reference", prompt.or(uri).unwrap_or_default()))?;
        provider.complete(params, context).await
    }
}

impl Inner {
    async fn call(
        &self,
        entry: &ToolEntry,
        arguments: Map,
        bytes: usize,
        context: Context,
    ) -> Result<ToolOutcome, ToolError> {
        let Settings { calls_per_minute, arguments_bytes_max, result_bytes_max, .. } =
            self.settings;
        self.subjects.take(&context.caller.subject, calls_per_minute, Instant::now())?;
        let declared = |name: &&String| context.capabilities.contains_key(name.as_str());
        if let Some(missing) = entry.tool.client_needs.iter().find(|name| !declared(name)) {
            return Err(ToolError::MissingCapability(missing.clone()));
        }
        size::check("arguments", bytes, arguments_bytes_max)?;
        // Checked as a value, which takes the map and gives it back.
        let arguments = Value::Object(arguments);
        entry.input.check(&arguments).map_err(ToolError::InvalidArguments)?;
        let Value::Object(arguments) = arguments else { return Err(ToolError::Cancelled) };
        let outcome = entry.provider.call_tool(&entry.tool.name, arguments, context).await?;
        size::check("result", size::of_outcome(&outcome), result_bytes_max)?;
        Ok(entry.judge(outcome))
    }

    /// The snapshot, made anew if a provider has changed since: announcing changes can wait, but
    /// what is asked for is never older than what is there.
    fn current(&self) -> Arc<Snapshot> {
        self.refresh();
        self.snapshot.load_full()
    }

    fn refresh(&self) {
        if !self.snapshot.load().is_current() {
            self.merge();
        }
    }

    /// Makes a snapshot of what the providers offer now, and tells if it differs.
    fn merge(&self) {
        let providers = self.providers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.snapshot.load_full();
        let fresh = Snapshot::of(&providers, &known);
        let differs = fresh.catalog != known.catalog;
        for problem in fresh.problems.iter().filter(|line| !known.problems.contains(line)) {
            tracing::warn!(%problem, "not offered");
        }
        self.snapshot.store(Arc::new(fresh));
        if differs {
            self.version.send_modify(|version| *version += 1);
        }
    }
}

impl fmt::Debug for ToolRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tools = self.inner.snapshot.load().tools.len();
        f.debug_struct("ToolRegistry").field("tools", &tools).finish_non_exhaustive()
    }
}
