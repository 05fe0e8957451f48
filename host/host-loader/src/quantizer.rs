//! Quantizer providers: tensors and a recipe in, a dtype for each tensor out.

use crate::facets::QuantizerFacet;
use crate::{PluginError, Provider};
use plugin_api::{Error, QuantizePlan, QuantizeRequest};

/// One quantizer provider of a loaded plugin.
pub type QuantizerProvider = Provider<dyn QuantizerFacet>;

impl QuantizerProvider {
    /// Asks for a dtype for each tensor.
    ///
    /// # Errors
    /// The plugin refused the recipe, panicked, or its plan has not one entry for each tensor.
    pub fn plan(&self, request: &QuantizeRequest) -> Result<QuantizePlan, PluginError> {
        let fail = |source| self.fail(source);
        let json =
            serde_json::to_string(request).map_err(|e| fail(Error::failed(e.to_string())))?;
        let plan = self.facet.plan(&json).map_err(fail)?;
        let plan: QuantizePlan = serde_json::from_slice(&plan)
            .map_err(|e| fail(Error::failed(format!("quantization plan: {e}"))))?;
        let (expected, found) = (request.tensors.len(), plan.dtypes.len());
        if expected != found {
            let why = format!("a plan for {expected} tensors expected, for {found} found");
            return Err(fail(Error::failed(why)));
        }
        Ok(plan)
    }
}
