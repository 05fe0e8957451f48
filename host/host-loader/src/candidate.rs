//! Files that may be plugins, and their bytes: what the file system alone can tell.
//!
//! Nothing is opened before it is known to be a regular file: opening a pipe blocks for ever, and
//! reading a device never ends.

use crate::Refusal;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File, Metadata};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Ending of a dynamic library on this system.
const EXTENSION: &str = std::env::consts::DLL_EXTENSION;
/// Most files of a folder that are looked at.
const FILES_MAX: usize = 4096;

/// What tells a file from a changed one without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Fingerprint {
    /// Size in bytes.
    pub(crate) length: u64,
    /// Time of the last change, nanoseconds since 1970. Where the system keeps it, the time nobody
    /// can set: `cp -p` and `touch` keep or choose the other one.
    pub(crate) changed_ns: i128,
    /// Device and number of the file; zeros where there are none.
    pub(crate) identity: (u64, u64),
}

/// The libraries of a folder, sorted; hidden and half-copied files are passed over.
pub(crate) fn libraries(folder: &Path) -> Result<Vec<PathBuf>, Refusal> {
    let unreadable = |e: std::io::Error| Refusal::Unreadable(e.to_string());
    if folder_is_open(&fs::metadata(folder).map_err(unreadable)?) {
        return Err(Refusal::WorldWritable);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let hidden = name.as_encoded_bytes().starts_with(b".");
        let path = entry.path();
        let library = path.extension().is_some_and(|extension| extension == EXTENSION);
        if library && !hidden && !path.is_dir() {
            files.push(path);
        }
        if files.len() > FILES_MAX {
            return Err(Refusal::TooMany(FILES_MAX));
        }
    }
    files.sort();
    Ok(files)
}

/// Looks at a file without opening it.
pub(crate) fn examine(path: &Path, bytes_max: u64) -> Result<Fingerprint, Refusal> {
    let metadata = fs::metadata(path).map_err(|e| Refusal::Unreadable(e.to_string()))?;
    judge(&metadata, bytes_max)?;
    Ok(fingerprint(&metadata))
}

/// Reads a file that `examine` has passed, and looks again: it may have been changed for a pipe.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Refusal> {
    let unreadable = |e: std::io::Error| Refusal::Unreadable(e.to_string());
    let file = open_without_waiting(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    judge(&metadata, bytes_max)?;
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn judge(metadata: &Metadata, bytes_max: u64) -> Result<(), Refusal> {
    if !metadata.is_file() {
        return Err(Refusal::NotRegular(kind(metadata)));
    }
    if metadata.len() > bytes_max {
        return Err(Refusal::TooLarge { found: metadata.len(), limit: bytes_max });
    }
    if world_writable(metadata) {
        return Err(Refusal::WorldWritable);
    }
    Ok(())
}

#[cfg(unix)]
fn open_without_waiting(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

#[cfg(not(unix))]
fn open_without_waiting(path: &Path) -> std::io::Result<File> {
    File::open(path)
}

#[cfg(unix)]
fn kind(metadata: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    let found = metadata.file_type();
    match () {
        () if found.is_dir() => "a folder",
        () if found.is_fifo() => "a pipe",
        () if found.is_socket() => "a socket",
        () => "a device",
    }
}

#[cfg(not(unix))]
fn kind(metadata: &Metadata) -> &'static str {
    if metadata.is_dir() { "a folder" } else { "a device" }
}

#[cfg(unix)]
fn world_writable(metadata: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(metadata) & 0o002 != 0
}

#[cfg(not(unix))]
fn world_writable(_: &Metadata) -> bool {
    false
}

/// Whether anyone may replace files in a folder; in a sticky one only their owners may.
#[cfg(unix)]
fn folder_is_open(metadata: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(metadata) & 0o1002 == 0o002
}

#[cfg(not(unix))]
fn folder_is_open(_: &Metadata) -> bool {
    false
}

#[cfg(unix)]
fn fingerprint(metadata: &Metadata) -> Fingerprint {
    use std::os::unix::fs::MetadataExt as _;
    let seconds = i128::from(metadata.ctime());
    Fingerprint {
        length: metadata.len(),
        changed_ns: seconds * 1_000_000_000 + i128::from(metadata.ctime_nsec()),
        identity: (metadata.dev(), metadata.ino()),
    }
}

#[cfg(not(unix))]
fn fingerprint(metadata: &Metadata) -> Fingerprint {
    let modified = metadata.modified().ok();
    let since = modified.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let changed_ns = since.and_then(|since| i128::try_from(since.as_nanos()).ok());
    Fingerprint {
        length: metadata.len(),
        changed_ns: changed_ns.unwrap_or_default(),
        identity: (0, 0),
    }
}
