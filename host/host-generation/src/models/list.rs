//! The list behind the lock: who is found under which name.

use std::collections::BTreeMap;

use host_model::CatalogEntry;

use super::entry::ModelEntry;
use super::slot::{Origin, Slot};
use crate::served::ServedModel;

/// Id that stands for the first model that serves and does what is asked for.
const DEFAULT_ID: &str = "default";

#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) slots: Vec<Slot>,
    /// Other names of models, each with the id it stands for.
    pub(super) aliases: BTreeMap<String, String>,
}

impl List {
    /// The model of that id, or for `default` the first that serves, of those that do what is
    /// wanted if there are such.
    pub(super) fn find(
        &self,
        id: &str,
        wanted: impl Fn(&ServedModel) -> bool,
    ) -> Option<ServedModel> {
        if let Some(index) = self.named(id) {
            return self.slots[index].model.clone();
        }
        let first = |wanted: &dyn Fn(&ServedModel) -> bool| {
            self.slots.iter().filter_map(Slot::ready).find(|model| wanted(model)).cloned()
        };
        let default = (id == DEFAULT_ID).then(|| first(&wanted).or_else(|| first(&|_| true)));
        default.flatten()
    }

    pub(super) fn position(&self, id: &str) -> Option<usize> {
        self.slots.iter().position(|slot| slot.checkpoint.id == id)
    }

    /// The place of the model of that id or alias.
    pub(super) fn named(&self, id: &str) -> Option<usize> {
        self.position(id).or_else(|| self.position(self.aliases.get(id)?))
    }

    /// As [`List::named`]; `default` is the first that serves, else the first that could.
    pub(super) fn index(&self, id: &str) -> Option<usize> {
        let first = |fits: fn(&Slot) -> bool| self.slots.iter().position(fits);
        let default = || first(|slot| slot.ready().is_some()).or_else(|| first(Slot::is_good));
        self.named(id).or_else(|| (id == DEFAULT_ID).then(default).flatten())
    }

    /// Makes a checkpoint known, if its id is not yet; the place of its model.
    pub(super) fn offer(&mut self, checkpoint: CatalogEntry, origin: Origin) -> usize {
        match self.position(&checkpoint.id) {
            Some(index) => {
                let slot = &mut self.slots[index];
                slot.origin = slot.origin.min(origin);
                index
            }
            None => {
                self.slots.push(Slot::new(checkpoint, origin));
                self.slots.len() - 1
            }
        }
    }

    pub(super) fn entry(&self, slot: &Slot) -> ModelEntry {
        let is_own = |(_, id): &(&String, &String)| **id == slot.checkpoint.id;
        let aliases = self.aliases.iter().filter(is_own).map(|(alias, _)| alias.clone());
        ModelEntry {
            checkpoint: slot.checkpoint.clone(),
            aliases: aliases.collect(),
            status: slot.status(),
        }
    }
}
