//! Behaviour of the safetensors plugin as a host sees it: through the traits, on real and damaged
//! folders.

mod bad_folders;
mod bad_groups;
mod checkpoints;
mod float8;
mod folder;
mod four_bit;
mod fuzz;
mod groups;
mod modules;
mod tokenizers_match;

use std::path::{Path, PathBuf};

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
