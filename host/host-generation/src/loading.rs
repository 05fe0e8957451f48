//! A load of a model: the one who does it, and everybody who waits for it.
//!
//! However many ask for a model, it is loaded once. Who waits may leave at any time; the load goes
//! on for the others, and for those who come later. It loads nothing itself: a [`LoadJob`] is handed
//! to whoever can.

use host_model::{CatalogEntry, LoadError, LoadErrorKind};
use tokio::sync::watch;

use crate::error::GenerationError;
use crate::models::Models;
use crate::served::ServedModel;

/// What a load is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadStage {
    /// Another model is loaded first.
    Queued,
    /// The checkpoint is opened and checked.
    Prepare,
    /// Idle models make room.
    Memory,
    /// Weights are packed.
    Weights,
}

impl LoadStage {
    /// Its name, for people and clients.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Prepare => "prepare",
            Self::Memory => "memory",
            Self::Weights => "weights",
        }
    }
}

/// How far a load is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadProgress {
    /// What it is doing.
    pub stage: LoadStage,
    /// Bytes of weights that are done.
    pub done_bytes: u64,
    /// Bytes of weights in all; 0 while that is not known.
    pub total_bytes: u64,
}

impl LoadProgress {
    /// A stage that counts no bytes.
    #[must_use]
    pub fn at(stage: LoadStage) -> Self {
        Self { stage, done_bytes: 0, total_bytes: 0 }
    }
}

/// Why a model could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LoadFailure {
    /// Chooses the status.
    pub kind: LoadErrorKind,
    /// One line for people.
    pub message: String,
}

impl From<LoadError> for LoadFailure {
    fn from(error: LoadError) -> Self {
        Self { kind: error.kind(), message: error.to_string() }
    }
}

impl From<GenerationError> for LoadFailure {
    fn from(error: GenerationError) -> Self {
        Self { kind: LoadErrorKind::Failed, message: error.to_string() }
    }
}

#[derive(Debug)]
enum State {
    Running(LoadProgress),
    Ended(Result<ServedModel, LoadFailure>),
}

impl State {
    fn progress(&self) -> Option<LoadProgress> {
        match self {
            Self::Running(progress) => Some(*progress),
            Self::Ended(_) => None,
        }
    }
}

/// A load that others do; clones hear of the same.
#[derive(Debug, Clone)]
pub struct Loading {
    state: watch::Receiver<State>,
}

impl Loading {
    /// A load that has ended already.
    pub(crate) fn ended(model: ServedModel) -> Self {
        Self { state: watch::channel(State::Ended(Ok(model))).1 }
    }

    /// How far it is; none once it has ended.
    #[must_use]
    pub fn progress(&self) -> Option<LoadProgress> {
        self.state.borrow().progress()
    }

    /// As [`Loading::progress`]; [`Loading::next`] waits for what comes after it.
    pub fn now(&mut self) -> Option<LoadProgress> {
        self.state.borrow_and_update().progress()
    }

    /// Waits for what it does next; none once it has ended. Of many changes only the last is heard.
    pub async fn next(&mut self) -> Option<LoadProgress> {
        self.state.changed().await.ok()?;
        self.now()
    }

    /// Waits for its end. The model is kept for as long as what is returned, and this.
    ///
    /// # Errors
    /// It could not be loaded; everybody who waits hears the same.
    pub async fn wait(&mut self) -> Result<ServedModel, LoadFailure> {
        let ended = self.state.wait_for(|state| matches!(state, State::Ended(_))).await;
        match ended.as_deref() {
            Ok(State::Ended(outcome)) => outcome.clone(),
            Ok(State::Running(_)) | Err(_) => Err(abandoned()),
        }
    }
}

/// The duty to load a model. Dropped unfinished it tells those who wait that nothing came of it.
#[derive(Debug)]
pub struct LoadJob {
    models: Models,
    entry: CatalogEntry,
    state: watch::Sender<State>,
}

impl LoadJob {
    pub(crate) fn new(models: Models, entry: CatalogEntry) -> (Self, Loading) {
        let (sender, receiver) =
            watch::channel(State::Running(LoadProgress::at(LoadStage::Queued)));
        (Self { models, entry, state: sender }, Loading { state: receiver })
    }

    /// What to load, and the id it is to have.
    #[must_use]
    pub fn entry(&self) -> &CatalogEntry {
        &self.entry
    }

    /// Tells how far it is.
    pub fn report(&self, progress: LoadProgress) {
        self.state.send_replace(State::Running(progress));
    }

    /// Puts the model into service, or notes why there is none, and tells everybody who waits.
    pub fn finish(self, outcome: Result<ServedModel, LoadFailure>) {
        self.end(outcome);
    }

    fn end(&self, outcome: Result<ServedModel, LoadFailure>) {
        // First the list, so that whoever hears of it finds the model there.
        self.models.end_load(&self.entry, &outcome);
        self.state.send_replace(State::Ended(outcome));
    }
}

impl Drop for LoadJob {
    fn drop(&mut self) {
        if matches!(&*self.state.borrow(), State::Running(_)) {
            self.end(Err(abandoned()));
        }
    }
}

fn abandoned() -> LoadFailure {
    let message = "loading ended without an outcome, which is a bug of the host".to_owned();
    LoadFailure { kind: LoadErrorKind::Failed, message }
}
