//! The models a host serves, by the ids that clients use.
//!
//! It also remembers models that could not be loaded, so that a client who asks for one hears why
//! and an operator sees it in the list. It loads nothing itself.

use std::sync::{Arc, PoisonError, RwLock};

use crate::embedder::Embedder;
use crate::error::GenerationError;
use crate::generator::Generator;
use crate::served::ServedModel;
use crate::shared::ModelState;

/// Id that stands for the first model that serves and does what is asked for.
const DEFAULT_ID: &str = "default";

/// One model of the list.
#[derive(Debug, Clone)]
pub enum ModelEntry {
    /// It was loaded.
    Loaded(ServedModel),
    /// It was wanted and could not be loaded.
    Failed {
        /// The id it would have.
        id: String,
        /// Why, in one line.
        error: String,
    },
}

impl ModelEntry {
    /// Its id.
    pub fn id(&self) -> &str {
        match self {
            ModelEntry::Loaded(model) => &model.summary().id,
            ModelEntry::Failed { id, .. } => id,
        }
    }
}

/// The models of a host; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Models {
    entries: Arc<RwLock<Vec<ModelEntry>>>,
}

impl Models {
    /// The model of that id, or for `default` the first that serves.
    pub fn get(&self, id: &str) -> Option<ServedModel> {
        self.find(id, |_| true)
    }

    /// As [`Models::get`], to generate with; an error if the model embeds.
    pub fn generator(&self, id: &str) -> Option<Result<Generator, GenerationError>> {
        let model = self.find(id, |model| matches!(model, ServedModel::Generator(_)))?;
        Some(model.into_generator())
    }

    /// As [`Models::get`], to embed with; an error if the model generates.
    pub fn embedder(&self, id: &str) -> Option<Result<Embedder, GenerationError>> {
        let model = self.find(id, |model| matches!(model, ServedModel::Embedder(_)))?;
        Some(model.into_embedder())
    }

    /// Every model, in the order of insertion.
    pub fn list(&self) -> Vec<ModelEntry> {
        self.read(<[ModelEntry]>::to_vec)
    }

    /// Why a model could not be loaded, if it was wanted.
    pub fn failure(&self, id: &str) -> Option<String> {
        self.read(|entries| {
            entries.iter().find_map(|entry| match entry {
                ModelEntry::Failed { id: failed, error } if failed == id => Some(error.clone()),
                _ => None,
            })
        })
    }

    /// Adds a model. One of the same id is replaced and finishes what it has.
    pub fn insert(&self, model: impl Into<ServedModel>) {
        self.put(ModelEntry::Loaded(model.into()));
    }

    /// Notes that a model could not be loaded; one of that id that serves is kept instead.
    pub fn insert_failure(&self, id: &str, error: String) {
        if self.get(id).is_none_or(|model| model.summary().id != id) {
            self.put(ModelEntry::Failed { id: id.to_owned(), error });
        }
    }

    /// Takes a model off the list; it finishes what it has.
    pub fn remove(&self, id: &str) -> Option<ModelEntry> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let index = entries.iter().position(|entry| entry.id() == id)?;
        let entry = entries.remove(index);
        drop(entries);
        if let ModelEntry::Loaded(model) = &entry {
            model.shutdown();
        }
        Some(entry)
    }

    /// Whether some model serves.
    pub fn is_ready(&self) -> bool {
        self.first_ready(|_| true).is_some()
    }

    /// Lets every model finish what it has and take nothing new.
    pub fn shutdown(&self) {
        for entry in self.list() {
            if let ModelEntry::Loaded(model) = entry {
                model.shutdown();
            }
        }
    }

    fn put(&self, entry: ModelEntry) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let replaced = match entries.iter_mut().find(|old| old.id() == entry.id()) {
            Some(old) => Some(std::mem::replace(old, entry)),
            None => {
                entries.push(entry);
                None
            }
        };
        drop(entries);
        if let Some(ModelEntry::Loaded(model)) = replaced {
            model.shutdown();
        }
    }

    /// The model of that id, or for `default` the first that serves, of those that do what is
    /// wanted if there are such.
    fn find(&self, id: &str, wanted: impl Fn(&ServedModel) -> bool) -> Option<ServedModel> {
        let named = self.read(|entries| {
            entries.iter().find_map(|entry| match entry {
                ModelEntry::Loaded(model) if entry.id() == id => Some(model.clone()),
                _ => None,
            })
        });
        if named.is_some() || id != DEFAULT_ID {
            return named;
        }
        self.first_ready(wanted).or_else(|| self.first_ready(|_| true))
    }

    fn first_ready(&self, wanted: impl Fn(&ServedModel) -> bool) -> Option<ServedModel> {
        self.read(|entries| {
            entries.iter().find_map(|entry| match entry {
                ModelEntry::Loaded(model)
                    if model.state() == ModelState::Ready && wanted(model) =>
                {
                    Some(model.clone())
                }
                _ => None,
            })
        })
    }

    fn read<T>(&self, look: impl FnOnce(&[ModelEntry]) -> T) -> T {
        look(&self.entries.read().unwrap_or_else(PoisonError::into_inner))
    }
}
