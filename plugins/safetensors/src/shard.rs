//! One weight file: its header, checked, and its bytes.
//!
//! The `safetensors` crate checks offsets, holes, overlaps and sizes; this adds what it lets pass
//! (a name given twice, names nobody can print) and says what a foreign file is.

use crate::fault::{fault, shown};
use crate::mapping;
use memmap2::Mmap;
use plugin_api::{Error, TensorInfo};
use safetensors::SafeTensors;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Bytes of the header's length, at the start of a file.
const LENGTH_BYTES: usize = 8;

const CONVERT: &str = "convert the checkpoint to safetensors; pickles are never read";
const DOWNLOAD_AGAIN: &str = "the download failed, download the file again";

/// First bytes of foreign files, what they are and what to do.
const FOREIGN: [(&[u8], &str, &str); 7] = [
    (b"\x80\x02", "a Python pickle", CONVERT),
    (b"\x80\x04", "a Python pickle", CONVERT),
    (b"PK\x03\x04", "a zip archive, as PyTorch writes them", CONVERT),
    (b"GGUF", "a GGUF file", "rename it to .gguf"),
    (b"version https://git-lfs", "a git-lfs pointer", "run `git lfs pull` to get the file"),
    (b"<!DOCTYPE", "an HTML page", DOWNLOAD_AGAIN),
    (b"<html", "an HTML page", DOWNLOAD_AGAIN),
];

/// A mapped weight file.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) path: PathBuf,
    map: Mmap,
    /// Description of each tensor and its bytes in the file.
    pub(crate) tensors: Vec<(TensorInfo, Range<usize>)>,
}

impl Shard {
    /// Maps a weight file and checks its header.
    pub(crate) fn open(path: PathBuf) -> Result<Self, Error> {
        let map = mapping::map(&path)?;
        let tensors = read_header(&path, &map)?;
        Ok(Self { path, map, tensors })
    }

    /// The bytes of a tensor; the header was checked against the length of the file.
    pub(crate) fn bytes(&self, range: &Range<usize>) -> &[u8] {
        &self.map[range.clone()]
    }

    /// Lets the pages leave memory until they are read again.
    pub(crate) fn release_pages(&self) {
        mapping::release_pages(&self.map);
    }
}

fn read_header(path: &Path, bytes: &[u8]) -> Result<Vec<(TensorInfo, Range<usize>)>, Error> {
    if let Some((_, what, hint)) = FOREIGN.iter().find(|(start, ..)| bytes.starts_with(start)) {
        return Err(fault(path, "file", what, format!("a safetensors file; {hint}")));
    }
    let wrong = |found: &dyn fmt::Display| {
        fault(path, "header", found, "a valid header; download the file again if it was cut short")
    };
    let (length, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| wrong(&error))?;
    let data_start = LENGTH_BYTES + length;
    let header = bytes.get(LENGTH_BYTES..data_start).unwrap_or_default();
    serde_json::from_slice::<UniqueKeys>(header).map_err(|error| wrong(&error))?;
    let mut tensors = Vec::new();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        if name.is_empty() || name.contains(char::is_control) {
            let expected = "a name without control characters";
            return Err(fault(path, "tensor name", shown(&name), expected));
        }
        let dtype = format!("{:?}", info.dtype).to_lowercase();
        // The offsets lie inside the file, so the sums cannot overflow.
        let range = data_start + info.data_offsets.0..data_start + info.data_offsets.1;
        tensors.push((TensorInfo::new(name, dtype, info.shape.clone()), range));
    }
    Ok(tensors)
}

/// A JSON object in which no key comes twice; its values are not looked at.
struct UniqueKeys;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = UniqueKeys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueKeys, A::Error> {
                let mut keys = HashSet::new();
                while let Some((key, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                    if let Some(twice) = keys.replace(key) {
                        return Err(A::Error::custom(format!("{} twice", shown(&twice))));
                    }
                }
                Ok(UniqueKeys)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}
