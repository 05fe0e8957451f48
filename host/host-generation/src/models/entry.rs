//! What the list of models tells of one, and what it answers to who wants one.

use host_model::CatalogEntry;

use crate::loading::{LoadFailure, LoadJob, LoadProgress, Loading};
use crate::served::ServedModel;

/// One model of the list.
#[derive(Debug, Clone)]
pub struct ModelEntry {
    /// Where it comes from; its id is the model's.
    pub checkpoint: CatalogEntry,
    /// Other names it goes by.
    pub aliases: Vec<String>,
    /// What can be had of it.
    pub status: ModelStatus,
}

/// What can be had of a model.
#[derive(Debug, Clone)]
pub enum ModelStatus {
    /// It is loaded when somebody asks for it.
    Available,
    /// It is being loaded.
    Loading(LoadProgress),
    /// It was loaded.
    Loaded(ServedModel),
    /// It was wanted and could not be loaded.
    Failed(LoadFailure),
}

/// A model that is asked for.
#[derive(Debug)]
pub enum Wanted {
    /// There is none of that id.
    Unknown,
    /// It could not be loaded before.
    Failed(LoadFailure),
    /// Wait for it. Whoever gets the job has to do it.
    Load(Loading, Option<LoadJob>),
}

/// Why a model was not taken out of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// There is none of that id.
    Unknown,
    /// It is being loaded.
    Loading,
}
