//! What the host remembers about plugin files: which survived the probing child, which did harm.
//!
//! Verdicts are kept by hash, and hashes by path, size and time, so that a known folder is scanned
//! without reading it. The file is only a memory: damage to it costs a second probe.

use crate::candidate::Fingerprint;
use plugin_abi::{ABI_MAJOR, ABI_MINOR};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const FILE_NAME: &str = "plugin-verdicts.json";
/// Most bytes of the file that are read.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The remembered verdicts; written back when they change.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    path: Option<PathBuf>,
    memory: Memory,
    changed: bool,
}

/// A verdict on one hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// The child loaded it.
    Good,
    /// It did harm to the child, as said.
    Harmful(String),
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Memory {
    /// ABI and version of the host that judged.
    judge: String,
    by_hash: BTreeMap<String, Verdict>,
    by_file: BTreeMap<String, KnownFile>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KnownFile {
    print: Fingerprint,
    sha256: String,
}

impl Verdicts {
    /// Reads the memory in `folder`; a damaged or foreign one counts as empty.
    pub(crate) fn read(folder: Option<&Path>) -> Self {
        let path = folder.map(|folder| folder.join(FILE_NAME));
        let read = |path: &PathBuf| {
            let small = std::fs::metadata(path).ok()?.len() <= FILE_BYTES_MAX;
            let text = small.then(|| std::fs::read(path).ok())??;
            let memory: Memory = serde_json::from_slice(&text).ok()?;
            (memory.judge == judge()).then_some(memory)
        };
        let memory = path.as_ref().and_then(read).unwrap_or_default();
        Self { path, memory: Memory { judge: judge(), ..memory }, changed: false }
    }

    /// The hash of a file that has not changed since it was judged.
    pub(crate) fn hash_of(&self, file: &Path, print: &Fingerprint) -> Option<String> {
        let known = self.memory.by_file.get(&key(file))?;
        (known.print == *print).then(|| known.sha256.clone())
    }

    /// The verdict on a hash.
    pub(crate) fn on(&self, sha256: &str) -> Option<&Verdict> {
        self.memory.by_hash.get(sha256)
    }

    /// Remembers a verdict.
    pub(crate) fn note(
        &mut self,
        file: &Path,
        print: &Fingerprint,
        sha256: &str,
        verdict: Verdict,
    ) {
        if self.on(sha256) == Some(&verdict) && self.hash_of(file, print).is_some() {
            return;
        }
        let known = KnownFile { print: *print, sha256: sha256.to_owned() };
        self.memory.by_file.insert(key(file), known);
        self.memory.by_hash.insert(sha256.to_owned(), verdict);
        self.changed = true;
    }

    /// Writes the memory back if it has changed, whole or not at all.
    pub(crate) fn write(&mut self) {
        let Some(path) = self.path.as_ref().filter(|_| self.changed) else { return };
        let part = path.with_extension(format!("{}.part", std::process::id()));
        let written = path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&part, serde_json::to_vec(&self.memory)?))
            .and_then(|()| std::fs::rename(&part, path));
        match written {
            Ok(()) => self.changed = false,
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "plugin verdicts not remembered");
            }
        }
    }
}

fn key(file: &Path) -> String {
    let path = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    path.as_os_str().as_encoded_bytes().escape_ascii().to_string()
}

/// A verdict of another host does not count: it may know other facets.
fn judge() -> String {
    format!("abi {ABI_MAJOR}.{ABI_MINOR}, host {}", env!("CARGO_PKG_VERSION"))
}
