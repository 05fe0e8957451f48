//! The little that is looked at of a JSON-RPC message before the protocol library reads it.
//!
//! What is no message at all is refused here, with the code the specification gives it, and the
//! method is needed for limits and metrics. It judges no parameter.

use serde_json::Value;

/// JSON-RPC: the text is not JSON.
pub(crate) const PARSE_ERROR: i32 = -32700;

/// JSON-RPC: the JSON is no request.
pub(crate) const INVALID_REQUEST: i32 = -32600;

/// First revision without sessions.
const MODERN: &str = "2026-07-28";

/// First revision with events that hold no message.
const EMPTY_EVENTS: &str = "2025-11-25";

/// Methods that have a name of their own in metrics.
const METHODS: [&str; 20] = [
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "completion/complete",
    "logging/setLevel",
    "subscriptions/listen",
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
    "tasks/get",
];

/// Methods that revisions without sessions no longer have.
const REMOVED: [&str; 5] =
    ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"];

/// A message, as far as it is looked at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// The method as metrics name it.
    pub(crate) method: &'static str,
    /// The revision that the message names.
    pub(crate) version: Option<String>,
}

/// Why a text is no message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// JSON-RPC's code.
    pub(crate) code: i32,
    /// One line for people.
    pub(crate) message: String,
}

impl Envelope {
    /// Reads a text.
    ///
    /// # Errors
    /// It is no JSON, or no single message of JSON-RPC 2.0.
    pub(crate) fn read(text: &[u8]) -> Result<Self, Fault> {
        let message: Value = serde_json::from_slice(text).map_err(|error| Fault {
            code: PARSE_ERROR,
            message: format!("the message is not JSON: {error}"),
        })?;
        let object = match &message {
            Value::Object(object) => object,
            Value::Array(_) => return Err(invalid("several messages in one are not supported")),
            _ => return Err(invalid("the message is no JSON object")),
        };
        if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(invalid("jsonrpc must be \"2.0\""));
        }
        if !matches!(object.get("id"), None | Some(Value::String(_) | Value::Number(_))) {
            return Err(invalid("id must be a string or a number"));
        }
        let method = match object.get("method") {
            Some(Value::String(method)) => known(method),
            Some(_) => return Err(invalid("method must be a string")),
            None if object.contains_key("result") || object.contains_key("error") => "answer",
            None => return Err(invalid("the message has neither method nor result nor error")),
        };
        let params = &message["params"];
        let version = params["_meta"]["io.modelcontextprotocol/protocolVersion"].as_str();
        let version = version.or_else(|| params["protocolVersion"].as_str()).map(str::to_owned);
        Ok(Self { method, version })
    }
}

/// Whether clients of a revision know events without a message.
pub(crate) fn knows_empty_events(version: &str) -> bool {
    version >= EMPTY_EVENTS
}

/// Whether a revision has no sessions. Revisions are dates, so they compare as text.
pub(crate) fn is_modern(version: &str) -> bool {
    version >= MODERN
}

fn invalid(message: &str) -> Fault {
    Fault { code: INVALID_REQUEST, message: message.to_owned() }
}

/// Whether a revision without sessions has no such method any more.
pub(crate) fn is_removed(method: &str) -> bool {
    REMOVED.contains(&method)
}

/// A method as metrics name it: what a client made up has no name of its own.
pub(crate) fn known(method: &str) -> &'static str {
    METHODS.into_iter().find(|known| *known == method).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::{Envelope, INVALID_REQUEST, PARSE_ERROR, is_modern};

    #[test]
    fn what_is_no_message_is_refused_with_the_code_of_the_specification() {
        let check = |text: &str, code: i32| {
            let fault = Envelope::read(text.as_bytes()).expect_err(text);
            assert_eq!(fault.code, code, "{text}: {}", fault.message);
        };
        check("", PARSE_ERROR);
        check("{\"jsonrpc\": \"2.0\"", PARSE_ERROR);
        check(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), PARSE_ERROR);
        check("[]", INVALID_REQUEST);
        check("7", INVALID_REQUEST);
        check("{}", INVALID_REQUEST);
        check(r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, INVALID_REQUEST);
        check(r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, INVALID_REQUEST);
        check(r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, INVALID_REQUEST);
        check(r#"{"jsonrpc":"2.0","id":1,"method":7}"#, INVALID_REQUEST);
        check(r#"{"jsonrpc":"2.0","id":1}"#, INVALID_REQUEST);
        assert_eq!(Envelope::read(b"\xff").expect_err("no UTF-8").code, PARSE_ERROR);
    }

    #[test]
    fn the_method_and_the_era_are_read() {
        let check = |text: &str, method: &'static str, version: Option<&str>| {
            let envelope = Envelope::read(text.as_bytes()).expect(text);
            let version = version.map(str::to_owned);
            assert_eq!(envelope, Envelope { method, version }, "{text}");
        };
        check(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, "ping", None);
        check(r#"{"jsonrpc":"2.0","method":"made/up"}"#, "other", None);
        check(r#"{"jsonrpc":"2.0","id":"a","result":{}}"#, "answer", None);
        let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2024-11-05"}}"#;
        check(hello, "initialize", Some("2024-11-05"));
        let of = |version: &str| {
            let meta = format!(r#"{{"io.modelcontextprotocol/protocolVersion":"{version}"}}"#);
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"_meta":{meta}}}}}"#)
        };
        check(&of("2026-07-28"), "ping", Some("2026-07-28"));
        assert!(is_modern("2026-07-28") && !is_modern("2025-11-25"));
    }
}
