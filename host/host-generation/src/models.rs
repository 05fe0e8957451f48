//! The models of a host, by the ids that clients use: those that serve and those that can.
//!
//! A model that is wanted and not loaded is loaded once, however many want it. It also remembers why
//! a model could not be loaded, so that a client who asks for one hears why and an operator sees it
//! in the list. It loads nothing itself.

mod entry;
mod list;
mod slot;

use std::sync::Arc;
use std::time::Duration;

use host_metrics::{Lock, LockMetrics, Metrics, RwLock, RwLockReadGuard, RwLockWriteGuard};
use host_model::{CatalogEntry, LoadErrorKind};
use tokio::sync::watch;

use crate::embedder::Embedder;
use crate::error::GenerationError;
use crate::generator::Generator;
use crate::loading::{LoadFailure, Loading};
use crate::served::ServedModel;
use list::List;
use slot::{Origin, Slot};

pub use entry::{Kept, ModelEntry, ModelStatus, Wanted};

/// The models of a host; clones share them.
#[derive(Debug, Clone)]
pub struct Models {
    list: Arc<RwLock<List>>,
    changes: Arc<watch::Sender<u64>>,
}

impl Default for Models {
    /// No models, and nobody counts who waits for the list.
    fn default() -> Self {
        Self::counted(LockMetrics::default())
    }
}

impl Models {
    /// No models yet.
    pub fn new(metrics: &Metrics) -> Self {
        Self::counted(metrics.lock(Lock::ModelRouter))
    }

    fn counted(metrics: LockMetrics) -> Self {
        Self { list: Arc::new(RwLock::new(List::default(), metrics)), changes: Arc::default() }
    }

    /// A number that grows when a model comes or goes, or what may be had of one is another.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Tells those who watch that what the models can do may be another now.
    pub fn note_change(&self) {
        self.changes.send_modify(|version| *version += 1);
    }

    /// The loaded model of that id or alias, or for `default` the first that serves.
    pub fn get(&self, id: &str) -> Option<ServedModel> {
        self.read().find(id, |_| true)
    }

    /// As [`Models::get`], to generate with; an error if the model embeds.
    pub fn generator(&self, id: &str) -> Option<Result<Generator, GenerationError>> {
        let model = self.read().find(id, |model| matches!(model, ServedModel::Generator(_)))?;
        Some(model.into_generator())
    }

    /// As [`Models::get`], to embed with; an error if the model generates.
    pub fn embedder(&self, id: &str) -> Option<Result<Embedder, GenerationError>> {
        let model = self.read().find(id, |model| matches!(model, ServedModel::Embedder(_)))?;
        Some(model.into_embedder())
    }

    /// Every model, in the order in which they became known.
    pub fn list(&self) -> Vec<ModelEntry> {
        let list = self.read();
        list.slots.iter().map(|slot| list.entry(slot)).collect()
    }

    /// One model, loaded or not; for `default` the one a request would get.
    pub fn entry(&self, id: &str) -> Option<ModelEntry> {
        let list = self.read();
        list.index(id).map(|index| list.entry(&list.slots[index]))
    }

    /// Gives a model another name; a model whose id it is goes before.
    pub fn add_alias(&self, alias: &str, id: &str) {
        self.write().aliases.insert(alias.to_owned(), id.to_owned());
        self.note_change();
    }

    /// Makes a checkpoint known, to be loaded when somebody asks for it; it stays in the list.
    pub fn offer(&self, checkpoint: CatalogEntry) {
        self.write().offer(checkpoint, Origin::Operator);
        self.note_change();
    }

    /// Makes those of a catalog known, and forgets those of the one before that are not in use.
    /// Failures are forgotten too: what was missing may be there now. What is known by another id
    /// already is left out.
    pub fn offer_catalog(&self, catalog: Vec<CatalogEntry>) {
        let mut list = self.write();
        list.slots.retain_mut(|slot| {
            slot.failure = None;
            slot.origin != Origin::Catalog || slot.is_in_use()
        });
        for checkpoint in catalog {
            if list.slots.iter().all(|slot| slot.checkpoint.path != checkpoint.path) {
                list.offer(checkpoint, Origin::Catalog);
            }
        }
        drop(list);
        self.note_change();
    }

    /// What to wait for to get a model that does not serve. One that could not be loaded before is
    /// tried again only if that is asked for.
    pub fn want(&self, id: &str, retry: bool) -> Wanted {
        let mut list = self.write();
        let Some(index) = list.index(id) else { return Wanted::Unknown };
        let slot = &mut list.slots[index];
        if let Some(model) = slot.ready() {
            return Wanted::Load(Loading::ended(model.clone()), None);
        }
        match &slot.failure {
            Some(failure) if !retry && slot.loading.is_none() => Wanted::Failed(failure.clone()),
            _ => slot.load(self, slot.checkpoint.clone()),
        }
    }

