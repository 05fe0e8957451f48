//! Facet `tool/1`: tools, prompts and resources for the clients and models of the host.
//!
//! What is offered, asked and answered is JSON in the form that MCP gives it (revision 2026-07-28),
//! so that neither this struct nor a plugin changes when MCP adds a field.

use crate::{Facet, FacetHeader, Sink, Status, Text};
use abi_stable::StableAbi;
use core::ffi::c_void;

/// Offers tools, prompts and resources.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct ToolV1 {
    /// Size and fingerprint of this struct.
    pub header: FacetHeader,
    /// A number that is another one whenever `list` would write something else; cheap. The host
    /// asks after each call.
    pub version: extern "C" fn() -> u64,
    /// Writes what is offered (JSON, `plugin_api::ToolOffer`) to `offer`; runs no tool.
    pub list: extern "C" fn(offer: Sink, error: Sink) -> Status,
    /// Does what `request` (JSON, `plugin_api::ToolRequest`) asks for and writes the result, as
    /// MCP writes it (JSON), to `result`. It may take as long as it likes; `caller` says whether
    /// anybody still waits.
    pub call:
        extern "C" fn(request: Text, caller: ToolCallerV1, result: Sink, error: Sink) -> Status,
}

// SAFETY: repr(C), header first.
unsafe impl Facet for ToolV1 {
    const NAME: &'static str = "tool/1";
    const SIGNATURE: &'static str = "tool/1 version()u64 list(sink,sink)status \
        call(text,caller,sink,sink)status; caller context progress(context,f64,f64,text) \
        log(context,u32,text) cancelled(context)u8 ask(context,text,text,sink,sink)status";
}

/// Whoever made a call, as its tool may reach them.
///
/// The functions may be called from several threads at once, during the call that passed this. All
/// but `ask` return at once.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct ToolCallerV1 {
    /// Handed back to the functions unchanged.
    pub context: *const c_void,
    /// Tells how far the call is: `value` grows; `total` is NaN when nobody knows it; `message` is
    /// for people and may be empty.
    pub progress: extern "C" fn(context: *const c_void, value: f64, total: f64, message: Text),
    /// Tells something to log (JSON): `level` is from 0, debug, to 7, emergency, in the order of
    /// RFC 5424 from the least on.
    pub log: extern "C" fn(context: *const c_void, level: u32, data: Text),
    /// 1 when nobody waits for the result any more, else 0.
    pub cancelled: extern "C" fn(context: *const c_void) -> u8,
    /// Asks the client something, such as `sampling/createMessage`, with its parameters (JSON), and
    /// waits for the result (JSON). `UNSUPPORTED`: this client cannot be asked that.
    pub ask: extern "C" fn(
        context: *const c_void,
        method: Text,
        params: Text,
        result: Sink,
        error: Sink,
    ) -> Status,
}
