//! The fence: every function the host can call is a thunk that checks its pointers, runs the
//! trait's function and turns errors and panics into a status and a message.
//!
//! Nothing unwinds past this module. A caught panic names the plugin, because the host shows the
//! message to people who must know which file to replace.

mod compute;
mod format;
mod profile;
mod quantization;
mod tools;
mod writer;

pub(crate) use compute::compute;
pub(crate) use format::format;
pub(crate) use profile::profile;
pub use quantization::{DtypeEntry, DtypeSet};
pub(crate) use quantization::{dtype_names, quantization};
pub(crate) use tools::tools;
pub(crate) use writer::writer;

use crate::{Architecture, CheckpointView, Error, Quantizer};
use graph::GgufModel;
use plugin_abi::{ArchitectureV1, FacetHeader, QuantizerV1, Sink, Status, Text};
use serde::Serialize;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

static PLUGIN_NAME: OnceLock<&'static str> = OnceLock::new();

/// Remembers the plugin's name for messages.
pub(crate) fn set_plugin_name(name: &'static str) {
    PLUGIN_NAME.get_or_init(|| name);
}

/// Runs `body` behind the fence; `what` says for people what was being done.
fn fence(what: &str, error: Sink, body: impl FnOnce() -> Result<(), Error>) -> Status {
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return Status::OK,
        Ok(Err(failure)) => failure,
        Err(panic) => Error::new(crate::ErrorKind::Panic, panicked(what, &*panic)),
    };
    crate::wire::write(error, failure.message().as_bytes());
    failure.status()
}

/// The sentence for people about a caught panic.
pub(crate) fn panicked(what: &str, panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let plugin = PLUGIN_NAME.get().copied().unwrap_or("?");
    format!("plugin `{plugin}` panicked in {what}: {}", text.unwrap_or("no message"))
}

/// Text of the wire, or the error that says which argument is broken.
fn required<'a>(text: Text, argument: &str) -> Result<&'a str, Error> {
    // SAFETY: the host vouches for its texts during the call.
    unsafe { crate::wire::text(text) }
        .ok_or_else(|| Error::failed(format!("{argument} is null or not UTF-8")))
}

/// Writes a value as JSON.
fn write_json(sink: Sink, value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_vec(value).map_err(|e| Error::failed(e.to_string()))?;
    crate::wire::write(sink, &text);
    Ok(())
}

/// The facet of architecture `T`.
pub(crate) const fn architecture<T: Architecture>() -> &'static ArchitectureV1 {
    extern "C" fn build<T: Architecture>(checkpoint: Text, graph: Sink, error: Sink) -> Status {
        fence("build", error, || {
            let info = serde_json::from_str(required(checkpoint, "checkpoint")?)
                .map_err(|e| Error::invalid(format!("checkpoint description: {e}")))?;
            let view = CheckpointView::new(info);
            let mut built = T::build(&view)?;
            built.widths()?;
            let in_gguf = |claim: &&&str| !claim.contains(char::is_uppercase);
            if let (Some(parameters), Some(name)) = (view.noted(), T::CLAIMS.iter().find(in_gguf)) {
                let architecture = (*name).to_owned();
                built.gguf = built.gguf.or(Some(GgufModel { architecture, parameters }));
            }
            built.chat = T::chat();
            crate::wire::write(graph, built.to_json()?.as_bytes());
            Ok(())
        })
    }
    const { &ArchitectureV1 { header: FacetHeader::of::<ArchitectureV1>(), build: build::<T> } }
}

/// The facet of quantizer `T`.
pub(crate) const fn quantizer<T: Quantizer>() -> &'static QuantizerV1 {
    extern "C" fn plan<T: Quantizer>(request: Text, plan: Sink, error: Sink) -> Status {
        fence("plan", error, || {
            let request = serde_json::from_str(required(request, "request")?)
                .map_err(|e| Error::invalid(format!("quantize request: {e}")))?;
            write_json(plan, &T::plan(&request)?)
        })
    }
    const { &QuantizerV1 { header: FacetHeader::of::<QuantizerV1>(), plan: plan::<T> } }
}
