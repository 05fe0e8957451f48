//! `tool/1` as the host asks for it, and whoever made a call as the wire shows them.
//!
//! A plugin calls back while it works: what the host does then must neither unwind into it nor
//! believe what it says about text.

use super::{ToolFacet, call};
use crate::ToolCaller;
use plugin_abi::{Sink, Status, Text, ToolCallerV1, ToolV1};
use plugin_api::{Error, LogLevel, wire};
use serde_json::Value;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl ToolFacet for ToolV1 {
    fn version(&self) -> u64 {
        (self.version)()
    }

    fn list(&self) -> Result<Vec<u8>, Error> {
        call(|offer, error| (self.list)(offer, error))
    }

    fn call(&self, request: &str, caller: &dyn ToolCaller) -> Result<Vec<u8>, Error> {
        let context = std::ptr::from_ref(&caller).cast();
        let caller = ToolCallerV1 { context, progress, log, cancelled, ask };
        call(|result, error| (self.call)(Text::new(request), caller, result, error))
    }
}

/// Does something for the caller behind a context.
fn with<T>(context: *const c_void, body: impl FnOnce(&dyn ToolCaller) -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the context is the caller of the call that passed it, which still runs.
        let caller = unsafe { *context.cast::<&dyn ToolCaller>() };
        body(caller)
    }))
    .ok()
}

/// A text of the plugin; one that is none is empty.
fn text<'a>(text: Text) -> &'a str {
    // SAFETY: the plugin vouches for its text during the call.
    unsafe { wire::text(text) }.unwrap_or_default()
}

extern "C" fn progress(context: *const c_void, value: f64, total: f64, message: Text) {
    let message = Some(text(message)).filter(|message| !message.is_empty());
    let total = Some(total).filter(|total| total.is_finite());
    if value.is_finite() {
        with(context, |caller| caller.progress(value, total, message));
    }
}

extern "C" fn log(context: *const c_void, level: u32, data: Text) {
    let data = text(data);
    // What is no JSON is still worth reading.
    let data = serde_json::from_str(data).unwrap_or_else(|_| Value::from(data));
    with(context, |caller| caller.log(LogLevel::from_wire(level), data));
}

extern "C" fn cancelled(context: *const c_void) -> u8 {
    with(context, |caller| caller.is_cancelled()).unwrap_or(true).into()
}

extern "C" fn ask(
    context: *const c_void,
    method: Text,
    params: Text,
    result: Sink,
    error: Sink,
) -> Status {
    let method = text(method);
    let asked = serde_json::from_str(text(params))
        .map_err(|e| Error::invalid(format!("parameters of {method}: {e}")))
        .and_then(|params| {
            let answer = with(context, |caller| caller.ask(method, params));
            answer.unwrap_or_else(|| Err(Error::failed("the host panicked while it asked")))
        });
    match asked {
        Ok(answer) => {
            wire::write(result, answer.to_string().as_bytes());
            Status::OK
        }
        Err(failure) => {
            wire::write(error, failure.message().as_bytes());
            failure.status()
        }
    }
}
