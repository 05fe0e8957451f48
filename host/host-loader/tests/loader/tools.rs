//! Plugins that offer tools, and what passes between a tool and whoever called it.

use crate::fixture::Folder;
use host_loader::{Registry, ToolCaller, ToolProvider};
use plugin_api::{Error, ErrorKind, LogLevel, ToolRequest, Wanted};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// Writes down what it hears, and answers what it is asked.
#[derive(Default)]
struct Heard(Mutex<Vec<Value>>);

impl Heard {
    fn note(&self, what: Value) {
        self.0.lock().expect("nobody panics").push(what);
    }
}

impl ToolCaller for Heard {
    fn progress(&self, value: f64, total: Option<f64>, message: Option<&str>) {
        self.note(json!([value, total, message]));
    }

    fn log(&self, level: LogLevel, data: Value) {
        self.note(json!([level as u8, data]));
    }

    fn is_cancelled(&self) -> bool {
        true
    }

    fn ask(&self, method: &str, params: Value) -> Result<Value, Error> {
        self.note(json!([method, params]));
        if params == json!({}) {
            return Err(Error::unsupported("there is nothing to repeat"));
        }
        Ok(params)
    }
}

/// A caller that fails in every way.
struct Panicking;

impl ToolCaller for Panicking {
    fn progress(&self, _: f64, _: Option<f64>, _: Option<&str>) {
        panic!("the host has a fault");
    }

    fn log(&self, _: LogLevel, _: Value) {
        panic!("the host has a fault");
    }

    fn is_cancelled(&self) -> bool {
        panic!("the host has a fault");
    }

    fn ask(&self, _: &str, _: Value) -> Result<Value, Error> {
        panic!("the host has a fault");
    }
}

fn only(registry: &Registry) -> Arc<ToolProvider> {
    let [provider] = registry.tools().collect::<Vec<_>>().try_into().expect("one provider");
    provider
}

fn request(arguments: &Value) -> ToolRequest {
    let arguments = arguments.as_object().expect("an object").clone();
    let wanted = Wanted::Tool { name: "repeat".to_owned(), arguments };
    ToolRequest { wanted, input: Value::Null, capabilities: json!({}), can_ask: true }
}

#[test]
fn a_tool_hears_and_is_heard_while_it_runs() {
    let registry = Folder::with(&["tools"]).loader().scan();
    let provider = only(&registry);
    assert_eq!((provider.name(), provider.plugin()), ("parrot", "fault_tools"));
    assert_eq!(provider.version(), 0);
    assert_eq!(provider.offer().expect("an offer").tools[0]["name"], "repeat");
    let (heard, said) = (Heard::default(), json!({"a": "ü"}));
    let result = provider.call(&request(&said), &heard).expect("a result");
    assert_eq!(result["structuredContent"], json!({"answer": said, "cancelled": true}));
    let expected =
        [json!([1.0, 2.0, said.to_string()]), json!([3, said]), json!(["roots/list", said])];
    assert_eq!(*heard.0.lock().expect("nobody panics"), expected);
    let refused = provider.call(&request(&json!({})), &heard).expect_err("it was refused");
    assert_eq!(refused.source.kind(), ErrorKind::Unsupported);
    assert_eq!(refused.to_string(), "there is nothing to repeat");
}

#[test]
fn a_panic_on_either_side_stays_there() {
    let registry = Folder::with(&["panic_tool"]).loader().scan();
    let error = only(&registry).call(&request(&json!({})), &Heard::default());
    let error = error.expect_err("it panics");
    assert_eq!(
        (error.plugin.as_str(), error.source.kind()),
        ("fault_panic_tool", ErrorKind::Panic)
    );
    let expected = "plugin `fault_panic_tool` panicked in call: repeat: a feather is missing";
    assert_eq!(error.to_string(), expected);
    let registry = Folder::with(&["tools"]).loader().scan();
    let error = only(&registry).call(&request(&json!({"a": 1})), &Panicking);
    assert_eq!(error.expect_err("it asked").to_string(), "the host panicked while it asked");
}

#[test]
fn a_disabled_plugin_offers_no_tools() {
    let folder = Folder::with(&["tools"]);
    let loader = folder.loader();
    loader.scan();
    let registry = loader.set_enabled("fault_tools", false).expect("it is there");
    assert_eq!(registry.tools().count(), 0);
    let registry = loader.set_enabled("fault_tools", true).expect("it is there");
    assert_eq!(only(&registry).name(), "parrot");
}
