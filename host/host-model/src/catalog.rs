//! The checkpoints below the folders that an operator names, found without opening one.
//!
//! Only names, folders and sizes are looked at, and inventories where there are some; whether a
//! checkpoint can be loaded is found out when it is loaded. Everything that is read is bounded, and
//! what is wrong is told in a line and left out.

mod hub;
mod ids;
mod inventory;
mod walk;

use serde::Serialize;
use std::path::{Path, PathBuf};

pub use ids::checkpoint_id;

/// A checkpoint that was found, and not opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CatalogEntry {
    /// Id clients use.
    pub id: String,
    /// Name an inventory gives it.
    pub name: Option<String>,
    /// File or folder to load.
    pub path: PathBuf,
    /// Format, as its files' names or an inventory say.
    pub format: String,
    /// Bytes of its weights on disk.
    pub bytes: u64,
    /// What an inventory notes about it.
    pub notes: Option<String>,
    /// What an inventory says it is good for.
    pub use_case: Option<String>,
}

impl CatalogEntry {
    /// The checkpoint at a path that somebody named; it need not be there.
    #[must_use]
    pub fn at(path: &Path, id: Option<&str>) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let (format, bytes) = walk::measure(&path);
        Self {
            id: id.map_or_else(|| checkpoint_id(&path), str::to_owned),
            name: None,
            path,
            format: format.to_owned(),
            bytes,
            notes: None,
            use_case: None,
        }
    }
}

/// What was found below some folders.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// The checkpoints, each with an id of its own, ordered by id.
    pub entries: Vec<CatalogEntry>,
    /// What was wrong and left out, a line each.
    pub problems: Vec<String>,
}

impl Catalog {
    /// Looks through the folders. The same files give the same ids.
    #[must_use]
    pub fn scan(roots: &[PathBuf]) -> Self {
        let mut walk = walk::Walk::default();
        roots.iter().for_each(|root| walk.root(root));
        let (mut entries, problems) = (ids::named(walk.found), walk.problems);
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        Self { entries, problems }
    }

    /// The checkpoint of that id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&CatalogEntry> {
        self.entries.iter().find(|entry| entry.id == id)
    }
}

#[cfg(test)]
mod tests;
