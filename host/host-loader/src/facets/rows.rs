//! A function of the host as a row source of the wire.

use crate::RowReader;
use plugin_abi::{RowSourceV1, Sink, Status};
use plugin_api::{Error, wire};
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The source that reads with `reader`, which the caller keeps alive as long as the plugin may use
/// it.
pub(super) fn source(reader: &&RowReader<'_>) -> RowSourceV1 {
    RowSourceV1 { context: std::ptr::from_ref(reader).cast(), read }
}

extern "C" fn read(
    context: *const c_void,
    index: usize,
    row_begin: usize,
    row_end: usize,
    dst: *mut u8,
    dst_len: usize,
    error: Sink,
) -> Status {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        if dst.is_null() || row_begin > row_end {
            return Err(Error::failed("the destination is null or the rows are backwards"));
        }
        // SAFETY: the context is the reader of the call that passed the source, still running.
        let reader = unsafe { &*context.cast::<&RowReader<'_>>() };
        // SAFETY: not null, and the plugin vouches for `dst_len` bytes that nobody else uses.
        let dst = unsafe { std::slice::from_raw_parts_mut(dst, dst_len) };
        reader(index, row_begin..row_end, dst)
    }));
    let failure = match outcome {
        Ok(Ok(())) => return Status::OK,
        Ok(Err(failure)) => failure,
        // A panic of the host must not unwind into the plugin; it fails the load.
        Err(_) => Error::failed(format!("the host panicked while it read tensor {index}")),
    };
    wire::write(error, failure.message().as_bytes());
    failure.status()
}
