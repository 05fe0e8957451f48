//! Tools, prompts and resources: what a plugin offers to the clients and models of the host.
//!
//! Offers and results are JSON in the form that MCP gives them (revision 2026-07-28), so that a new
//! field of MCP needs no new SDK. The host serves them in every revision that it speaks, checks
//! arguments and structured results against the schemas, and decides who may call what.

use crate::{Error, ErrorKind};
use plugin_abi::{Sink, Status, Text, ToolCallerV1};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::ffi::c_void;

/// Offers tools, and prompts and resources beside them.
///
/// Everything may be called from several threads at once. A tool may take as long as it likes, but
/// should look at [`ToolCall::is_cancelled`] while it works.
pub trait Tools: Sync + 'static {
    /// Name of the provider; also its only claim.
    const NAME: &'static str;
    /// Of two providers of one name the higher score wins.
    const SCORE: u32 = 100;

    /// What is offered now; runs no tool. The host takes in whatever of it is in order and reports
    /// the rest.
    ///
    /// # Errors
    /// Nothing can be offered, and why.
    fn offer() -> Result<ToolOffer, Error>;

    /// A number that is another one whenever [`Tools::offer`] would give something else. The host
    /// asks after each call.
    fn version() -> u64 {
        0
    }

    /// Calls a tool. A tool that ran and failed answers with [`ToolAnswer::failure`], which the
    /// model behind the client reads.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: the request is none that can be made, which becomes an error of the
    /// protocol. Any other error becomes a failure of the tool.
    fn call(
        name: &str,
        arguments: &Map<String, Value>,
        call: &ToolCall<'_>,
    ) -> Result<ToolAnswer, Error>;

    /// Reads a resource: a result of `resources/read`.
    ///
    /// # Errors
    /// As [`Tools::call`]; [`ErrorKind::NotFound`] when there is no such resource.
    fn read(uri: &str, _call: &ToolCall<'_>) -> Result<ToolAnswer, Error> {
        Err(Error::new(ErrorKind::NotFound, format!("no resource {uri}")))
    }

    /// Fills a prompt: a result of `prompts/get`.
    ///
    /// # Errors
    /// As [`Tools::call`]; [`ErrorKind::NotFound`] when there is no such prompt.
    fn prompt(
        name: &str,
        _arguments: &Map<String, Value>,
        _call: &ToolCall<'_>,
    ) -> Result<ToolAnswer, Error> {
        Err(Error::new(ErrorKind::NotFound, format!("no prompt `{name}`")))
    }

    /// Completes an argument of a prompt or of a resource template: parameters and result of
    /// `completion/complete`. Without it nothing is completed.
    ///
    /// # Errors
    /// As [`Tools::call`].
    fn complete(_params: &Value, _call: &ToolCall<'_>) -> Result<ToolAnswer, Error> {
        Ok(ToolAnswer(json!({"completion": {"values": []}})))
    }
}

/// What is offered, each entry as MCP lists it.
///
/// A tool may say in `clientNeeds`, beside the fields of MCP, which capabilities a client must have
/// declared for it, such as `["sampling"]`; the host refuses the calls of others.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::exhaustive_structs, reason = "built by plugins and read by hosts")]
pub struct ToolOffer {
    /// Entries of `tools/list`. A name has up to 64 letters, digits, `_` and `-`, and no `__`.
    pub tools: Vec<Value>,
    /// Entries of `prompts/list`.
    pub prompts: Vec<Value>,
    /// Entries of `resources/list`.
    pub resources: Vec<Value>,
    /// Entries of `resources/templates/list`.
    pub resource_templates: Vec<Value>,
}

/// A request to a provider of tools.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "built by hosts and testkits field by field")]
pub struct ToolRequest {
    /// What is wanted.
    #[serde(flatten)]
    pub wanted: Wanted,
    /// `inputResponses` and `requestState` of a request that is made again, as the client sent
    /// them: they prove nothing.
    #[serde(default)]
    pub input: Value,
    /// Capabilities that the client declared.
    #[serde(default)]
    pub capabilities: Value,
    /// Whether the client can be asked while the request runs.
    #[serde(default)]
    pub can_ask: bool,
}

/// What a request wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "built by hosts, matched by the SDK")]
pub enum Wanted {
    /// A tool is called.
    Tool {
        /// Its name, as it was offered.
        name: String,
        /// Its arguments, which fit its schema.
        arguments: Map<String, Value>,
    },
    /// A resource is read.
    Resource {
        /// Its address.
        uri: String,
    },
    /// A prompt is filled.
    Prompt {
        /// Its name, as it was offered.
        name: String,
        /// What it is filled with.
        arguments: Map<String, Value>,
    },
    /// An argument is completed.
    Completion {
        /// Parameters of `completion/complete`.
        params: Value,
    },
}

/// A result, as MCP writes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ToolAnswer(Value);

