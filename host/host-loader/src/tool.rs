//! Tool providers: a request in, a result of MCP out, and somebody to call back meanwhile.

use crate::facets::ToolFacet;
use crate::{PluginError, Provider};
use plugin_api::{Error, LogLevel, ToolOffer, ToolRequest};
use serde_json::Value;

/// One provider of tools of a loaded plugin.
pub type ToolProvider = Provider<dyn ToolFacet>;

/// Whoever made a call, as its tool may reach them, from any thread while the call runs.
pub trait ToolCaller: Sync {
    /// Hears how far the call is.
    fn progress(&self, value: f64, total: Option<f64>, message: Option<&str>);
    /// Hears something to log.
    fn log(&self, level: LogLevel, data: Value);
    /// Whether nobody waits for the result any more.
    fn is_cancelled(&self) -> bool;
    /// Asks the client and waits.
    ///
    /// # Errors
    /// The client cannot be asked that, or refused.
    fn ask(&self, method: &str, params: Value) -> Result<Value, Error>;
}

impl ToolProvider {
    /// A number that is another one when the offer is.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.facet.version()
    }

    /// What it offers now.
    ///
    /// # Errors
    /// The plugin refused, panicked, or wrote something else than an offer.
    pub fn offer(&self) -> Result<ToolOffer, PluginError> {
        let offer = self.facet.list().map_err(|error| self.fail(error))?;
        self.read("what it offers", &offer)
    }

    /// Does what a request asks for; blocks until it is done.
    ///
    /// # Errors
    /// The plugin refused, failed, panicked, or wrote something else than JSON.
    pub fn call(
        &self,
        request: &ToolRequest,
        caller: &dyn ToolCaller,
    ) -> Result<Value, PluginError> {
        let json = serde_json::to_string(request)
            .map_err(|error| self.fail(Error::failed(error.to_string())))?;
        let result = self.facet.call(&json, caller).map_err(|error| self.fail(error))?;
        self.read("its result", &result)
    }

    fn read<T: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        json: &[u8],
    ) -> Result<T, PluginError> {
        serde_json::from_slice(json)
            .map_err(|error| self.fail(Error::failed(format!("{what}: {error}"))))
    }
}
