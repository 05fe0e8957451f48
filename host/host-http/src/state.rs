//! What every handler shares: the models, the metrics, the operator's side and the options.
//!
//! A value and not a global, so that tests run many hosts in one process. It decides nothing.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use host_generation::{Admin, Embedder, Generator, LoadJob, Models, ServedModel, Wanted};
use host_metrics::Metrics;

use crate::access_log::AccessLog;
use crate::agent::AgentOptions;
use crate::error::ApiError;
use crate::keys::ApiKeys;
use crate::limits::{BODY_BYTES_MAX, CONNECTIONS_MAX, GRACE, HEADER_TIMEOUT};
use crate::rate_limit::{Limiter, RateLimits};

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Keys that clients must send one of; none: nobody is asked.
    pub keys: ApiKeys,
    /// What each caller may take.
    pub rate_limits: RateLimits,
    /// Where each request is written down; none: nowhere.
    pub access_log: Option<AccessLog>,
    /// The tools that models may call for clients of chats; none: there are none.
    pub agent: Option<AgentOptions>,
    /// Only this machine can connect, so without a key a request must also name this machine as its
    /// host: a web page that was rebound to this address names another.
    pub loopback_only: bool,
    /// Most bytes of a request body.
    pub body_bytes_max: usize,
    /// Most open connections; more wait to be accepted.
    pub connections_max: usize,
    /// Time for a request's head to arrive.
    pub header_timeout: Duration,
    /// Time that running answers get when the host stops.
    pub grace: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            keys: ApiKeys::default(),
            rate_limits: RateLimits::default(),
            access_log: None,
            agent: None,
            loopback_only: true,
            body_bytes_max: BODY_BYTES_MAX,
            connections_max: CONNECTIONS_MAX,
            header_timeout: HEADER_TIMEOUT,
            grace: GRACE,
        }
    }
}

/// Shared by every handler; clones share it.
#[derive(Clone)]
pub struct AppState {
    inner: Arc<Inner>,
}

struct Inner {
    models: Models,
    metrics: Metrics,
    admin: Arc<dyn Admin>,
    options: HttpOptions,
    limiter: Option<Arc<Limiter>>,
    leaving: AtomicBool,
    draining: AtomicBool,
}

impl AppState {
    /// The state of a host.
    pub fn new(
        models: Models,
        metrics: Metrics,
        admin: Arc<dyn Admin>,
        options: HttpOptions,
    ) -> Self {
        let limiter = Limiter::new(options.rate_limits);
        let (leaving, draining) = (AtomicBool::new(false), AtomicBool::new(false));
        let inner = Inner { models, metrics, admin, options, limiter, leaving, draining };
        Self { inner: Arc::new(inner) }
    }

    /// The models served.
    pub fn models(&self) -> &Models {
        &self.inner.models
    }

    /// The host's metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// Tells whoever balances load to turn to others: `/ready` refuses, and each answer closes its
    /// connection. Requests are served as before.
    pub fn leave(&self) {
        self.inner.leaving.store(true, Ordering::SeqCst);
    }

    /// Whether the host wants no more requests, or takes none.
    pub fn is_leaving(&self) -> bool {
        self.inner.leaving.load(Ordering::SeqCst)
    }

    /// Takes no new requests from now on: `/ready` says so, and so do the models.
    pub fn drain(&self) {
        self.leave();
        self.inner.draining.store(true, Ordering::SeqCst);
    }

    /// Whether the host is about to stop.
    pub fn is_draining(&self) -> bool {
        self.inner.draining.load(Ordering::SeqCst)
    }

    pub(crate) fn admin(&self) -> &Arc<dyn Admin> {
        &self.inner.admin
    }

    pub(crate) fn options(&self) -> &HttpOptions {
        &self.inner.options
    }

    /// What callers have left, on all listeners together; none if nothing is limited.
    pub(crate) fn limiter(&self) -> Option<&Arc<Limiter>> {
        self.inner.limiter.as_ref()
    }

    /// The model a request names; the default one if it names none.
    pub(crate) fn model(&self, id: Option<&str>) -> Result<ServedModel, ApiError> {
        self.find(id, |models, id| models.get(id))
    }

    /// As [`AppState::model`], to generate with.
    pub(crate) fn generator(&self, id: Option<&str>) -> Result<Generator, ApiError> {
        Ok(self.find(id, Models::generator)??)
    }

    /// As [`AppState::model`], to embed with.
    pub(crate) fn embedder(&self, id: Option<&str>) -> Result<Embedder, ApiError> {
        Ok(self.find(id, Models::embedder)??)
    }

    fn find<T>(
        &self,
        id: Option<&str>,
        look_up: impl FnOnce(&Models, &str) -> Option<T>,
    ) -> Result<T, ApiError> {
        if self.is_draining() {
            return Err(ApiError::draining());
        }
        let id = id.unwrap_or("default");
        look_up(self.models(), id).ok_or_else(|| self.not_serving(id))
    }

    /// What a request hears whose model does not serve: if the model is there to be loaded, that it
    /// is being loaded now, and the request's work is done again when it is.
    fn not_serving(&self, id: &str) -> ApiError {
        match self.models().want(id, false) {
            Wanted::Unknown => ApiError::unknown_model(id),
            Wanted::Failed(failure) => ApiError::failed_before(&failure),
            Wanted::Load(loading, job) => {
                self.run(job);
                ApiError::loading(id, loading)
            }
        }
    }

    /// Has a model loaded, if that is this request's duty.
    pub(crate) fn run(&self, job: Option<LoadJob>) {
        if let Some(job) = job {
            job.spawn(&self.inner.admin);
        }
    }
}

impl fmt::Debug for AppState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppState").field("models", &self.inner.models).finish_non_exhaustive()
    }
}
