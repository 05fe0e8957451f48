//! Writer providers: a checkpoint's description and rows in, a file out.

use crate::facets::WriterFacet;
use crate::{PluginError, RowReader};
use plugin_api::{Error, Export};
use std::path::Path;
use std::sync::Arc;

/// One writer of a loaded plugin.
#[derive(Debug)]
pub struct WriterProvider {
    pub(crate) name: String,
    pub(crate) plugin: String,
    pub(crate) facet: Arc<dyn WriterFacet>,
}

impl WriterProvider {
    /// Name of the format.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Name of its plugin.
    #[must_use]
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// Writes a checkpoint to a new file; `rows` gives the data of its weights.
    ///
    /// # Errors
    /// The format cannot hold the model, a row cannot be read, or the file cannot be written.
    pub fn write(
        &self,
        path: &Path,
        export: &Export,
        rows: &RowReader<'_>,
    ) -> Result<(), PluginError> {
        let fail = |source| PluginError { plugin: self.plugin.clone(), source };
        let json = serde_json::to_string(export).map_err(|e| fail(Error::failed(e.to_string())))?;
        self.facet.write(path, &json, rows).map_err(fail)
    }
}
