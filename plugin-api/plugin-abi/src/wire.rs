//! The few value types every facet is made of: text, bytes, spans, sinks and status codes.
//!
//! They are plain pointer-and-length pairs on purpose: any language can build them. They carry no
//! ownership; the SDK and the host wrap them at once and nothing above handles them raw.

use abi_stable::StableAbi;
use core::ffi::c_void;

/// Borrowed UTF-8 text (file paths: the platform's own bytes), valid during the call that passes
/// it unless the field says otherwise.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct Text {
    /// First byte; may dangle when `len` is 0.
    pub ptr: *const u8,
    /// Length in bytes.
    pub len: usize,
}

/// Borrowed bytes, same rules as [`Text`].
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct Bytes {
    /// First byte; may dangle when `len` is 0.
    pub ptr: *const u8,
    /// Length in bytes.
    pub len: usize,
}

/// Borrowed array of 32-bit unsigned integers, same rules as [`Text`].
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct Span32 {
    /// First element; may dangle when `len` is 0.
    pub ptr: *const u32,
    /// Number of elements.
    pub len: usize,
}

/// Where a callee puts an answer whose length the caller cannot know.
///
/// `write` may be called several times; the pieces are joined. It copies before it returns and
/// must not be called after the function that received the sink has returned.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct Sink {
    /// Handed back to `write` unchanged.
    pub context: *mut c_void,
    /// Appends `len` bytes at `ptr` to the answer.
    pub write: extern "C" fn(context: *mut c_void, ptr: *const u8, len: usize),
}

/// Where a callee reads tensors that do not lie in memory as they are wanted: quantized while they
/// are loaded, or taken apart from what a file packs together.
///
/// `read` may be called from several threads at once, during the call that passed the source.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct RowSourceV1 {
    /// Handed back to `read` unchanged.
    pub context: *const c_void,
    /// Writes rows `row_begin..row_end` of tensor `index` to the `dst_len` bytes at `dst`, which
    /// are exactly as many as those rows have; a row is what the last dimension counts.
    pub read: extern "C" fn(
        context: *const c_void,
        index: usize,
        row_begin: usize,
        row_end: usize,
        dst: *mut u8,
        dst_len: usize,
        error: Sink,
    ) -> Status,
}

/// Outcome of a call over the boundary.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, StableAbi)]
pub struct Status(pub i32);

impl Status {
    /// The call did what was asked.
    pub const OK: Status = Status(0);
    /// The input is malformed or contradicts itself (a file's or a client's fault).
    pub const INVALID: Status = Status(1);
    /// The input is well formed, but this plugin cannot serve it.
    pub const UNSUPPORTED: Status = Status(2);
    /// The thing asked for is not there (an optional asset).
    pub const NOT_FOUND: Status = Status(3);
    /// The plugin failed (input/output, memory).
    pub const FAILED: Status = Status(4);
    /// The plugin panicked; it may be in a bad state and the host stops using the model.
    pub const PANIC: Status = Status(5);
}

impl Text {
    /// Borrows a string; the caller keeps it alive for the call.
    #[must_use]
    pub const fn new(text: &str) -> Self {
        Self { ptr: text.as_ptr(), len: text.len() }
    }

    /// Borrows bytes that are a file path in the platform's encoding.
    #[must_use]
    pub const fn from_bytes(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr(), len: bytes.len() }
    }
}

impl Bytes {
    /// Borrows a slice; the caller keeps it alive as long as the field promises.
    #[must_use]
    pub const fn new(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr(), len: bytes.len() }
    }

    /// No bytes at all.
    pub const EMPTY: Bytes = Bytes { ptr: core::ptr::null(), len: 0 };
}

impl Span32 {
    /// Borrows a slice; the caller keeps it alive for the call.
    #[must_use]
    pub const fn new(values: &[u32]) -> Self {
        Self { ptr: values.as_ptr(), len: values.len() }
    }
}
