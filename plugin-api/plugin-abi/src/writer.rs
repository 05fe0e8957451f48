//! Facet `writer/1`: writes a checkpoint file in one format.

use crate::{Facet, FacetHeader, RowSourceV1, Sink, Status, Text};
use abi_stable::StableAbi;

/// Writes checkpoints of one file format.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct WriterV1 {
    /// Size and fingerprint of this struct.
    pub header: FacetHeader,
    /// Writes the checkpoint that `export` (JSON, `plugin_api::Export`) describes to a new file at
    /// `path`; `rows` gives the data of its tensors by their place in the list, in the dtype it
    /// names. A file that could not be written whole is removed.
    pub write: extern "C" fn(path: Text, export: Text, rows: RowSourceV1, error: Sink) -> Status,
}

// SAFETY: repr(C), header first.
unsafe impl Facet for WriterV1 {
    const NAME: &'static str = "writer/1";
    const SIGNATURE: &'static str = "writer/1 write(text,text,rows,sink)status; rows context \
        read(context,usize,usize,usize,bytes out,usize,sink)status";
}
