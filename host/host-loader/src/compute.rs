//! Compute providers and sessions.
//!
//! A session keeps the checkpoint its weights point into; the dtypes it found live as long as the
//! process, because plugins are never unloaded.

use crate::facets::{ComputeFacet, SessionFacet};
use crate::{OpenCheckpoint, PluginError, Provider, Registry};
use graph::Graph;
use plugin_api::{Error, MachineLimits, MemoryEstimate, Profile, SessionLimits, StepBatch};
use serde::de::DeserializeOwned;
use std::ops::Range;
use std::sync::Arc;

/// One compute provider of a loaded plugin.
pub type ComputeProvider = Provider<dyn ComputeFacet>;

/// Reads rows of a tensor, by its place in a list, to a buffer that is exactly as long; called from
/// several threads at once.
pub type RowReader<'a> = dyn Fn(usize, Range<usize>, &mut [u8]) -> Result<(), Error> + Sync + 'a;

/// What a session is made from.
#[expect(missing_debug_implementations, reason = "holds a closure")]
pub struct SessionRequest<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// Bytes and dtype of each of its weights; they must come from the checkpoint that is handed
    /// to [`ComputeProvider::create`]. Weights without bytes are read from `rows`.
    pub weights: Vec<(&'a [u8], &'a str)>,
    /// Reads rows of the weights without bytes.
    pub rows: &'a RowReader<'a>,
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
    /// Bytes a session would take; nothing of that size is allocated.
    ///
    /// # Errors
    /// The plugin cannot serve the graph or a dtype.
    pub fn estimate(&self, request: &SessionRequest<'_>) -> Result<MemoryEstimate, PluginError> {
        let json = self.facet.estimate(request);
        json.and_then(|json| read("memory estimate", &json)).map_err(|source| self.fail(source))
    }

    /// Whether its sessions say where their time goes.
    #[must_use]
    pub fn profiles(&self) -> bool {
        self.facet.profiles()
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
        let facet = self.facet.create(request).map_err(|source| self.fail(source))?;
        Ok(Session { facet, plugin: self.plugin.clone(), _checkpoint: checkpoint })
    }
}

/// A graph with its weights and KV storage in a compute plugin.
#[derive(Debug)]
pub struct Session {
    facet: Box<dyn SessionFacet>,
    plugin: String,
    /// The session's weights point into it, so it is dropped after `facet`, which stands first.
    _checkpoint: Arc<OpenCheckpoint>,
}

impl Session {
    /// Name of the plugin that runs it.
    #[must_use]
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// Runs one batch; `logits` is `[logit_rows, width of the graph's last node]`.
    ///
    /// # Errors
    /// The batch does not fit, or a kernel failed or panicked.
    pub fn step(&mut self, batch: &StepBatch<'_>, logits: &mut [f32]) -> Result<(), PluginError> {
        let outcome = self.facet.step(batch, logits);
        self.blame(outcome)
    }

    /// Copies whole KV blocks `from[i]` to `to[i]`.
    ///
    /// # Errors
    /// A block index is out of range.
    pub fn copy_blocks(&mut self, from: &[u32], to: &[u32]) -> Result<(), PluginError> {
        let outcome = self.facet.copy_blocks(from, to);
        self.blame(outcome)
    }

    /// Notes the steps from now on.
    ///
    /// # Errors
    /// The plugin does not profile.
    pub fn start_profile(&mut self) -> Result<(), PluginError> {
        let outcome = self.facet.start_profile();
        self.blame(outcome)
    }

    /// Notes no further steps; where the time of those since the start went.
    ///
    /// # Errors
    /// The plugin does not profile.
    pub fn stop_profile(&mut self) -> Result<Profile, PluginError> {
        let outcome = self.facet.stop_profile().and_then(|json| read("profile", &json));
        self.blame(outcome)
    }

    /// What the machine can do at best with the session's threads; takes some seconds.
    ///
    /// # Errors
    /// The plugin does not profile, or memory is short.
    pub fn machine_limits(&mut self) -> Result<MachineLimits, PluginError> {
        let outcome = self.facet.machine_limits().and_then(|json| read("limits", &json));
        self.blame(outcome)
    }

    /// What the plugin said, under its name.
    fn blame<T>(&self, outcome: Result<T, Error>) -> Result<T, PluginError> {
        outcome.map_err(|source| PluginError { plugin: self.plugin.clone(), source })
    }
}

/// A document of a plugin.
fn read<T: DeserializeOwned>(what: &str, json: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(json).map_err(|e| Error::failed(format!("{what}: {e}")))
}
