//! Which file of a folder to open: the one checkpoint in it, whole or in shards.
//!
//! It looks at names only; what is in the files is for others to check.

use crate::fault::{fault, fault_with_hint};
use crate::mapping::io_error;
use crate::shard_name::ShardName;
use plugin_api::Error;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Most entries of a folder that are looked at.
const ENTRIES_MAX: usize = 1 << 16;
/// Most checkpoints that a message lists.
const LISTED_MAX: usize = 8;

/// Whether the folder has any GGUF file.
pub(crate) fn has_checkpoint(folder: &Path) -> bool {
    checkpoints(folder).is_ok_and(|found| !found.is_empty())
}

/// A file of the only checkpoint in the folder.
pub(crate) fn only_checkpoint(folder: &Path) -> Result<PathBuf, Error> {
    let found = checkpoints(folder)?;
    if found.len() > 1 {
        let names: Vec<&str> = found.keys().map(String::as_str).take(LISTED_MAX).collect();
        let more = if found.len() > LISTED_MAX { ", …" } else { "" };
        let found = format!("{} checkpoints ({}{more})", found.len(), names.join(", "));
        return Err(fault_with_hint("folder", found, "one", "name the .gguf file to open"));
    }
    found.into_values().next().ok_or_else(|| fault("folder", "no .gguf file", "a checkpoint"))
}

/// For each checkpoint its name, with the shards' numbers left out, and one of its files.
fn checkpoints(folder: &Path) -> Result<BTreeMap<String, PathBuf>, Error> {
    let mut found = BTreeMap::new();
    let entries = std::fs::read_dir(folder).map_err(|error| io_error(&error))?;
    for (count, entry) in entries.enumerate() {
        if count == ENTRIES_MAX {
            let expected = format!("at most {ENTRIES_MAX} files");
            return Err(fault_with_hint("folder", "more", expected, "name the .gguf file to open"));
        }
        let path = entry.map_err(|error| io_error(&error))?.path();
        let gguf = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
        let Some(name) = path.file_name().filter(|_| gguf && path.is_file()) else { continue };
        let name = name.to_string_lossy();
        let checkpoint = match ShardName::parse(&name) {
            Some(ShardName { prefix, count, .. }) => format!("{prefix}-*-of-{count:05}.gguf"),
            None => name.into_owned(),
        };
        let kept = found.entry(checkpoint).or_insert_with(|| path.clone());
        if path < *kept {
            *kept = path;
        }
    }
    Ok(found)
}
