//! Architecture providers: a checkpoint's description in, a checked graph out.

use crate::PluginError;
use crate::facets::ArchitectureFacet;
use graph::Graph;
use plugin_api::{CheckpointInfo, Error};
use std::sync::Arc;

/// One architecture provider of a loaded plugin.
#[derive(Debug)]
pub struct ArchitectureProvider {
    pub(crate) name: String,
    pub(crate) plugin: String,
    pub(crate) facet: Arc<dyn ArchitectureFacet>,
}

impl ArchitectureProvider {
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

    /// Asks for the graph of a checkpoint and validates it.
    ///
    /// # Errors
    /// The plugin refused the checkpoint, panicked, or wrote a graph that is not valid.
    pub fn build(&self, checkpoint: &CheckpointInfo) -> Result<Graph, PluginError> {
        let fail = |source| PluginError { plugin: self.plugin.clone(), source };
        let description =
            serde_json::to_string(checkpoint).map_err(|e| fail(Error::failed(e.to_string())))?;
        let json = self.facet.build(&description).map_err(fail)?;
        let json = std::str::from_utf8(&json)
            .map_err(|_| fail(Error::failed("the graph is not UTF-8")))?;
        Graph::from_json(json).map_err(|e| fail(e.into()))
    }
}
