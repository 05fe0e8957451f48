//! Thunks of `tool/1`.

use super::{fence, required, write_json};
use crate::{Error, ToolCall, ToolRequest, Tools, Wanted};
use plugin_abi::{FacetHeader, Sink, Status, Text, ToolCallerV1, ToolV1};
use std::panic::catch_unwind;

/// The facet of tools `T`.
pub(crate) const fn tools<T: Tools>() -> &'static ToolV1 {
    const {
        &ToolV1 {
            header: FacetHeader::of::<ToolV1>(),
            version: version::<T>,
            list: list::<T>,
            call: call::<T>,
        }
    }
}

extern "C" fn version<T: Tools>() -> u64 {
    catch_unwind(T::version).unwrap_or(0)
}

extern "C" fn list<T: Tools>(offer: Sink, error: Sink) -> Status {
    fence("list", error, || write_json(offer, &T::offer()?))
}

extern "C" fn call<T: Tools>(
    request: Text,
    caller: ToolCallerV1,
    result: Sink,
    error: Sink,
) -> Status {
    fence("call", error, || {
        let request: ToolRequest = serde_json::from_str(required(request, "request")?)
            .map_err(|e| Error::invalid(format!("request: {e}")))?;
        let call = ToolCall { request: &request, caller };
        let answer = match &request.wanted {
            Wanted::Tool { name, arguments } => T::call(name, arguments, &call),
            Wanted::Resource { uri } => T::read(uri, &call),
            Wanted::Prompt { name, arguments } => T::prompt(name, arguments, &call),
            Wanted::Completion { params } => T::complete(params, &call),
        };
        write_json(result, &answer?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, LogLevel, ToolAnswer, ToolOffer, wire};
    use serde_json::{Map, Value, json};
    use std::ffi::c_void;

    /// Does what the name of the tool says.
    struct Obedient;

    impl Tools for Obedient {
        const NAME: &'static str = "obedient";

        fn offer() -> Result<ToolOffer, Error> {
            Ok(ToolOffer { tools: vec![json!({"name": "say"})], ..ToolOffer::default() })
        }

        fn call(
            name: &str,
            arguments: &Map<String, Value>,
            call: &ToolCall<'_>,
        ) -> Result<ToolAnswer, Error> {
            match name {
                "say" => Ok(ToolAnswer::text(arguments["text"].as_str().unwrap_or_default())),
                "stop" if call.is_cancelled() => Err(Error::failed("stopped")),
                "tell" => {
                    call.progress(1.0, None, "one");
                    call.log(LogLevel::Error, &json!({"a": 1}));
                    Ok(ToolAnswer::structured(json!({"told": 2})))
                }
                "ask" => Ok(call.ask("roots/list", &json!({}))?.into()),
                "again" => Ok(match (call.response("name"), call.state()) {
                    (Some(name), Some("s")) => name.clone().into(),
                    _ => ToolAnswer::input_required(json!({"name": {}}), Some("s")),
                }),
                _ => panic!("no\n{name}"),
            }
        }
    }

    fn done(function: impl FnOnce(Sink, Sink) -> Status) -> Result<Value, Error> {
        let (mut result, mut message) = (Vec::new(), Vec::new());
        match function(wire::sink(&mut result), wire::sink(&mut message)) {
            Status::OK => Ok(serde_json::from_slice(&result).expect("an answer is JSON")),
            status => Err(Error::from_status(status, String::from_utf8_lossy(&message).into())),
        }
    }

    fn call_as(caller: ToolCallerV1, request: &str) -> Result<Value, Error> {
        let facet = tools::<Obedient>();
        done(|result, error| (facet.call)(Text::new(request), caller, result, error))
    }

    fn nobody() -> ToolCallerV1 {
        let wanted = Wanted::Resource { uri: String::new() };
        let request =
            ToolRequest { wanted, input: Value::Null, capabilities: Value::Null, can_ask: false };
        ToolCall::unheard(&request).caller
    }

    fn call(name: &str, fields: &Value) -> Result<Value, Error> {
        let mut request = json!({"kind": "tool", "name": name, "arguments": {"text": "hi"}});
        for (key, value) in fields.as_object().expect("fields") {
            request[key] = value.clone();
        }
        call_as(nobody(), &request.to_string())
    }

    #[test]
    fn offers_and_results_are_written() {
        let facet = tools::<Obedient>();
        let offer = done(|offer, error| (facet.list)(offer, error)).expect("an offer");
        let expected = json!({
            "tools": [{"name": "say"}], "prompts": [], "resources": [], "resourceTemplates": [],
        });
        assert_eq!((offer, (facet.version)()), (expected, 0));
        let said = call("say", &json!({})).expect("a result");
        assert_eq!(said, json!({"content": [{"type": "text", "text": "hi"}]}));
        let told = call("tell", &json!({})).expect("a result");
        assert_eq!(told["structuredContent"], json!({"told": 2}));
        assert_eq!(told["content"][0]["text"], r#"{"told":2}"#);
        let params = json!({"kind": "completion", "params": {}}).to_string();
        let completed = call_as(nobody(), &params).expect("nothing");
        assert_eq!(completed, json!({"completion": {"values": []}}));
    }

    #[test]
    fn a_panic_and_bad_requests_are_errors() {
        let panic = call("dance", &json!({})).expect_err("it panics");
        assert_eq!(panic.kind(), ErrorKind::Panic);
        assert!(panic.message().ends_with("panicked in call: no\ndance"), "{panic}");
        for request in ["", "{", "[]", "{}", r#"{"kind":"oracle"}"#, r#"{"kind":"tool"}"#] {
            let error = call_as(nobody(), request).expect_err(request);
            assert_eq!(error.kind(), ErrorKind::Invalid, "{request}: {error}");
        }
        for (kind, key) in [("resource", "uri"), ("prompt", "name")] {
            let request = json!({"kind": kind, key: "x", "arguments": {}}).to_string();
            let error = call_as(nobody(), &request).expect_err("there are none");
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        }
    }

    #[test]
    fn a_second_request_brings_answers_and_the_state() {
        let wanted = call("again", &json!({})).expect("no result yet");
        assert_eq!(
            (&wanted["resultType"], &wanted["requestState"]),
            (&json!("input_required"), &json!("s"))
        );
        let input = json!({"inputResponses": {"name": {"a": 1}}, "requestState": "s"});
        assert_eq!(call("again", &json!({ "input": input })), Ok(json!({"a": 1})));
    }

    #[test]
    fn who_waits_no_longer_or_cannot_be_asked_is_told() {
        extern "C" fn gone(_: *const c_void) -> u8 {
            1
        }
        let request = r#"{"kind":"tool","name":"stop","arguments":{}}"#;
        let stopped = call_as(ToolCallerV1 { cancelled: gone, ..nobody() }, request);
        assert_eq!(stopped, Err(Error::failed("stopped")));
        let refused = call("ask", &json!({})).expect_err("nobody is there");
        assert_eq!(refused.kind(), ErrorKind::Unsupported);
        extern "C" fn answer(
            _: *const c_void,
            method: Text,
            _: Text,
            result: Sink,
            _: Sink,
        ) -> Status {
            // SAFETY: the tool vouches for its text during the call.
            let method = unsafe { wire::text(method) };
            wire::write(result, json!({ "asked": method }).to_string().as_bytes());
            Status::OK
        }
        let request = r#"{"kind":"tool","name":"ask","arguments":{}}"#;
        let asked = call_as(ToolCallerV1 { ask: answer, ..nobody() }, request);
        assert_eq!(asked, Ok(json!({"asked": "roots/list"})));
    }
}
