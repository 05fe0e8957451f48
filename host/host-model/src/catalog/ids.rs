//! Ids of checkpoints, made from the names of their files and folders.
//!
//! An id goes into URLs, paths and metrics, so it is made of few characters. Where several
//! checkpoints would have the same one, all of them are told apart by the folders they lie in: none
//! keeps the short id, so that an id never silently comes to mean another checkpoint.

use super::CatalogEntry;
use super::walk::Found;
use std::collections::HashMap;
use std::path::Path;

/// Most characters of an id.
const ID_CHARS_MAX: usize = 200;

/// The id of a checkpoint that nobody gave one: its file's name without the ending and the number of
/// its shard; a folder called `hf` says nothing, so its parent's name is taken.
#[must_use]
pub fn checkpoint_id(path: &Path) -> String {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let own = name(path).unwrap_or_else(|| "model".to_owned());
    let own = without_shard(own.strip_suffix(".gguf").unwrap_or(&own)).to_owned();
    if own == "hf" {
        return path.parent().and_then(name).unwrap_or(own);
    }
    own
}

/// A name without its end, where that is the number of a shard such as `-00001-of-00003`.
fn without_shard(name: &str) -> &str {
    shard(name).map_or(name, |shard| shard.name)
}

/// A file's name without its ending, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shard<'a> {
    pub(super) name: &'a str,
    pub(super) number: &'a str,
}

/// Which shard a file is, if its name says that it is one.
pub(super) fn shard(stem: &str) -> Option<Shard<'_>> {
    let is_number = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    let (front, count) = stem.rsplit_once("-of-")?;
    let (name, number) = front.rsplit_once('-')?;
    (is_number(count) && is_number(number) && !name.is_empty()).then_some(Shard { name, number })
}

/// Gives each checkpoint an id of its own.
pub(super) fn named(found: Vec<Found>) -> Vec<CatalogEntry> {
    let ids: Vec<Vec<String>> = found.iter().map(candidates).collect();
    // Which of its ids each takes: the shortest that no other takes.
    let mut chosen = vec![0; found.len()];
    for _ in 1..ids.first().map_or(0, Vec::len) {
        let mut takers: HashMap<&str, usize> = HashMap::new();
        for (ids, &chosen) in ids.iter().zip(&chosen) {
            *takers.entry(&ids[chosen]).or_default() += 1;
        }
        for (ids, chosen) in ids.iter().zip(&mut chosen) {
            if takers[ids[*chosen].as_str()] > 1 && *chosen + 1 < ids.len() {
                *chosen += 1;
            }
        }
    }
    let mut takers: HashMap<String, usize> = HashMap::new();
    let entry = |((found, ids), chosen): ((Found, Vec<String>), usize)| {
        let mut id = ids[chosen].clone();
        let count = takers.entry(id.clone()).or_default();
        *count += 1;
        if *count > 1 {
            id = format!("{id}-{count}");
        }
        CatalogEntry { id, ..found.entry }
    };
    found.into_iter().zip(ids).zip(chosen).map(entry).collect()
}

/// Ids from the shortest to the one that tells most.
fn candidates(found: &Found) -> Vec<String> {
    let path = &found.entry.path;
    let inside = path.strip_prefix(&found.root).unwrap_or(path).to_string_lossy().into_owned();
    let inside = inside.strip_suffix(".gguf").unwrap_or(&inside).to_owned();
    let root = found.root.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let whole = format!("{root}/{inside}");
    [found.entry.id.clone(), inside, whole].iter().map(|id| fit(id)).collect()
}

/// An id of the characters that ids are made of.
fn fit(id: &str) -> String {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || "._:@/-".contains(c);
    let fit: String = id.chars().map(|c| if is_fit(c) { c } else { '-' }).collect();
    let fit = fit.trim_matches('/');
    // The end tells more than the beginning.
    let fit = &fit[fit.len().saturating_sub(ID_CHARS_MAX)..];
    match fit {
        "" | "default" => "model".to_owned(),
        fit => fit.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_names_without_endings() {
        for (path, expected) in [
            ("/models/qwen.gguf", "qwen"),
            ("/models/qwen-00001-of-00003.gguf", "qwen"),
            ("/models/best-of-00003.gguf", "best-of-00003"),
            ("/models/qwen2/hf", "qwen2"),
            ("/models/qwen2", "qwen2"),
        ] {
            assert_eq!(checkpoint_id(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn ids_hold_what_a_path_and_a_metric_can_hold() {
        assert_eq!(fit("My model (Q4)"), "My-model--Q4-");
        assert_eq!(fit("modèle"), "mod-le");
        assert_eq!((fit("default"), fit("")), ("model".to_owned(), "model".to_owned()));
        assert_eq!(fit(&"a".repeat(500)).len(), ID_CHARS_MAX);
    }
}
