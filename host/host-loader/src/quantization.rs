//! A dtype of the loaded plugins.

use plugin_api::DtypeRef;

/// A dtype and who provides it.
#[derive(Debug, Clone)]
pub struct DtypeProvider {
    pub(crate) dtype: DtypeRef,
    pub(crate) plugin: String,
}

impl DtypeProvider {
    /// Its kernels.
    #[must_use]
    pub fn dtype(&self) -> DtypeRef {
        self.dtype
    }

    /// Name of its plugin.
    #[must_use]
    pub fn plugin(&self) -> &str {
        &self.plugin
    }
}
