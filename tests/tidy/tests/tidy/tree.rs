//! The files of the repository, as the other rules see them.
//!
//! The folder is walked rather than asked from git, so that a rule bites before the commit and in
//! an unpacked archive alike.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Folders that hold nothing of ours.
const SKIPPED: &[&str] = &[".git", "target", "dist", "node_modules"];

/// Endings of the files that are text of ours; checkpoints and pictures are not read.
const TEXT: &[&str] = &["rs", "toml", "md", "sh", "py", "json", "txt", "yml", "h", "c"];

/// One text file.
#[derive(Debug)]
pub(crate) struct File {
    /// Path from the root, with `/`.
    pub(crate) path: String,
    /// The whole text.
    pub(crate) text: String,
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        root.canonicalize().expect("the package lies two folders below the root")
    });
    &ROOT
}

/// Every text file, sorted by path.
pub(crate) fn files() -> &'static [File] {
    static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
        let mut files = Vec::new();
        walk(root(), &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    });
    &FILES
}

/// Every Rust file.
pub(crate) fn rust_files() -> impl Iterator<Item = &'static File> {
    files().iter().filter(|file| file.path.ends_with(".rs"))
}

/// The file at that path from the root.
pub(crate) fn file(path: &str) -> Option<&'static File> {
    files().iter().find(|file| file.path == path)
}

impl File {
    /// The lines a build without tests sees: those before the test module.
    pub(crate) fn production(&self) -> &str {
        self.text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default()
    }

    /// Whether it is code that ships, not a test, an example or a bench.
    pub(crate) fn is_production(&self) -> bool {
        let aside = ["tests", "examples", "benches"];
        !self.path.split('/').any(|part| aside.contains(&part)) && self.path.ends_with(".rs")
    }

    /// The file's name.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

fn walk(folder: &Path, files: &mut Vec<File>) {
    let entries = fs::read_dir(folder).expect("a folder of the repository is readable");
    for entry in entries {
        let path = entry.expect("an entry is readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !SKIPPED.contains(&name.as_str()) && !name.starts_with("target") {
                walk(&path, files);
            }
            continue;
        }
        let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        let plain = ending.is_empty() && !name.starts_with('.');
        if !plain && !TEXT.contains(&ending.as_str()) {
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let below = path.strip_prefix(root()).expect("the walk stays below the root");
        files.push(File { path: below.to_string_lossy().replace('\\', "/"), text });
    }
}
