//! Writer providers: a checkpoint's description and rows in, a file out.

use crate::facets::WriterFacet;
use crate::{PluginError, Provider, RowReader};
use plugin_api::{Error, Export};
use std::path::Path;

/// One writer of a loaded plugin.
pub type WriterProvider = Provider<dyn WriterFacet>;

impl WriterProvider {
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
        let fail = |source| self.fail(source);
        let json = serde_json::to_string(export).map_err(|e| fail(Error::failed(e.to_string())))?;
        self.facet.write(path, &json, rows).map_err(fail)
    }
}
