//! `format/1` as the host asks for it.
//!
//! The handle is given back to its plugin exactly once, when the checkpoint is dropped.

use super::{CheckpointFacet, FormatFacet, call};
use plugin_abi::{Bytes, CheckpointV1, FormatV1, Text};
use plugin_api::{Error, wire};
use std::ops::Range;
use std::path::Path;

impl FormatFacet for FormatV1 {
    fn probe(&self, path: &Path) -> u32 {
        (self.probe)(Text::from_bytes(path.as_os_str().as_encoded_bytes()))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn CheckpointFacet>, Error> {
        let path = Text::from_bytes(path.as_os_str().as_encoded_bytes());
        let mut handle: CheckpointV1 = std::ptr::null_mut();
        call(|_, error| (self.open)(path, &raw mut handle, error))?;
        if handle.is_null() {
            return Err(Error::failed("the plugin reports success, but gives no checkpoint"));
        }
        Ok(Box::new(Checkpoint { handle, facet: *self }))
    }
}

/// A handle and the functions that know it.
#[derive(Debug)]
struct Checkpoint {
    handle: CheckpointV1,
    facet: FormatV1,
}

// SAFETY: `format/1` says that a checkpoint may be used from several threads at once.
unsafe impl Send for Checkpoint {}
// SAFETY: as above.
unsafe impl Sync for Checkpoint {}

impl CheckpointFacet for Checkpoint {
    fn describe(&self) -> Result<Vec<u8>, Error> {
        call(|json, error| (self.facet.describe)(self.handle, json, error))
    }

    fn tensor(&self, index: usize) -> Result<&[u8], Error> {
        let mut bytes = Bytes::EMPTY;
        call(|_, error| (self.facet.tensor)(self.handle, index, &raw mut bytes, error))?;
        // SAFETY: the plugin vouches for the bytes until `close`, which needs `&mut self`.
        unsafe { wire::bytes(bytes) }.ok_or_else(|| Error::failed("tensor bytes are null"))
    }

    fn read_rows(&self, index: usize, rows: Range<usize>, dst: &mut [u8]) -> Result<(), Error> {
        let (begin, end) = (rows.start, rows.end);
        call(|_, error| {
            let (into, len) = (dst.as_mut_ptr(), dst.len());
            (self.facet.read_rows)(self.handle, index, begin, end, into, len, error)
        })
        .map(drop)
    }

    fn asset(&self, name: &str) -> Result<Vec<u8>, Error> {
        call(|bytes, error| (self.facet.asset)(self.handle, Text::new(name), bytes, error))
    }

    fn release_pages(&self) {
        (self.facet.release_pages)(self.handle);
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        (self.facet.close)(self.handle);
    }
}
