//! One call of a plugin, on a thread that may block, and its way back to whoever made it.

use std::sync::Arc;

use host_loader::{PluginError, ToolCaller};
use plugin_api::{Error, LogLevel, ToolRequest, Wanted};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::Plugin;
use crate::{Client, Context, Notifier, ToolError};

/// What came of a request, and the plugin anew if it offers something else since.
type Done = (Result<Value, PluginError>, Option<Plugin>);

/// Runs a request. Whoever waits no longer is told so at once, and the plugin when it asks.
pub(super) async fn run(
    plugin: Arc<Plugin>,
    wanted: Wanted,
    context: Context,
) -> Result<Done, ToolError> {
    // Whatever ends this call ends the plugin's part of it too.
    let cancel = context.cancel.child_token();
    let _cancelled = cancel.clone().drop_guard();
    let permit = tokio::select! {
        permit = Arc::clone(&plugin.permits).acquire_owned() => permit,
        () = cancel.cancelled() => return Err(ToolError::Cancelled),
    };
    let request = ToolRequest {
        wanted,
        input: context.input.unwrap_or_default(),
        capabilities: Value::Object(context.capabilities),
        can_ask: context.client.is_some(),
    };
    let caller = Reachable {
        notifier: context.notifier,
        cancel: cancel.clone(),
        client: context.client,
        runtime: Handle::current(),
    };
    let called = Arc::clone(&plugin);
    let work = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        (called.provider.call(&request, &caller), called.renewed())
    });
    tokio::select! {
        done = work => done.map_err(|_| plugin.failed("the host panicked in its call")),
        () = cancel.cancelled() => Err(ToolError::Cancelled),
    }
}

/// Whoever made the call.
struct Reachable {
    notifier: Notifier,
    cancel: CancellationToken,
    client: Option<Arc<dyn Client>>,
    runtime: Handle,
}

impl ToolCaller for Reachable {
    fn progress(&self, value: f64, total: Option<f64>, message: Option<&str>) {
        self.notifier.progress(value, total, message);
    }

    fn log(&self, level: LogLevel, data: Value) {
        self.notifier.log(level, data);
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    fn ask(&self, method: &str, params: Value) -> Result<Value, Error> {
        let client = self.client.as_ref().ok_or_else(|| {
            let why = "this client cannot be asked while its request runs; answer it with \
                       `input_required`";
            Error::unsupported(format!("{method}: {why}"))
        })?;
        let asked = async {
            tokio::select! {
                answer = client.ask(method, params) => answer,
                () = self.cancel.cancelled() => Err(ToolError::Cancelled),
            }
        };
        let answer = self.runtime.block_on(asked);
        answer.map_err(|error| match error {
            ToolError::MissingCapability(_) => Error::unsupported(format!("{method}: {error}")),
            error => Error::failed(format!("{method}: {error}")),
        })
    }
}
