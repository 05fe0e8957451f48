//! A place in the list of models: a checkpoint, and what became of it.

use std::time::Duration;

use host_model::{CatalogEntry, LoadErrorKind};

use super::Models;
use super::entry::{ModelStatus, Wanted};
use crate::loading::{LoadFailure, LoadJob, LoadProgress, LoadStage, Loading};
use crate::served::ServedModel;
use crate::shared::ModelState;

/// How a model became known. What is said first counts more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// Named when the host was started: it stays in the list.
    Operator,
    /// Found in a folder: it stays as long as it is found.
    Catalog,
    /// Loaded by a request: it stays until it is unloaded by one.
    Request,
}

#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) checkpoint: CatalogEntry,
    pub(crate) origin: Origin,
    pub(crate) model: Option<ServedModel>,
    /// Set while it is loaded, for the first time or again.
    pub(crate) loading: Option<(Loading, CatalogEntry)>,
    /// Why the last load failed.
    pub(crate) failure: Option<LoadFailure>,
}

impl Slot {
    pub(crate) fn new(checkpoint: CatalogEntry, origin: Origin) -> Self {
        Self { checkpoint, origin, model: None, loading: None, failure: None }
    }

    /// The model, if it serves.
    pub(crate) fn ready(&self) -> Option<&ServedModel> {
        self.model.as_ref().filter(|model| model.state() == ModelState::Ready)
    }

    pub(crate) fn is_in_use(&self) -> bool {
        self.model.is_some() || self.loading.is_some()
    }

    /// Whether asking for it may help.
    pub(crate) fn is_good(&self) -> bool {
        self.failure.is_none()
    }

    /// How long nobody has used the model, if it could be unloaded.
    pub(crate) fn idle_for(&self) -> Option<Duration> {
        self.ready().filter(|_| self.loading.is_none())?.idle_for()
    }

    /// Joins the load that runs, or begins one of this checkpoint.
    pub(crate) fn load(&mut self, models: &Models, checkpoint: CatalogEntry) -> Wanted {
        match &self.loading {
            Some((loading, same)) if same.path == checkpoint.path => {
                Wanted::Load(loading.clone(), None)
            }
            Some((_, other)) => {
                let path = other.path.display();
                let message = format!(
                    "{} is being loaded from {path}; wait for that, or give another id",
                    other.id
                );
                Wanted::Failed(LoadFailure { kind: LoadErrorKind::Invalid, message })
            }
            None => {
                let (job, loading) = LoadJob::new(models.clone(), checkpoint.clone());
                self.loading = Some((loading.clone(), checkpoint));
                Wanted::Load(loading, Some(job))
            }
        }
    }

    pub(crate) fn status(&self) -> ModelStatus {
        match (&self.model, &self.loading, &self.failure) {
            (Some(model), _, _) => ModelStatus::Loaded(model.clone()),
            (None, Some((loading, _)), _) => {
                let queued = LoadProgress::at(LoadStage::Queued);
                ModelStatus::Loading(loading.progress().unwrap_or(queued))
            }
            (None, None, Some(failure)) => ModelStatus::Failed(failure.clone()),
            (None, None, None) => ModelStatus::Available,
        }
    }
}