    /// As [`Models::want`], of a checkpoint that need not be known. A model of its id goes on
    /// serving until the new one does.
    pub fn want_checkpoint(&self, checkpoint: CatalogEntry) -> Wanted {
        let mut list = self.write();
        let index = list.offer(checkpoint.clone(), Origin::Request);
        list.slots[index].load(self, checkpoint)
    }

    /// Adds a loaded model. One of the same id is replaced and finishes what it has.
    pub fn insert(&self, model: impl Into<ServedModel>) {
        let model = model.into();
        let checkpoint = CatalogEntry::from(model.summary());
        let mut list = self.write();
        let index = list.offer(checkpoint.clone(), Origin::Request);
        let slot = &mut list.slots[index];
        (slot.checkpoint, slot.failure) = (checkpoint, None);
        let replaced = slot.model.replace(model);
        drop(list);
        self.note_change();
        shut_down(replaced);
    }

    /// Takes a model out of service; it finishes what it has. Whether there was something to take:
    /// a model, or why there is none.
    ///
    /// # Errors
    /// There is none of that id, or it is being loaded.
    pub fn remove(&self, id: &str) -> Result<bool, Kept> {
        let mut list = self.write();
        let index = list.named(id).ok_or(Kept::Unknown)?;
        let slot = &mut list.slots[index];
        if slot.loading.is_some() {
            return Err(Kept::Loading);
        }
        let (model, failure) = (slot.model.take(), slot.failure.take());
        if slot.origin == Origin::Request {
            list.slots.remove(index);
        }
        drop(list);
        self.note_change();
        let removed = model.is_some() || failure.is_some();
        shut_down(model);
        Ok(removed)
    }

    /// Unloads the model that nobody uses and that was used longest ago; its id.
    pub fn evict(&self) -> Option<String> {
        let mut list = self.write();
        let idle = list.slots.iter_mut().filter_map(|slot| Some((slot.idle_for()?, slot)));
        let (_, slot) = idle.max_by_key(|(idle, _)| *idle)?;
        let (id, model) = (slot.checkpoint.id.clone(), slot.model.take());
        drop(list);
        self.note_change();
        shut_down(model);
        Some(id)
    }

    /// Unloads the models that nobody has used for that long; their ids.
    pub fn evict_idle(&self, at_least: Duration) -> Vec<String> {
        let mut list = self.write();
        let idle = |slot: &&mut Slot| slot.idle_for().is_some_and(|idle| idle >= at_least);
        let slots = list.slots.iter_mut().filter(idle);
        let taken: Vec<_> =
            slots.map(|slot| (slot.checkpoint.id.clone(), slot.model.take())).collect();
        drop(list);
        if !taken.is_empty() {
            self.note_change();
        }
        let unloaded = taken.into_iter().map(|(id, model)| {
            shut_down(model);
            id
        });
        unloaded.collect()
    }

    /// Bytes of the models that [`Models::evict`] would unload one after the other.
    pub fn idle_bytes(&self) -> u64 {
        let list = self.read();
        let idle = list.slots.iter().filter(|slot| slot.idle_for().is_some());
        let models = idle.filter_map(|slot| slot.model.as_ref());
        models.map(|model| model.summary().memory_bytes()).fold(0, u64::saturating_add)
    }

    /// Whether some model serves, or is there to be loaded.
    pub fn is_ready(&self) -> bool {
        let is_available = |slot: &Slot| slot.model.is_none() && slot.loading.is_none();
        self.read()
            .slots
            .iter()
            .any(|slot| slot.ready().is_some() || is_available(slot) && slot.failure.is_none())
    }

    /// Lets every model finish what it has and take nothing new.
    pub fn shutdown(&self) {
        let list = self.read();
        list.slots.iter().filter_map(|slot| slot.model.as_ref()).for_each(ServedModel::shutdown);
    }

    /// Books what came of a load.
    pub(crate) fn end_load(
        &self,
        checkpoint: &CatalogEntry,
        outcome: &Result<ServedModel, LoadFailure>,
    ) {
        let mut list = self.write();
        let Some(index) = list.position(&checkpoint.id) else { return };
        let slot = &mut list.slots[index];
        slot.loading = None;
        let mut replaced = None;
        match outcome {
            Ok(model) => {
                replaced = slot.model.replace(model.clone());
                slot.checkpoint = checkpoint.clone();
                slot.failure = None;
            }
            Err(_) if slot.origin == Origin::Request && slot.model.is_none() => {
                list.slots.remove(index);
            }
            Err(failure) if slot.model.is_none() && failure.kind != LoadErrorKind::Memory => {
                slot.failure = Some(failure.clone());
            }
            // Memory may be free a second later, so that is tried again each time; and what serves
            // was loaded before.
            Err(_) => {}
        }
        drop(list);
        self.note_change();
        shut_down(replaced);
    }

    fn read(&self) -> RwLockReadGuard<'_, List> {
        self.list.read()
    }

    fn write(&self) -> RwLockWriteGuard<'_, List> {
        self.list.write()
    }
}

/// Lets a model that left the list finish what it has.
fn shut_down(model: Option<ServedModel>) {
    if let Some(model) = model {
        model.shutdown();
    }
}
