//! Everything before the tensor data, in the order of the file: magic, version, counts, metadata,
//! tensor table.
//!
//! The result describes the file completely; it borrows nothing, so that it can lie beside the
//! mapping it was made from.

use crate::fault::{CUT_SHORT, fault, fault_with_hint, shown};
use crate::foreign;
use crate::metadata::{Entries, Metadata};
use crate::reader::Reader;
use crate::tensor_table::{self, Tensor};
use plugin_api::Error;

/// Most bytes before the tensor data; the largest vocabularies take about 16 MiB.
const HEADER_BYTES_MAX: usize = 256 << 20;
const ALIGNMENT_DEFAULT: u64 = 32;
/// First bytes of every GGUF file.
pub(crate) const MAGIC: &[u8] = b"GGUF";

/// A checked file, without its data.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) entries: Entries,
    pub(crate) tensors: Vec<Tensor>,
    /// First byte of the data.
    pub(crate) data_start: u64,
}

impl Header {
    /// Reads and checks the file whose bytes these are.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Error> {
        check_magic(bytes)?;
        let head = bytes.get(..HEADER_BYTES_MAX).unwrap_or(bytes);
        Self::read_sections(head, bytes.len() as u64).map_err(|error| {
            let reached_limit = head.len() < bytes.len() && error.message().ends_with(CUT_SHORT);
            if reached_limit {
                let expected = format!("at most {HEADER_BYTES_MAX} bytes before the tensor data");
                fault("header", "more", expected)
            } else {
                error
            }
        })
    }

    fn read_sections(head: &[u8], file_bytes: u64) -> Result<Self, Error> {
        let mut reader = Reader::new(head, MAGIC.len());
        check_version(reader.u32("version")?)?;
        let tensor_count = reader.u64("tensor count")?;
        let key_count = reader.u64("metadata key count")?;
        let entries = Entries::read(&mut reader, key_count)?;
        let metadata = Metadata::new(head, &entries);
        let alignment = alignment(metadata)?;
        let tensors = tensor_table::read(&mut reader, tensor_count, alignment)?;
        let data_start = (reader.at() as u64).next_multiple_of(alignment);
        if tensors.is_empty() && file_bytes > data_start {
            let found = format!("0 tensors, but {} bytes after them", file_bytes - data_start);
            return Err(fault("tensor count", found, "the tensors of that data"));
        }
        tensor_table::place(&tensors, data_start, file_bytes)?;
        Ok(Self { entries, tensors, data_start })
    }
}

fn check_magic(bytes: &[u8]) -> Result<(), Error> {
    if bytes.starts_with(MAGIC) {
        return Ok(());
    }
    let expected = "`GGUF`";
    if let Some(foreign) = foreign::recognise(bytes) {
        return Err(fault_with_hint("magic", foreign.what, expected, foreign.hint));
    }
    match bytes.get(..MAGIC.len()) {
        Some(start) => Err(fault("magic", shown(start), expected)),
        None => {
            let found = format!("{} bytes in all", bytes.len());
            Err(fault_with_hint("magic", found, expected, CUT_SHORT))
        }
    }
}

fn check_version(version: u32) -> Result<(), Error> {
    let (found, hint) = match version {
        2 | 3 => return Ok(()),
        1 => ("1, of 2023".to_owned(), "convert the checkpoint again with a current llama.cpp"),
        _ if (1..=3).contains(&version.swap_bytes()) => (
            format!("{} in big-endian order", version.swap_bytes()),
            "use the little-endian file of this model",
        ),
        _ => (version.to_string(), "the file is damaged, or newer than this plugin"),
    };
    Err(fault_with_hint("version", found, "2 or 3", hint))
}

fn alignment(metadata: Metadata<'_>) -> Result<u64, Error> {
    let key = "general.alignment";
    match metadata.integer(key)?.unwrap_or(ALIGNMENT_DEFAULT) {
        alignment @ 8..=0x10_0000 if alignment.is_power_of_two() => Ok(alignment),
        other => Err(fault(key, other, "a power of two from 8 to 1048576")),
    }
}
