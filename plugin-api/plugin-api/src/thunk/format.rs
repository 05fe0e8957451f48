//! Thunks of `format/1`.
//!
//! A checkpoint travels as a boxed pointer; the host gives it back to `close` exactly once.

use super::{fence, required, write_json};
use crate::{Checkpoint, Error, Format};
use plugin_abi::{Bytes, CheckpointV1, FacetHeader, FormatV1, Sink, Status, Text};
use std::panic::catch_unwind;
use std::path::Path;

/// The facet of format `T`.
pub(crate) const fn format<T: Format>() -> &'static FormatV1 {
    const {
        &FormatV1 {
            header: FacetHeader::of::<FormatV1>(),
            probe: probe::<T>,
            open: open::<T>,
            describe: describe::<T>,
            tensor: tensor::<T>,
            read_rows: read_rows::<T>,
            asset: asset::<T>,
            release_pages: release_pages::<T>,
            close: close::<T>,
        }
    }
}

/// Paths are the platform's bytes; where those are not UTF-8 on purpose, they are kept as they are.
#[cfg(unix)]
pub(super) fn path<'a>(text: Text) -> Option<&'a Path> {
    use std::os::unix::ffi::OsStrExt as _;
    // SAFETY: the host vouches for the path during the call.
    let bytes = unsafe { crate::wire::bytes(Bytes { ptr: text.ptr, len: text.len }) }?;
    Some(Path::new(std::ffi::OsStr::from_bytes(bytes)))
}

#[cfg(not(unix))]
pub(super) fn path<'a>(text: Text) -> Option<&'a Path> {
    // SAFETY: the host vouches for the path during the call.
    unsafe { crate::wire::text(text) }.map(Path::new)
}

fn checkpoint<'a, T: Format>(handle: CheckpointV1) -> Result<&'a T::Checkpoint, Error> {
    // SAFETY: the host passes only handles that `open` of the same facet made and that are open.
    unsafe { handle.cast::<T::Checkpoint>().as_ref() }
        .ok_or_else(|| Error::failed("checkpoint handle is null"))
}

extern "C" fn probe<T: Format>(text: Text) -> u32 {
    catch_unwind(|| path(text).map_or(0, T::probe)).unwrap_or(0)
}

extern "C" fn open<T: Format>(text: Text, out: *mut CheckpointV1, error: Sink) -> Status {
    fence("open", error, || {
        let path = path(text).ok_or_else(|| Error::failed("path is null"))?;
        let opened = Box::new(T::open(path)?);
        // SAFETY: the host passes a place for one handle.
        unsafe { out.write(Box::into_raw(opened).cast()) };
        Ok(())
    })
}

extern "C" fn describe<T: Format>(handle: CheckpointV1, json: Sink, error: Sink) -> Status {
    fence("describe", error, || write_json(json, checkpoint::<T>(handle)?.info()))
}

extern "C" fn tensor<T: Format>(
    handle: CheckpointV1,
    index: usize,
    out: *mut Bytes,
    error: Sink,
) -> Status {
    fence("tensor", error, || {
        let bytes = Bytes::new(checkpoint::<T>(handle)?.tensor(index)?);
        // SAFETY: the host passes a place for one pair.
        unsafe { out.write(bytes) };
        Ok(())
    })
}

extern "C" fn read_rows<T: Format>(
    handle: CheckpointV1,
    index: usize,
    row_begin: usize,
    row_end: usize,
    dst: *mut u8,
    dst_len: usize,
    error: Sink,
) -> Status {
    fence("read_rows", error, || {
        if dst.is_null() || row_begin > row_end {
            return Err(Error::failed("the destination is null or the rows are backwards"));
        }
        // SAFETY: not null, and the host vouches for `dst_len` bytes that nobody else uses.
        let dst = unsafe { std::slice::from_raw_parts_mut(dst, dst_len) };
        checkpoint::<T>(handle)?.read_rows(index, row_begin..row_end, dst)
    })
}

extern "C" fn asset<T: Format>(
    handle: CheckpointV1,
    name: Text,
    bytes: Sink,
    error: Sink,
) -> Status {
    fence("asset", error, || {
        let name = required(name, "asset name")?;
        let found = checkpoint::<T>(handle)?.asset(name)?;
        let missing = || Error::new(crate::ErrorKind::NotFound, format!("no asset `{name}`"));
        crate::wire::write(bytes, &found.ok_or_else(missing)?);
        Ok(())
    })
}

extern "C" fn release_pages<T: Format>(handle: CheckpointV1) {
    // Advice that fails or panics has cost memory and nothing else.
    let advise = || checkpoint::<T>(handle).map(Checkpoint::release_pages);
    drop(catch_unwind(std::panic::AssertUnwindSafe(advise)));
}

extern "C" fn close<T: Format>(handle: CheckpointV1) {
    if handle.is_null() {
        return;
    }
    // SAFETY: `open` of the same facet boxed it, and the host closes a handle once.
    let boxed = unsafe { Box::from_raw(handle.cast::<T::Checkpoint>()) };
    // A panic in a destructor ends here; there is nobody to tell.
    drop(catch_unwind(std::panic::AssertUnwindSafe(|| drop(boxed))));
}
