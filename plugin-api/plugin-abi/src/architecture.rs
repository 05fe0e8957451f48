//! Facet `architecture/1`: from a checkpoint's description to a graph.

use crate::{Facet, FacetHeader, Sink, Status, Text};
use abi_stable::StableAbi;

/// Describes a model once, as data. Pure: no files, no state between calls.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct ArchitectureV1 {
    /// Size and fingerprint of this struct.
    pub header: FacetHeader,
    /// Turns a checkpoint description (JSON, `plugin_api::CheckpointInfo`) into a graph (JSON,
    /// `graph::Graph`) written to `graph`.
    pub build: extern "C" fn(checkpoint: Text, graph: Sink, error: Sink) -> Status,
}

// SAFETY: repr(C), header first.
unsafe impl Facet for ArchitectureV1 {
    const NAME: &'static str = "architecture/1";
    const SIGNATURE: &'static str = "architecture/1 build(text,sink,sink)status";
}
