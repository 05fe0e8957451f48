//! Thunks of `profile/1`, over the sessions that `compute/1` of the same provider made.

use super::compute::session;
use super::fence;
use crate::{Compute, Error, ProfiledSession};
use plugin_abi::{ComputeSessionV1, FacetHeader, ProfileV1, Sink, Status};
use serde::Serialize;

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

fn write_json(sink: Sink, value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_vec(value).map_err(|e| Error::failed(e.to_string()))?;
    crate::wire::write(sink, &text);
    Ok(())
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
