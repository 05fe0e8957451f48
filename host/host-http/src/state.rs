//! What every handler shares: the models, the metrics, the operator's side and the options.
//!
//! A value and not a global, so that tests run many hosts in one process. It decides nothing.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use host_generation::{Embedder, GenerationError, Generator, Models, ServedModel};
use host_loader::PluginReport;
use host_metrics::Metrics;
use host_model::{LoadError, LoadErrorKind};

use crate::error::ApiError;
use crate::limits::{BODY_BYTES_MAX, CONNECTIONS_MAX, GRACE, HEADER_TIMEOUT};

/// What the binary can do to plugins and models. Every call may take its time and is made where
/// nobody waits for it but the one client.
pub trait Admin: Send + Sync + 'static {
    /// Every plugin file seen, good or bad.
    fn plugins(&self) -> Vec<PluginReport>;

    /// Looks at the plugin folders again.
    fn rescan(&self) -> Vec<PluginReport>;

    /// Switches a plugin off or on for models that are loaded from now on. None: there is no such
    /// plugin to switch.
    fn set_plugin_enabled(&self, name: &str, enabled: bool) -> Option<Vec<PluginReport>>;

    /// Loads a model and starts its engine.
    ///
    /// # Errors
    /// Why it cannot be served.
    fn load_model(&self, path: &Path, id: Option<&str>) -> Result<ServedModel, AdminError>;
}

/// Why an operator's request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AdminError {
    /// Chooses the status.
    pub kind: LoadErrorKind,
    /// One line for people.
    pub message: String,
}

impl From<LoadError> for AdminError {
    fn from(error: LoadError) -> Self {
        Self { kind: error.kind(), message: error.to_string() }
    }
}

impl From<GenerationError> for AdminError {
    fn from(error: GenerationError) -> Self {
        Self { kind: LoadErrorKind::Failed, message: error.to_string() }
    }
}

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Key that clients must send; none: nobody is asked.
    pub api_key: Option<String>,
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
            api_key: None,
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
        let draining = AtomicBool::new(false);
        Self { inner: Arc::new(Inner { models, metrics, admin, options, draining }) }
    }

    /// The models served.
    pub fn models(&self) -> &Models {
        &self.inner.models
    }

    /// The host's metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// Takes no new requests from now on: `/ready` says so, and so do the models.
    pub fn drain(&self) {
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
        let models = &self.inner.models;
        let unknown = || ApiError::unknown_model(id, models.failure(id).as_deref());
        look_up(models, id).ok_or_else(unknown)
    }
}

impl fmt::Debug for AppState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppState").field("models", &self.inner.models).finish_non_exhaustive()
    }
}
