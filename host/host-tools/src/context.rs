//! What comes with a call beside its arguments: who asks, how to stop, whom to tell.

use std::fmt;
use std::sync::Arc;

pub use plugin_api::LogLevel;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{Answer, Caller, Map};

/// What comes with a call.
#[derive(Debug, Clone)]
pub struct Context {
    /// Who asks.
    pub caller: Caller,
    /// Ends when the caller no longer waits; whoever works for them must stop then.
    pub cancel: CancellationToken,
    /// Whom to tell while the call runs.
    pub notifier: Notifier,
    /// The capabilities that the client declared, as MCP writes them.
    pub capabilities: Map,
    /// The client itself, where its session can be asked things.
    pub client: Option<Arc<dyn Client>>,
    /// `inputResponses` and `requestState` of a request that is made again.
    pub input: Option<Value>,
}

impl Context {
    /// A call that nobody watches.
    pub fn new(caller: Caller) -> Self {
        Self {
            caller,
            cancel: CancellationToken::new(),
            notifier: Notifier::default(),
            capabilities: Map::new(),
            client: None,
            input: None,
        }
    }
}

/// Whoever hears about a running call. Both methods return at once; a full queue drops messages.
pub trait Listener: Send + Sync {
    /// How far it is: `value` grows from call to call, `total` if it is known.
    fn progress(&self, value: f64, total: Option<f64>, message: Option<&str>);
    /// Something to log at the client.
    fn log(&self, level: LogLevel, data: Value);
}

/// A listener, or nobody.
#[derive(Clone, Default)]
pub struct Notifier(Option<Arc<dyn Listener>>);

impl Notifier {
    /// Tells a listener.
    pub fn new(listener: Arc<dyn Listener>) -> Self {
        Self(Some(listener))
    }

    /// Whether anybody listens; worth asking before making an expensive message.
    pub fn is_heard(&self) -> bool {
        self.0.is_some()
    }

    /// See [`Listener::progress`].
    pub fn progress(&self, value: f64, total: Option<f64>, message: Option<&str>) {
        if let Some(listener) = &self.0 {
            listener.progress(value, total, message);
        }
    }

    /// See [`Listener::log`].
    pub fn log(&self, level: LogLevel, data: Value) {
        if let Some(listener) = &self.0 {
            listener.log(level, data);
        }
    }
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Notifier").field(&self.is_heard()).finish()
    }
}

/// The client of a session that can be asked, as older revisions of MCP allow.
pub trait Client: Send + Sync + fmt::Debug {
    /// Sends a request, for example `sampling/createMessage`, and waits for its result.
    fn ask<'a>(&'a self, method: &'a str, params: Value) -> Answer<'a, Value>;
}
