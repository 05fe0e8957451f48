//! One file of a checkpoint: mapped, its header checked.
//!
//! Every error names the file. How files belong together is not its business.

use crate::header::Header;
use crate::mapping::Mapping;
use crate::metadata::Metadata;
use plugin_api::Error;
use std::ops::Range;
use std::path::PathBuf;

/// An open GGUF file.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) path: PathBuf,
    mapping: Mapping,
    pub(crate) header: Header,
}

impl Shard {
    /// Maps the file and checks everything before the tensor data.
    pub(crate) fn open(path: PathBuf) -> Result<Self, Error> {
        let read = || {
            let mapping = Mapping::open(&path)?;
            let header = Header::read(mapping.bytes())?;
            Ok((mapping, header))
        };
        let (mapping, header) = read().map_err(|error: Error| error.context(path.display()))?;
        Ok(Self { path, mapping, header })
    }

    /// Its keys and values.
    pub(crate) fn metadata(&self) -> Metadata<'_> {
        Metadata::new(self.mapping.bytes(), &self.header.entries)
    }

    /// Puts the file's path before an error.
    pub(crate) fn name(&self, error: Error) -> Error {
        error.context(self.path.display())
    }

    /// Bytes of the file.
    pub(crate) fn bytes(&self, range: &Range<usize>) -> Option<&[u8]> {
        self.mapping.bytes().get(range.clone())
    }

    /// Lets the pages leave memory until they are read again.
    pub(crate) fn release_pages(&self) {
        self.mapping.release_pages();
    }
}
