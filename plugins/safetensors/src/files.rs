//! Reads the small files of a checkpoint folder: regular ones only, and never more than a limit.
//!
//! A file that may be absent reads as nothing; every other failure names the path.

use crate::fault::fault;
use plugin_api::{Error, ErrorKind};
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Longest configuration file.
pub(crate) const CONFIG_BYTES_MAX: u64 = 16 << 20;

/// Opens a file that is not a folder, pipe or device.
pub(crate) fn open_regular(path: &Path) -> Result<File, Error> {
    // Asked before opening: opening a pipe would wait for its other end.
    let metadata = std::fs::metadata(path).map_err(|error| io_error(path, &error))?;
    if !metadata.is_file() {
        return Err(fault(path, "file", "a folder, pipe or device", "a regular file"));
    }
    File::open(path).map_err(|error| io_error(path, &error))
}

/// The error of a file that cannot be read.
pub(crate) fn io_error(path: &Path, error: &io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        _ => ErrorKind::Invalid,
    };
    Error::new(kind, format!("{}: cannot be opened: {error}", path.display()))
}

/// The bytes of a file of at most `max`; nothing if there is no such file.
pub(crate) fn read(path: &Path, max: u64) -> Result<Option<Vec<u8>>, Error> {
    let file = match open_regular(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    let read = file.take(max + 1).read_to_end(&mut bytes);
    let length = read.map_err(|error| io_error(path, &error))?;
    if length as u64 > max {
        return Err(fault(path, "file", "more", format!("at most {max} bytes")));
    }
    Ok(Some(bytes))
}

/// As [`read`], the JSON object in it.
pub(crate) fn read_object(path: &Path, max: u64) -> Result<Option<Map<String, Value>>, Error> {
    let Some(bytes) = read(path, max)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| not_an_object(path, &error))
}

/// The error of a file that is no JSON object.
pub(crate) fn not_an_object(path: &Path, error: &serde_json::Error) -> Error {
    fault(path, "file", error, "a JSON object")
}
