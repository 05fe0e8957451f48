//! Thunks of `profile/1`, over the sessions that `compute/1` of the same provider made.

use super::compute::session;
use super::{fence, write_json};
use crate::{Compute, ProfiledSession};
use plugin_abi::{ComputeSessionV1, FacetHeader, ProfileV1, Sink, Status};

/// The profiling facet of compute device `T`.
pub(crate) const fn profile<T: Compute<Session: ProfiledSession>>() -> &'static ProfileV1 {
    const {
        &ProfileV1 {
            header: FacetHeader::of::<ProfileV1>(),
            start: start::<T>,
            stop: stop::<T>,
            limits: limits::<T>,
        }
    }
}

extern "C" fn start<T: Compute<Session: ProfiledSession>>(
    handle: ComputeSessionV1,
    error: Sink,
) -> Status {
    fence("start of a profile", error, || {
        session::<T>(handle)?.start_profile();
        Ok(())
    })
}

extern "C" fn stop<T: Compute<Session: ProfiledSession>>(
    handle: ComputeSessionV1,
    json: Sink,
    error: Sink,
) -> Status {
    fence("end of a profile", error, || write_json(json, &session::<T>(handle)?.stop_profile()))
}

extern "C" fn limits<T: Compute<Session: ProfiledSession>>(
    handle: ComputeSessionV1,
    json: Sink,
    error: Sink,
) -> Status {
    fence("limits", error, || write_json(json, &session::<T>(handle)?.machine_limits()?))
}
