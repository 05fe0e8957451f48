//! `compute/1` as the host asks for it, and the optional `profile/1` beside it.
//!
//! The handle is given back to its plugin exactly once, when the session is dropped.

use super::{ComputeFacet, SessionFacet, call, rows};
use crate::{Registry, SessionRequest};
use plugin_abi::{
    Bytes, ComputeSessionV1, ComputeV1, DtypeLookupV1, DtypeV1, ProfileV1, ProgressV1,
    SessionOptionsV1, Span32, Text, WeightV1,
};
use plugin_api::{Error, StepBatch, wire};
use std::ffi::c_void;

/// The facets of one compute provider.
#[derive(Debug, Clone, Copy)]
pub(super) struct Device {
    pub(super) compute: ComputeV1,
    pub(super) profile: Option<ProfileV1>,
}

impl ComputeFacet for Device {
    fn estimate(&self, request: &SessionRequest<'_>) -> Result<Vec<u8>, Error> {
        with_options(request, |options| {
            call(|json, error| (self.compute.estimate)(options, json, error))
        })
    }

    fn create(&self, request: &SessionRequest<'_>) -> Result<Box<dyn SessionFacet>, Error> {
        let mut handle: ComputeSessionV1 = std::ptr::null_mut();
        with_options(request, |options| {
            call(|_, error| (self.compute.create)(options, &raw mut handle, error))
        })?;
        if handle.is_null() {
            return Err(Error::failed("the plugin reports success, but gives no session"));
        }
        Ok(Box::new(Session { handle, device: *self }))
    }

    fn profiles(&self) -> bool {
        self.profile.is_some()
    }
}

/// A handle and the functions that know it.
#[derive(Debug)]
struct Session {
    handle: ComputeSessionV1,
    device: Device,
}

// SAFETY: `compute/1` asks for one thread at a time, not for the same one; calls take `&mut self`.
unsafe impl Send for Session {}

impl SessionFacet for Session {
    fn step(&mut self, batch: &StepBatch<'_>, logits: &mut [f32]) -> Result<(), Error> {
        let (wire, into, len) = (batch.to_wire(), logits.as_mut_ptr(), logits.len());
        call(|_, error| (self.device.compute.step)(self.handle, &raw const wire, into, len, error))
            .map(drop)
    }

    fn copy_blocks(&mut self, from: &[u32], to: &[u32]) -> Result<(), Error> {
        let (from, to) = (Span32::new(from), Span32::new(to));
        call(|_, error| (self.device.compute.copy_blocks)(self.handle, from, to, error)).map(drop)
    }

    fn start_profile(&mut self) -> Result<(), Error> {
        let profile = self.profile()?;
        call(|_, error| (profile.start)(self.handle, error)).map(drop)
    }

    fn stop_profile(&mut self) -> Result<Vec<u8>, Error> {
        let profile = self.profile()?;
        call(|json, error| (profile.stop)(self.handle, json, error))
    }

    fn machine_limits(&mut self) -> Result<Vec<u8>, Error> {
        let profile = self.profile()?;
        call(|json, error| (profile.limits)(self.handle, json, error))
    }
}

impl Session {
    fn profile(&self) -> Result<ProfileV1, Error> {
        self.device.profile.ok_or_else(|| Error::unsupported("the compute plugin does not profile"))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        (self.device.compute.destroy)(self.handle);
    }
}

fn with_options<T>(
    request: &SessionRequest<'_>,
    body: impl FnOnce(*const SessionOptionsV1) -> Result<T, Error>,
) -> Result<T, Error> {
    let graph = request.graph.to_json()?;
    let weight = |(bytes, dtype): &(&[u8], &str)| WeightV1 {
        data: Bytes::new(bytes),
        dtype: Text::new(dtype),
    };
    let weights: Vec<WeightV1> = request.weights.iter().map(weight).collect();
    let mut progress = request.progress;
    let limits = request.limits;
    let options = SessionOptionsV1 {
        graph: Text::new(&graph),
        weights: weights.as_ptr(),
        weight_count: weights.len(),
        rows: rows::source(&request.rows),
        dtypes: DtypeLookupV1 {
            context: std::ptr::from_ref(request.dtypes).cast(),
            find: find_dtype,
        },
        progress: ProgressV1 { context: (&raw mut progress).cast(), report: report_progress },
        block_size: narrow("block size", limits.block_size)?,
        block_count: narrow("block count", limits.block_count)?,
        batch_tokens_max: narrow("tokens of a batch", limits.batch_tokens_max)?,
        sequences_max: narrow("sequences", limits.sequences_max)?,
        kv_dtype: Text::new(request.kv_dtype),
        threads: narrow("threads", request.threads)?,
        reserved: 0,
    };
    body(&raw const options)
}

