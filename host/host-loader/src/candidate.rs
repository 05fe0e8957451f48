//! Files that may be plugins, and their bytes: what the file system alone can tell.
//!
//! Nothing is opened before it is known to be a regular file: opening a pipe blocks for ever, and
//! reading a device never ends.

use crate::Refusal;
use sha2::{Digest as _, Sha256};
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

/// Ending of a dynamic library on this system.
const EXTENSION: &str = std::env::consts::DLL_EXTENSION;
/// Most files of a folder that are looked at.
const FILES_MAX: usize = 4096;

/// What tells a file from a changed one without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// Size in bytes.
    pub(crate) length: u64,
    /// Time of the last change, nanoseconds since 1970.
    pub(crate) modified_ns: u128,
    /// Number of the file on its device, 0 where there is none.
    pub(crate) inode: u64,
}

/// The libraries of a folder, sorted; hidden and half-copied files are passed over.
pub(crate) fn libraries(folder: &Path) -> Result<Vec<PathBuf>, std::io::Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)?.take(FILES_MAX) {
        let entry = entry?;
        let name = entry.file_name();
        let hidden = name.as_encoded_bytes().starts_with(b".");
        let path = entry.path();
        let library = path.extension().is_some_and(|extension| extension == EXTENSION);
        if library && !hidden && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Looks at a file without opening it.
pub(crate) fn examine(path: &Path, bytes_max: u64) -> Result<Fingerprint, Refusal> {
    let metadata = fs::metadata(path).map_err(|e| Refusal::Unreadable(e.to_string()))?;
    if !metadata.is_file() {
        return Err(Refusal::NotRegular(if metadata.is_dir() { "a folder" } else { "a device" }));
    }
    if metadata.len() > bytes_max {
        return Err(Refusal::TooLarge { found: metadata.len(), limit: bytes_max });
    }
    if world_writable(&metadata) {
        return Err(Refusal::WorldWritable);
    }
    Ok(fingerprint(&metadata))
}

/// Reads a file that `examine` has passed.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Refusal> {
    fs::read(path).map_err(|e| Refusal::Unreadable(e.to_string()))
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(unix)]
fn world_writable(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    metadata.mode() & 0o002 != 0
}

#[cfg(not(unix))]
fn world_writable(_: &Metadata) -> bool {
    false
}

fn fingerprint(metadata: &Metadata) -> Fingerprint {
    let modified = metadata.modified().ok();
    let since = modified.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    Fingerprint {
        length: metadata.len(),
        modified_ns: since.map_or(0, |since| since.as_nanos()),
        inode: inode(metadata),
    }
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}
