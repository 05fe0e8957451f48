//! `quantizer/1` as the host asks for it.

use super::{QuantizerFacet, call};
use plugin_abi::{QuantizerV1, Text};
use plugin_api::Error;

impl QuantizerFacet for QuantizerV1 {
    fn plan(&self, request: &str) -> Result<Vec<u8>, Error> {
        call(|plan, error| (self.plan)(Text::new(request), plan, error))
    }
}
