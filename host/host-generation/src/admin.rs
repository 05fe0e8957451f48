//! What every surface may ask of the operator's side: plugins, loads and the memory of all models.
//!
//! The binary does it; this crate only says what it is, so that HTTP and MCP ask for the same thing
//! and neither knows how it is done.

use std::sync::Arc;
use std::thread;

use host_loader::PluginReport;
use host_model::{CatalogEntry, MemoryBudget};

use crate::loading::{LoadFailure, LoadJob, LoadProgress};
use crate::served::ServedModel;

/// What the binary can do to plugins and models. Every call may take its time and is made where
/// nobody waits for it but the one client.
pub trait Admin: Send + Sync + 'static {
    /// Every plugin file seen, good or bad.
    fn plugins(&self) -> Vec<PluginReport>;

    /// Looks at the plugin folders again.
    fn rescan(&self) -> Vec<PluginReport>;

    /// Switches a plugin off or on for models that are loaded from now on. None: there is no such
    /// plugin to switch.
    fn set_plugin_enabled(&self, name: &str, enabled: bool) -> Option<Vec<PluginReport>>;

    /// Loads a model under the checkpoint's id and starts its engine.
    ///
    /// # Errors
    /// Why it cannot be served.
    fn load_model(
        &self,
        checkpoint: &CatalogEntry,
        progress: &dyn Fn(LoadProgress),
    ) -> Result<ServedModel, LoadFailure>;

    /// The memory of all models.
    fn memory(&self) -> &MemoryBudget;
}

impl LoadJob {
    /// Does the load on a thread of its own: whoever asked for the model may leave, and others wait
    /// for it too.
    pub fn spawn(self, admin: &Arc<dyn Admin>) {
        let admin = Arc::clone(admin);
        let name = format!("load {}", self.entry().id);
        let work = move || {
            let outcome = admin.load_model(self.entry(), &|progress| self.report(progress));
            self.finish(outcome);
        };
        if let Err(error) = thread::Builder::new().name(name).spawn(work) {
            // The job was dropped with its thread, which has told those who wait.
            tracing::error!(%error, "there is no thread to load a model");
        }
    }
}
