//! Where things lie: the repository, its golden set, and the larger set that may lie beside it.

use std::path::{Path, PathBuf};
use std::process::Command;

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
    note_skipped(skipped, &format!("../shared/{path}"));
    None
}

/// Whether Python is there with these modules, which some of the larger set's scripts need; if not,
/// what the test leaves out is printed.
#[must_use]
pub fn python_with(modules: &str, skipped: &str) -> bool {
    let mut python = Command::new("python3");
    let found = python.args(["-c", &format!("import {modules}")]).output();
    let is_there = found.is_ok_and(|output| output.status.success());
    if !is_there {
        note_skipped(skipped, &format!("Python with {modules}"));
    }
    is_there
}

/// Whether a program can be started; if not, what the test leaves out is printed.
#[must_use]
pub fn has_program(program: &str, skipped: &str) -> bool {
    let is_there = Command::new(program).arg("--version").output().is_ok();
    if !is_there {
        note_skipped(skipped, program);
    }
    is_there
}

pub(crate) fn note_skipped(skipped: &str, missing: &str) {
    let note = format!("skipped: {skipped} ({missing} is not there)\n");
    let _closed = std::io::Write::write_all(&mut std::io::stderr().lock(), note.as_bytes());
}
