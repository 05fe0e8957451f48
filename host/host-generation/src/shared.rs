//! What the handles of a model share with its thread: mailbox, figures, and whether it serves.
//!
//! The same for a model that generates and one that embeds; `S` is what a request hands over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use host_engine::StepError;
use host_metrics::{Lock, Metrics, ModelMetrics};

use crate::error::GenerationError;
use crate::mailbox::Mailbox;

/// Whether a model serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelState {
    /// It takes requests.
    Ready,
    /// It finishes what it has and takes nothing new.
    Draining,
    /// A plugin panicked in it.
    Faulted {
        /// Plugin to blame.
        plugin: String,
        /// What it said.
        message: String,
    },
}

#[derive(Debug)]
pub(crate) struct Shared<S> {
    pub(crate) mailbox: Mailbox<S>,
    pub(crate) metrics: ModelMetrics,
    state: Mutex<ModelState>,
}

impl<S: Send + 'static> Shared<S> {
    /// What the model `id` shares.
    pub(crate) fn new(metrics: &Metrics, id: &str) -> Self {
        let mailbox = Mailbox::new(metrics.lock(Lock::RequestQueue));
        let metrics = metrics.model(id);
        Self { mailbox, metrics, state: Mutex::new(ModelState::Ready) }
    }

    /// Starts the model's thread, after which the mailbox is closed however it ends.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        id: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), GenerationError> {
        let closer = Closer(Arc::clone(self));
        std::thread::Builder::new()
            .name(format!("engine {id}"))
            .spawn(move || {
                let _closer = closer;
                run();
            })
            .map(drop)
            .map_err(|error| GenerationError::Start { message: error.to_string() })
    }
}

impl<S> Shared<S> {
    pub(crate) fn state(&self) -> ModelState {
        self.lock_state().clone()
    }

    /// Refuses what comes after the model has left service.
    pub(crate) fn check_ready(&self) -> Result<(), GenerationError> {
        if self.state() == ModelState::Ready { Ok(()) } else { Err(self.closed_error()) }
    }

    pub(crate) fn drain(&self) {
        self.mailbox.drain();
        let mut state = self.lock_state();
        if *state == ModelState::Ready {
            *state = ModelState::Draining;
        }
    }

    /// Why the model takes nothing, or left a request unanswered.
    pub(crate) fn closed_error(&self) -> GenerationError {
        match self.state() {
            ModelState::Faulted { plugin, message } => GenerationError::Faulted { plugin, message },
            ModelState::Ready | ModelState::Draining => GenerationError::ShuttingDown,
        }
    }

    /// Books a failed step. A plugin that panicked may have left anything behind, so the model is
    /// not stepped again: then what its requests are to hear.
    pub(crate) fn note_fault(
        &self,
        metrics: &Metrics,
        fault: StepError,
    ) -> Option<GenerationError> {
        let StepError::Model { plugin, message, panicked } = &fault;
        metrics.count_plugin_fault(plugin);
        tracing::error!(plugin, message, panicked, "a step failed");
        if !panicked {
            return None;
        }
        self.set_faulted(plugin.clone(), message.clone());
        Some(fault.into())
    }

    fn set_faulted(&self, plugin: String, message: String) {
        *self.lock_state() = ModelState::Faulted { plugin, message };
    }

    fn lock_state(&self) -> MutexGuard<'_, ModelState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the mailbox however the thread ends, so that nobody waits for it.
struct Closer<S>(Arc<Shared<S>>);

impl<S> Drop for Closer<S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let message = "the engine thread panicked, which is a bug of the host".to_owned();
            self.0.set_faulted("host".to_owned(), message);
        }
        self.0.mailbox.close();
    }
}
