//! What every provider has: its name, its plugin, and the facet that answers.
//!
//! What a kind of provider can be asked stands in the module of that kind, over its facet.

use crate::PluginError;
use plugin_api::Error;
use std::sync::Arc;

/// One provider of a loaded plugin, answering through facet `F`.
#[derive(Debug)]
pub struct Provider<F: ?Sized> {
    pub(crate) name: String,
    pub(crate) plugin: String,
    pub(crate) facet: Arc<F>,
}

impl<F: ?Sized> Provider<F> {
    /// A provider that answers through `facet`; the loader makes those of plugin files.
    #[must_use]
    pub fn new(plugin: &str, name: &str, facet: Arc<F>) -> Self {
        Self { name: name.to_owned(), plugin: plugin.to_owned(), facet }
    }

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

    /// What its plugin said, under the plugin's name.
    pub(crate) fn fail(&self, source: Error) -> PluginError {
        PluginError { plugin: self.plugin.clone(), source }
    }
}
