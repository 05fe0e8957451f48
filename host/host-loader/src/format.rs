//! Format providers and open checkpoints.
//!
//! A checkpoint closes itself when the last user is gone; sessions keep it, because their weights
//! point into it.

use crate::facets::{CheckpointFacet, FormatFacet};
use crate::{PluginError, Provider};
use plugin_api::{CheckpointInfo, Error, ErrorKind};
use std::ops::Range;
use std::path::Path;

/// One format provider of a loaded plugin.
pub type FormatProvider = Provider<dyn FormatFacet>;

impl FormatProvider {
    /// How sure it is that `path` is its format: 0 not at all, 100 certain.
    #[must_use]
    pub fn probe(&self, path: &Path) -> u32 {
        self.facet.probe(path)
    }

    /// Opens a checkpoint and reads its description.
    ///
    /// # Errors
    /// The file is damaged or foreign, or the plugin failed.
    pub fn open(&self, path: &Path) -> Result<OpenCheckpoint, PluginError> {
        let fail = |source| self.fail(source);
        let facet = self.facet.open(path).map_err(fail)?;
        let json = facet.describe().map_err(fail)?;
        let info = serde_json::from_slice(&json)
            .map_err(|e| fail(Error::failed(format!("checkpoint description: {e}"))))?;
        let (format, plugin) = (self.name.clone(), self.plugin.clone());
        Ok(OpenCheckpoint { facet, info, format, plugin })
    }
}

/// An open checkpoint of a format plugin.
#[derive(Debug)]
pub struct OpenCheckpoint {
    facet: Box<dyn CheckpointFacet>,
    info: CheckpointInfo,
    format: String,
    plugin: String,
}

impl OpenCheckpoint {
    /// Its description.
    #[must_use]
    pub fn info(&self) -> &CheckpointInfo {
        &self.info
    }

    /// Name of the format.
    #[must_use]
    pub fn format(&self) -> &str {
        &self.format
    }

    /// Name of the plugin.
    #[must_use]
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// Bytes of tensor number `index`, valid as long as the checkpoint; none if they do not lie in
    /// the file as the description says, and only [`OpenCheckpoint::read_rows`] gives them.
    ///
    /// # Errors
    /// The index is out of range, or the plugin failed.
    pub fn tensor(&self, index: usize) -> Result<Option<&[u8]>, PluginError> {
        match self.facet.tensor(index) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(PluginError { plugin: self.plugin.clone(), source }),
        }
    }

    /// Writes the bytes of some rows of a tensor to `dst`, which must be exactly as long.
    ///
    /// # Errors
    /// The rows are not there, or the plugin failed.
    pub fn read_rows(
        &self,
        index: usize,
        rows: Range<usize>,
        dst: &mut [u8],
    ) -> Result<(), PluginError> {
        let fail = |source| PluginError { plugin: self.plugin.clone(), source };
        self.facet.read_rows(index, rows, dst).map_err(fail)
    }

    /// Lets the bytes leave memory; they stay valid and come back when somebody reads them.
    pub fn release_pages(&self) {
        self.facet.release_pages();
    }

    /// An asset by name, if the checkpoint has it.
    ///
    /// # Errors
    /// The asset is damaged, or the plugin failed.
    pub fn asset(&self, name: &str) -> Result<Option<Vec<u8>>, PluginError> {
        match self.facet.asset(name) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(PluginError { plugin: self.plugin.clone(), source }),
        }
    }
}
