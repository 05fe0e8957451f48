//! Maps a file into memory; the only place of this crate that trusts the operating system with a
//! pointer.
//!
//! Nothing is read ahead: pages come in when somebody looks at them, so a file may be larger than
//! memory. A file that is cut while it is mapped ends the process; a running checkpoint's file
//! must be replaced by renaming, never rewritten in place.
#![expect(unsafe_code, reason = "a mapping is memory that the file system owns")]

use crate::fault::fault;
use memmap2::Mmap;
use plugin_api::{Error, ErrorKind};
use std::fs::File;
use std::io;
use std::path::Path;

/// The bytes of a file, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Mapping {
    /// Nothing stands for an empty file, which cannot be mapped.
    map: Option<Mmap>,
}

impl Mapping {
    /// Maps a regular file.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        // Asked before opening: opening a pipe would wait for its other end.
        let metadata = std::fs::metadata(path).map_err(|e| io_error(&e))?;
        if !metadata.is_file() {
            return Err(fault("file", "a folder, pipe or device", "a regular file"));
        }
        let file = File::open(path).map_err(|e| io_error(&e))?;
        if metadata.len() == 0 {
            return Ok(Self { map: None });
        }
        // SAFETY: the mapping is private and read-only; that nobody cuts the file meanwhile is up
        // to its owner, as the module says.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| io_error(&e))?;
        Ok(Self { map: Some(map) })
    }

    /// Lets the pages leave memory; they come back from the file when somebody reads them.
    #[cfg(unix)]
    pub(crate) fn release_pages(&self) {
        let advise = |map: &Mmap| {
            // SAFETY: the mapping is of a file and never written, so what is dropped comes back as
            // it was.
            unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) }
        };
        // A system that does not take the advice keeps the pages, which is no error.
        let _advice = self.map.as_ref().map(advise);
    }

    /// The pages stay where they are.
    #[cfg(not(unix))]
    pub(crate) fn release_pages(&self) {}

    /// The whole file.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or(&[])
    }
}

/// The error of a file that cannot be opened.
pub(crate) fn io_error(error: &io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        _ => ErrorKind::Invalid,
    };
    Error::new(kind, format!("file: cannot be opened: {error}"))
}
