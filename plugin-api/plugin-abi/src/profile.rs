//! Facet `profile/1`: says where the time of a compute session goes.
//!
//! An addition to `compute/1`: a provider that offers it lists it as well, and a host that does not
//! know it misses nothing. It is called from the thread that calls `step`, between steps.

use crate::{ComputeSessionV1, Facet, FacetHeader, Sink, Status};
use abi_stable::StableAbi;

/// Profiles the sessions that `compute/1` of the same provider made.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct ProfileV1 {
    /// Size and fingerprint of this struct.
    pub header: FacetHeader,
    /// From now on the steps of this session are noted; what was noted before is forgotten. Other
    /// sessions are not touched.
    pub start: extern "C" fn(session: ComputeSessionV1, error: Sink) -> Status,
    /// Notes no further steps, and writes what was noted since `start` to `json`:
    /// `{"entries":[{"op":text,"calls":n,"nanoseconds":n,"bytes":n,"operations":n,"int8":bool}]}`.
    pub stop: extern "C" fn(session: ComputeSessionV1, json: Sink, error: Sink) -> Status,
    /// Measures what this machine can do at best with as many threads as the session has, and
    /// writes it to `json`; that may take some seconds, and memory beyond any cache. Form:
    /// `{"bytes_per_s":x,"int8_operations_per_s":x,"f32_operations_per_s":x}`.
    pub limits: extern "C" fn(session: ComputeSessionV1, json: Sink, error: Sink) -> Status,
}

// SAFETY: repr(C), header first.
unsafe impl Facet for ProfileV1 {
    const NAME: &'static str = "profile/1";
    const SIGNATURE: &'static str = "profile/1 start(handle,sink)status \
        stop(handle,sink,sink)status limits(handle,sink,sink)status";
}
