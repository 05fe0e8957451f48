//! Facet `quantizer/1`: the policy of quantization, from a list of tensors to a dtype for each.

use crate::{Facet, FacetHeader, Sink, Status, Text};
use abi_stable::StableAbi;

/// Chooses dtypes. Pure: no files, no state between calls, no tensor data.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct QuantizerV1 {
    /// Size and fingerprint of this struct.
    pub header: FacetHeader,
    /// Turns a request (JSON, `plugin_api::QuantizeRequest`) into a plan (JSON,
    /// `plugin_api::QuantizePlan`) written to `plan`.
    pub plan: extern "C" fn(request: Text, plan: Sink, error: Sink) -> Status,
}

// SAFETY: repr(C), header first.
unsafe impl Facet for QuantizerV1 {
    const NAME: &'static str = "quantizer/1";
    const SIGNATURE: &'static str = "quantizer/1 plan(text,sink,sink)status";
}
