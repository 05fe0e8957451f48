//! Architecture providers: a checkpoint's description in, a checked graph out.

use crate::facets::ArchitectureFacet;
use crate::{PluginError, Provider};
use graph::Graph;
use plugin_api::{CheckpointInfo, Error};

/// One architecture provider of a loaded plugin.
pub type ArchitectureProvider = Provider<dyn ArchitectureFacet>;

impl ArchitectureProvider {
    /// Asks for the graph of a checkpoint and validates it.
    ///
    /// # Errors
    /// The plugin refused the checkpoint, panicked, or wrote a graph that is not valid.
    pub fn build(&self, checkpoint: &CheckpointInfo) -> Result<Graph, PluginError> {
        let fail = |source| self.fail(source);
        let description =
            serde_json::to_string(checkpoint).map_err(|e| fail(Error::failed(e.to_string())))?;
        let json = self.facet.build(&description).map_err(fail)?;
        let json = std::str::from_utf8(&json)
            .map_err(|_| fail(Error::failed("the graph is not UTF-8")))?;
        Graph::from_json(json).map_err(|e| fail(e.into()))
    }
}
