//! Facet `format/1`: opens a checkpoint and hands out its description, bytes and assets.

use crate::{Bytes, Facet, FacetHeader, Sink, Status, Text};
use abi_stable::StableAbi;
use core::ffi::c_void;

/// An open checkpoint of a format plugin; only that plugin knows what is behind it. It may be
/// used from several threads at once.
pub type CheckpointV1 = *mut c_void;

/// Reads one checkpoint file format.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct FormatV1 {
    /// Size and fingerprint of this struct.
    pub header: FacetHeader,
    /// How sure the plugin is that `path` is its format: 0 not at all, 100 certain. Reads no more
    /// than a few KB.
    pub probe: extern "C" fn(path: Text) -> u32,
    /// Opens and validates the checkpoint at `path` (file or folder): sizes, alignment, bounds and
    /// duplicates are checked here, once. On success a handle is stored in `out`.
    pub open: extern "C" fn(path: Text, out: *mut CheckpointV1, error: Sink) -> Status,
    /// Writes the description (JSON, `plugin_api::CheckpointInfo`) to `json`.
    pub describe: extern "C" fn(checkpoint: CheckpointV1, json: Sink, error: Sink) -> Status,
    /// Bytes of tensor number `index` of the description, row-major, in its dtype. They stay valid
    /// until `close`. [`Status::NOT_FOUND`] when they do not lie in the file like that; then
    /// `read_rows` makes them.
    pub tensor: extern "C" fn(
        checkpoint: CheckpointV1,
        index: usize,
        out: *mut Bytes,
        error: Sink,
    ) -> Status,
    /// Writes rows `row_begin..row_end` of tensor `index`, in its dtype, to the `dst_len` bytes at
    /// `dst`; works for every tensor.
    pub read_rows: extern "C" fn(
        checkpoint: CheckpointV1,
        index: usize,
        row_begin: usize,
        row_end: usize,
        dst: *mut u8,
        dst_len: usize,
        error: Sink,
    ) -> Status,
    /// Writes an asset by name: `tokenizer.json` (Hugging Face dialect), `chat_template` (Jinja).
    /// [`Status::NOT_FOUND`] when the checkpoint has none.
    pub asset:
        extern "C" fn(checkpoint: CheckpointV1, name: Text, bytes: Sink, error: Sink) -> Status,
    /// The bytes have been read for now and may leave memory; they stay valid, and come back when
    /// somebody reads them.
    pub release_pages: extern "C" fn(checkpoint: CheckpointV1),
    /// Ends the handle and every byte range it handed out.
    pub close: extern "C" fn(checkpoint: CheckpointV1),
}

// SAFETY: repr(C), header first.
unsafe impl Facet for FormatV1 {
    const NAME: &'static str = "format/1";
    const SIGNATURE: &'static str = "format/1 probe(text)u32 open(text,out handle,sink)status \
        describe(handle,sink,sink)status tensor(handle,usize,out bytes,sink)status \
        read_rows(handle,usize,usize,usize,bytes out,usize,sink)status asset(handle,text,sink,sink)status release_pages(handle) close(handle)";
}
