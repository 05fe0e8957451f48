//! Maps a weight file; the only place of this crate that trusts the operating system with a
//! pointer.
//!
//! Pages come in when somebody looks at them, so weights may be larger than memory. A file that
//! is cut while it is mapped ends the process: replace weights by renaming, never in place.
#![expect(unsafe_code, reason = "a mapping is memory that the file system owns")]

use crate::files;
use memmap2::Mmap;
use plugin_api::Error;
use std::path::Path;

/// Maps a regular file; an empty one is refused, because nothing can be mapped of it.
pub(crate) fn map(path: &Path) -> Result<Mmap, Error> {
    let file = files::open_regular(path)?;
    // SAFETY: the mapping is private and read-only; that nobody cuts the file meanwhile is up to
    // its owner, as the module says.
    unsafe { Mmap::map(&file) }.map_err(|error| files::io_error(path, &error))
}

/// Lets the pages leave memory; they come back from the file when somebody reads them.
#[cfg(unix)]
pub(crate) fn release_pages(map: &Mmap) {
    // SAFETY: the mapping is of a file and never written, so what is dropped comes back as it was.
    let advice = unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
    // A system that does not take the advice keeps the pages, which is no error.
    drop(advice);
}

/// The pages stay where they are.
#[cfg(not(unix))]
pub(crate) fn release_pages(_: &Mmap) {}
