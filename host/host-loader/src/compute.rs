//! Compute providers and sessions.
//!
//! A session keeps the checkpoint its weights point into, and the registry its dtypes come from
//! lives as long as the process.

use crate::format::call;
use crate::{OpenCheckpoint, PluginError, Registry};
use graph::Graph;
use plugin_abi::{
    Bytes, ComputeSessionV1, ComputeV1, DtypeLookupV1, DtypeV1, ProgressV1, SessionOptionsV1,
    Span32, Text, WeightV1,
};
use plugin_api::{Error, MemoryEstimate, SessionLimits, StepBatch, wire};
use std::ffi::c_void;
use std::sync::Arc;

/// One compute provider of a loaded plugin.
#[derive(Debug)]
pub struct ComputeProvider {
    pub(crate) name: String,
    pub(crate) plugin: String,
    pub(crate) facet: &'static ComputeV1,
}

/// What a session is made from.
#[expect(missing_debug_implementations, reason = "holds a closure")]
pub struct SessionRequest<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// Bytes and dtype of each of its weights; they must come from the checkpoint that is handed
    /// to [`ComputeProvider::create`].
    pub weights: Vec<(&'a [u8], &'a str)>,
    /// Where dtypes come from.
    pub dtypes: &'a Registry,
    /// Told how far loading is: bytes done, bytes in all.
    pub progress: &'a dyn Fn(u64, u64),
    /// Sizes.
    pub limits: SessionLimits,
    /// Element type of the KV cache.
    pub kv_dtype: &'a str,
    /// Threads to compute with; 0 is the plugin's choice.
    pub threads: usize,
}

impl ComputeProvider {
    /// Name of the provider.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Name of its plugin.
    #[must_use]
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// Bytes a session would take; nothing of that size is allocated.
    ///
    /// # Errors
    /// The plugin cannot serve the graph or a dtype.
    pub fn estimate(&self, request: &SessionRequest<'_>) -> Result<MemoryEstimate, PluginError> {
        let json = self.with_options(request, |options| {
            call(|json, error| (self.facet.estimate)(options, json, error))
        })?;
        serde_json::from_slice(&json)
            .map_err(|e| self.fail(Error::failed(format!("memory estimate: {e}"))))
    }

    /// Builds a session over the weights of `checkpoint`.
    ///
    /// # Errors
    /// The plugin cannot serve the graph or a dtype, or memory is short.
    pub fn create(
        &self,
        request: &SessionRequest<'_>,
        checkpoint: Arc<OpenCheckpoint>,
    ) -> Result<Session, PluginError> {
        let mut handle: ComputeSessionV1 = std::ptr::null_mut();
        self.with_options(request, |options| {
            call(|_, error| (self.facet.create)(options, &raw mut handle, error))
        })?;
        let plugin = self.plugin.clone();
        Ok(Session { handle, facet: self.facet, plugin, _checkpoint: checkpoint })
    }

    fn with_options<T>(
        &self,
        request: &SessionRequest<'_>,
        body: impl FnOnce(*const SessionOptionsV1) -> Result<T, Error>,
    ) -> Result<T, PluginError> {
        let graph = request.graph.to_json().map_err(|e| self.fail(e.into()))?;
        let weight = |(bytes, dtype): &(&[u8], &str)| WeightV1 {
            data: Bytes::new(bytes),
            dtype: Text::new(dtype),
        };
        let weights: Vec<WeightV1> = request.weights.iter().map(weight).collect();
        let narrow = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
        let mut progress = request.progress;
        let options = SessionOptionsV1 {
            graph: Text::new(&graph),
            weights: weights.as_ptr(),
            weight_count: weights.len(),
            dtypes: DtypeLookupV1 {
                context: std::ptr::from_ref(request.dtypes).cast(),
                find: find_dtype,
            },
            progress: ProgressV1 { context: (&raw mut progress).cast(), report: report_progress },
            block_size: narrow(request.limits.block_size),
            block_count: narrow(request.limits.block_count),
            batch_tokens_max: narrow(request.limits.batch_tokens_max),
            sequences_max: narrow(request.limits.sequences_max),
            kv_dtype: Text::new(request.kv_dtype),
            threads: narrow(request.threads),
            reserved: 0,
        };
        body(&raw const options).map_err(|source| self.fail(source))
    }

    fn fail(&self, source: Error) -> PluginError {
        PluginError { plugin: self.plugin.clone(), source }
    }
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

/// A graph with its weights and KV storage in a compute plugin.
#[derive(Debug)]
pub struct Session {
    handle: ComputeSessionV1,
    facet: &'static ComputeV1,
    plugin: String,
    /// The session's weights point into it; it is dropped after `destroy`.
    _checkpoint: Arc<OpenCheckpoint>,
}

// SAFETY: `compute/1` asks for one thread at a time, not for the same one; calls take `&mut self`.
unsafe impl Send for Session {}

impl Session {
    /// Name of the plugin that runs it.
    #[must_use]
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// Runs one batch; `logits` is `[logit_rows, vocab]`.
    ///
    /// # Errors
    /// The batch does not fit, or a kernel failed or panicked.
    pub fn step(&mut self, batch: &StepBatch<'_>, logits: &mut [f32]) -> Result<(), PluginError> {
        let (wire, into, len) = (batch.to_wire(), logits.as_mut_ptr(), logits.len());
        call(|_, error| (self.facet.step)(self.handle, &raw const wire, into, len, error))
            .map(drop)
            .map_err(|source| PluginError { plugin: self.plugin.clone(), source })
    }

    /// Copies whole KV blocks `from[i]` to `to[i]`.
    ///
    /// # Errors
    /// A block index is out of range.
    pub fn copy_blocks(&mut self, from: &[u32], to: &[u32]) -> Result<(), PluginError> {
        let (from, to) = (Span32::new(from), Span32::new(to));
        call(|_, error| (self.facet.copy_blocks)(self.handle, from, to, error))
            .map(drop)
            .map_err(|source| PluginError { plugin: self.plugin.clone(), source })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        (self.facet.destroy)(self.handle);
    }
}
