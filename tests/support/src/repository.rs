//! Where things lie: the repository, its golden set, and the larger set that may lie beside it.

use std::path::{Path, PathBuf};

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the package lies two folders below the root")
}

/// A path in the golden set of the repository.
#[must_use]
pub fn data(path: &str) -> PathBuf {
    root().join("tests/data").join(path)
}

/// A path in `../shared`, the larger reference set, if it is there; else the test's name and what
/// it leaves out are printed.
#[must_use]
pub fn shared(path: &str, skipped: &str) -> Option<PathBuf> {
    let found = root().join("../shared").join(path);
    if found.exists() {
        return Some(found);
    }
    let note = format!("skipped: {skipped} (../shared/{path} is not there)\n");
    let _closed = std::io::Write::write_all(&mut std::io::stderr().lock(), note.as_bytes());
    None
}