fn narrow(what: &str, size: usize) -> Result<u32, Error> {
    u32::try_from(size).map_err(|_| {
        Error::unsupported(format!("{what}: {size}, at most {} is possible", u32::MAX))
    })
}

extern "C" fn find_dtype(context: *const c_void, name: Text) -> *const DtypeV1 {
    // SAFETY: the context is the registry of the request, alive during the call it belongs to.
    let registry = unsafe { &*context.cast::<Registry>() };
    // SAFETY: the plugin vouches for its text during the call.
    let name = unsafe { wire::text(name) };
    match name.and_then(|name| registry.dtype(name)) {
        Some(provider) => std::ptr::from_ref(provider.dtype().wire()),
        None => std::ptr::null(),
    }
}

extern "C" fn report_progress(context: *mut c_void, done_bytes: u64, total_bytes: u64) {
    // SAFETY: the context is the closure of the request, alive during the call it belongs to.
    let report = unsafe { &*context.cast::<&dyn Fn(u64, u64)>() };
    report(done_bytes, total_bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_abi::{FacetHeader, Sink, Status, StepBatchV1};
    use plugin_api::ErrorKind;

    const COMPUTE: ComputeV1 = ComputeV1 {
        header: FacetHeader::of::<ComputeV1>(),
        estimate,
        create,
        step,
        copy_blocks,
        destroy,
    };
    const PROFILE: ProfileV1 =
        ProfileV1 { header: FacetHeader::of::<ProfileV1>(), start, stop: note, limits: note };

    extern "C" fn estimate(_: *const SessionOptionsV1, _: Sink, _: Sink) -> Status {
        Status::OK
    }

    extern "C" fn create(_: *const SessionOptionsV1, _: *mut ComputeSessionV1, _: Sink) -> Status {
        Status::OK
    }

    extern "C" fn step(
        _: ComputeSessionV1,
        _: *const StepBatchV1,
        _: *mut f32,
        _: usize,
        _: Sink,
    ) -> Status {
        Status::OK
    }

    extern "C" fn copy_blocks(_: ComputeSessionV1, _: Span32, _: Span32, _: Sink) -> Status {
        Status::OK
    }

    extern "C" fn destroy(_: ComputeSessionV1) {}

    extern "C" fn start(_: ComputeSessionV1, error: Sink) -> Status {
        wire::write(error, b"busy");
        Status::FAILED
    }

    extern "C" fn note(_: ComputeSessionV1, json: Sink, _: Sink) -> Status {
        wire::write(json, b"{}");
        Status::OK
    }

    fn session(profile: Option<ProfileV1>) -> Session {
        let device = Device { compute: COMPUTE, profile };
        assert_eq!(device.profiles(), profile.is_some());
        Session { handle: std::ptr::null_mut(), device }
    }

    #[test]
    fn a_session_without_the_facet_steps_and_does_not_profile() {
        let mut session = session(None);
        session.copy_blocks(&[], &[]).expect("it needs no profile");
        let answers = [session.start_profile().err(), session.stop_profile().err()];
        for error in answers.into_iter().chain([session.machine_limits().err()]) {
            let error = error.expect("there is nothing to ask");
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert_eq!(error.message(), "the compute plugin does not profile");
        }
    }

    #[test]
    fn a_session_with_the_facet_passes_on_what_it_says() {
        let mut session = session(Some(PROFILE));
        assert_eq!(session.start_profile(), Err(Error::failed("busy")));
        assert_eq!(session.stop_profile(), Ok(b"{}".to_vec()));
        assert_eq!(session.machine_limits(), Ok(b"{}".to_vec()));
    }
}