impl ToolAnswer {
    /// A tool's result of one text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::content(vec![json!({"type": "text", "text": text.into()})])
    }

    /// A tool's result of content blocks.
    #[must_use]
    pub fn content(blocks: Vec<Value>) -> Self {
        let mut result = json!({});
        result["content"] = Value::Array(blocks);
        Self(result)
    }

    /// A tool's structured result, which fits its output schema, and the same as text for clients
    /// that read no other.
    #[must_use]
    pub fn structured(value: Value) -> Self {
        let Self(mut result) = Self::text(value.to_string());
        result["structuredContent"] = value;
        Self(result)
    }

    /// The tool failed; the text says why, and what to do about it.
    pub fn failure(text: impl Into<String>) -> Self {
        let Self(mut result) = Self::text(text);
        result["isError"] = Value::Bool(true);
        Self(result)
    }

    /// More is wanted of the client before there is a result: an object of requests, each under a
    /// key of the plugin's choice with `method` and `params`. The client makes its request again
    /// with [`ToolCall::response`] for each key, and gives back `state` as [`ToolCall::state`].
    ///
    /// Only clients of revisions without sessions know this; others can be asked with
    /// [`ToolCall::ask`].
    #[must_use]
    pub fn input_required(requests: Value, state: Option<&str>) -> Self {
        let mut result = json!({"resultType": "input_required"});
        result["inputRequests"] = requests;
        if let Some(state) = state {
            result["requestState"] = Value::from(state);
        }
        Self(result)
    }
}

impl From<Value> for ToolAnswer {
    /// Any result, in the form of MCP.
    fn from(result: Value) -> Self {
        Self(result)
    }
}

/// How much a log message matters, as RFC 5424 and MCP name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "RFC 5424 has these eight")]
pub enum LogLevel {
    /// For those who look for a fault.
    Debug,
    /// Something happened as it should.
    Info,
    /// The same, and it matters.
    Notice,
    /// Something may go wrong.
    Warning,
    /// Something went wrong.
    Error,
    /// A part does not work.
    Critical,
    /// Somebody must act at once.
    Alert,
    /// Nothing works.
    Emergency,
}

impl LogLevel {
    /// The level of a number of the wire; what is above all of them is the highest.
    #[must_use]
    pub fn from_wire(level: u32) -> Self {
        match level {
            0 => Self::Debug,
            1 => Self::Info,
            2 => Self::Notice,
            3 => Self::Warning,
            4 => Self::Error,
            5 => Self::Critical,
            6 => Self::Alert,
            _ => Self::Emergency,
        }
    }
}

/// A call that runs: who made it, how to reach them, and what they sent along.
#[derive(Debug, Clone, Copy)]
pub struct ToolCall<'a> {
    pub(crate) request: &'a ToolRequest,
    pub(crate) caller: ToolCallerV1,
}

// SAFETY: the wire lets several threads call the functions at once.
unsafe impl Send for ToolCall<'_> {}
// SAFETY: as above.
unsafe impl Sync for ToolCall<'_> {}

impl<'a> ToolCall<'a> {
    /// A call of which nobody hears, by a client that cannot be asked: for tests.
    #[must_use]
    pub fn unheard(request: &'a ToolRequest) -> Self {
        extern "C" fn progress(_: *const c_void, _: f64, _: f64, _: Text) {}
        extern "C" fn log(_: *const c_void, _: u32, _: Text) {}
        extern "C" fn cancelled(_: *const c_void) -> u8 {
            0
        }
        extern "C" fn ask(_: *const c_void, _: Text, _: Text, _: Sink, error: Sink) -> Status {
            crate::wire::write(error, b"nobody is there to be asked");
            Status::UNSUPPORTED
        }
        let context = std::ptr::null();
        Self { request, caller: ToolCallerV1 { context, progress, log, cancelled, ask } }
    }

    /// Tells how far the call is: `value` grows, up to `total` if that is known; the message is for
    /// people. It returns at once; nobody may be listening.
    pub fn progress(&self, value: f64, total: Option<f64>, message: &str) {
        let message = Text::new(message);
        (self.caller.progress)(self.caller.context, value, total.unwrap_or(f64::NAN), message);
    }

    /// Tells something to log at the client. It returns at once; nobody may be listening.
    pub fn log(&self, level: LogLevel, data: &Value) {
        let data = data.to_string();
        (self.caller.log)(self.caller.context, level as u32, Text::new(&data));
    }

    /// Whether nobody waits for the result any more; then it is best to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        (self.caller.cancelled)(self.caller.context) != 0
    }

    /// Asks the client something, such as `sampling/createMessage` or `elicitation/create`, and
    /// waits for the result.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`]: this client cannot be asked that; see [`ToolCall::can_ask`].
    /// Otherwise it refused, or nobody waits any more.
    pub fn ask(&self, method: &str, params: &Value) -> Result<Value, Error> {
        let (params, mut result) = (params.to_string(), Vec::new());
        let sink = crate::wire::sink(&mut result);
        crate::session::check(|error| {
            let (method, params) = (Text::new(method), Text::new(&params));
            (self.caller.ask)(self.caller.context, method, params, sink, error)
        })?;
        let read = |e| Error::failed(format!("the client's answer to {method}: {e}"));
        serde_json::from_slice(&result).map_err(read)
    }

    /// Whether [`ToolCall::ask`] can succeed: clients of revisions without sessions answer
    /// [`ToolAnswer::input_required`] instead.
    #[must_use]
    pub fn can_ask(&self) -> bool {
        self.request.can_ask
    }

    /// Whether the client declared a capability, such as `sampling`.
    #[must_use]
    pub fn has_capability(&self, name: &str) -> bool {
        self.request.capabilities.get(name).is_some()
    }

    /// What the client answered to a request of [`ToolAnswer::input_required`].
    #[must_use]
    pub fn response(&self, key: &str) -> Option<&Value> {
        self.request.input.get("inputResponses")?.get(key)
    }

    /// The state of [`ToolAnswer::input_required`], as the client sent it back: it proves nothing.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.request.input.get("requestState")?.as_str()
    }
}
