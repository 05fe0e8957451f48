//! Finds checkpoints: whatever a folder of models holds, so that a new one is in the suite by lying
//! there.

use std::fs;
use std::path::{Path, PathBuf};

/// A file or folder the host could load.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    /// `model/hf` or `model/file`.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// The folder of the model, where its stored answers are.
    pub(crate) model: PathBuf,
}

/// Every GGUF file and every folder with a `config.json` up to two levels below `folder`.
pub(crate) fn checkpoints(folder: &Path) -> Vec<Checkpoint> {
    let mut found = Vec::new();
    for model in entries(folder).into_iter().filter(|path| path.is_dir()) {
        let inside = entries(&model);
        let below: Vec<PathBuf> = inside.iter().flat_map(|path| entries(path)).collect();
        for path in inside.into_iter().chain(below) {
            let is_file = path.extension().is_some_and(|extension| extension == "gguf");
            // What lies beside a checkpoint for a part of it is no checkpoint.
            let is_folder = path.parent() == Some(&model) && path.join("config.json").exists();
            if is_file || is_folder {
                let last = |path: &Path| {
                    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
                };
                let name = format!("{}/{}", last(&model), last(&path));
                found.push(Checkpoint { name, path, model: model.clone() });
            }
        }
    }
    found
}

/// What is in a folder, sorted; nothing if it is none.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
