//! The cache layout of the Hugging Face hub: `models--org--name/snapshots/REV/..`.
//!
//! Snapshots hold links to blobs; which one is meant is written in `refs/main`.

use super::walk::read_bounded;
use std::path::{Path, PathBuf};

/// Most bytes of `refs/main`, which holds the name of a revision.
const REVISION_BYTES_MAX: u64 = 200;

/// The name `org/name` of a model's folder in the cache.
pub(super) fn name(folder: &str) -> Option<String> {
    let name = folder.strip_prefix("models--")?;
    (!name.is_empty()).then(|| name.replace("--", "/"))
}

/// The snapshot that `refs/main` names; where it names none, the newest.
pub(super) fn snapshot(folder: &Path) -> Option<PathBuf> {
    let snapshots = folder.join("snapshots");
    let named = read_bounded(&folder.join("refs/main"), REVISION_BYTES_MAX).ok();
    let named = named.and_then(|bytes| String::from_utf8(bytes).ok());
    // A name, never a path to somewhere else.
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric());
    let named = named.filter(|name| is_name(name.trim())).map(|name| snapshots.join(name.trim()));
    named.filter(|path| path.is_dir()).or_else(|| newest(&snapshots))
}

fn newest(snapshots: &Path) -> Option<PathBuf> {
    let folders = std::fs::read_dir(snapshots).ok()?.take(super::walk::FOLDER_ENTRIES_MAX);
    let dated = folders.filter_map(|entry| {
        let path = entry.ok()?.path();
        let about = path.metadata().ok().filter(std::fs::Metadata::is_dir)?;
        Some((about.modified().ok(), path))
    });
    dated.max().map(|(_, path)| path)
}
