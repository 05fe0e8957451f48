//! Slices and sinks from the pointer pairs of the wire.
//!
//! Only what both sides need: the thunks of a plugin and the wrappers of the host.

use plugin_abi::{Bytes, Sink, Span32, Text};
use std::ffi::c_void;

/// A sink that appends to a vector.
///
/// The vector must outlive the call the sink is passed to, which the wire demands of every sink.
pub fn sink(buffer: &mut Vec<u8>) -> Sink {
    extern "C" fn write(context: *mut c_void, ptr: *const u8, len: usize) {
        if ptr.is_null() || len == 0 {
            return;
        }
        // SAFETY: `context` is the vector below, alive and not otherwise used during the call.
        let buffer = unsafe { &mut *context.cast::<Vec<u8>>() };
        // SAFETY: the writer vouches for `len` bytes at `ptr`.
        buffer.extend_from_slice(unsafe { std::slice::from_raw_parts(ptr, len) });
    }
    Sink { context: std::ptr::from_mut(buffer).cast(), write }
}

/// Writes text to a sink.
pub fn write(sink: Sink, text: &[u8]) {
    (sink.write)(sink.context, text.as_ptr(), text.len());
}

/// The bytes behind a pair; `None` when the pointer is null and the length is not 0.
///
/// # Safety
/// The sender vouches for `len` bytes at `ptr` for the lifetime `'a`.
#[must_use]
pub unsafe fn bytes<'a>(pair: Bytes) -> Option<&'a [u8]> {
    if pair.len == 0 {
        return Some(&[]);
    }
    if pair.ptr.is_null() || isize::try_from(pair.len).is_err() {
        return None;
    }
    // SAFETY: not null, and the caller passes on the sender's promise.
    Some(unsafe { std::slice::from_raw_parts(pair.ptr, pair.len) })
}

/// The text behind a pair; `None` when it is null or not UTF-8.
///
/// # Safety
/// As for [`bytes`].
#[must_use]
pub unsafe fn text<'a>(pair: Text) -> Option<&'a str> {
    // SAFETY: passed on to the caller.
    let bytes = unsafe { bytes(Bytes { ptr: pair.ptr, len: pair.len }) }?;
    std::str::from_utf8(bytes).ok()
}

/// The integers behind a span; `None` when it is null or misaligned.
///
/// # Safety
/// As for [`bytes`], for `len` integers.
#[must_use]
pub unsafe fn span<'a>(span: Span32) -> Option<&'a [u32]> {
    if span.len == 0 {
        return Some(&[]);
    }
    if span.ptr.is_null() || !span.ptr.is_aligned() || isize::try_from(span.len).is_err() {
        return None;
    }
    // SAFETY: not null, aligned, and the caller passes on the sender's promise.
    Some(unsafe { std::slice::from_raw_parts(span.ptr, span.len) })
}
