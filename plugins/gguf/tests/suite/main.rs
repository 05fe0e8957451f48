//! Behaviour of the GGUF plugin as a host sees it: through the traits, on real and damaged files.

mod bad_files;
mod checkpoints;
mod dtypes;
mod foreign_files;
mod fuzz;
mod random_text;
mod round_trip;
mod shards;
mod tokenizers_agree;
mod tokenizers_match;
mod tokenizers_written;
mod word_piece;
mod writer;

use plugin_api::{Error, Format};
use plugin_gguf::{Gguf, GgufCheckpoint};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A file that is gone when the test is.
struct TempFile(PathBuf);

impl TempFile {
    fn new(bytes: &[u8]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("plugin-gguf-{}-{number}.gguf", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).expect("the temporary folder is writable");
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // What cannot be removed stays in the temporary folder.
        let _unremoved = std::fs::remove_file(&self.0);
    }
}

/// A folder that is gone, with all its files, when the test is.
struct TempFolder(PathBuf);

impl TempFolder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("plugin-gguf-folder-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("the temporary folder is writable");
        Self(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).expect("the temporary folder is writable");
        path
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        // What cannot be removed stays in the temporary folder.
        let _unremoved = std::fs::remove_dir_all(&self.0);
    }
}

fn open_bytes(bytes: &[u8]) -> Result<GgufCheckpoint, Error> {
    Gguf::open(&TempFile::new(bytes).0)
}

/// A file or folder of the shared test data, unless that is absent.
#[expect(clippy::print_stdout, reason = "a skipped test has to say so")]
fn shared(path: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let found = root.join(path);
    if found.exists() {
        return Some(found);
    }
    println!("skipped: {} is absent", found.display());
    None
}

/// A file or folder of the golden set.
fn own_data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data").join(path)
}
