//! The tools of plugins in the registry: what is offered, how calls run, and how they end.
#![expect(clippy::panic, reason = "one of the tools panics as no plugin can")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use host_loader::{ToolCaller, ToolFacet, ToolProvider};
use host_tools::{
    Answer, Caller, Client, Context, Listener, LogLevel, Map, Notifier, Owner, PluginTools,
    Settings, ToolError, ToolOutcome, ToolRegistry,
};
use plugin_api::{Error, ErrorKind};
use serde_json::{Value, json};

/// A plugin whose tools do what their name says.
#[derive(Debug, Default)]
struct Obedient {
    version: AtomicU64,
    /// Told when a call has seen that nobody waits.
    stopped: Mutex<Option<mpsc::SyncSender<()>>>,
}

const TOOLS: [&str; 8] = ["ask", "change", "fail", "more", "need", "panic", "refuse", "wait"];

impl ToolFacet for Obedient {
    fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    fn list(&self) -> Result<Vec<u8>, Error> {
        let schema = json!({"type": "object", "properties": {"text": {"type": "string"}}});
        let tool = |name: &&str| {
            let needs = if *name == "need" { vec!["sampling"] } else { vec![] };
            json!({"name": name, "description": name, "inputSchema": schema, "clientNeeds": needs})
        };
        let mut tools: Vec<Value> = TOOLS.iter().map(tool).collect();
        if self.version() > 0 {
            tools.push(tool(&"new"));
        }
        tools.extend([json!({"name": "bare"}), tool(&"other__tool")]);
        let offer = json!({
            "tools": tools,
            "prompts": [{"name": "greet", "arguments": [{"name": "whom", "required": true}]}],
            "resources": [{"uri": "own://one", "name": "one"}],
            "resourceTemplates": [{"uriTemplate": "own://all/{id}", "name": "all"}],
        });
        Ok(offer.to_string().into_bytes())
    }

    fn call(&self, request: &str, caller: &dyn ToolCaller) -> Result<Vec<u8>, Error> {
        let request: Value = serde_json::from_str(request).expect("the host writes JSON");
        let name = request["name"].as_str().unwrap_or_default();
        let result = match (request["kind"].as_str().unwrap_or_default(), name) {
            ("tool", "ask") => caller.ask("roots/list", json!({}))?,
            ("tool", "change") => {
                self.version.fetch_add(1, Ordering::Relaxed);
                json!({"content": []})
            }
            ("tool", "fail") => return Err(Error::failed("the disk is full")),
            ("tool", "more") if request["input"].is_null() => {
                json!({"resultType": "input_required", "inputRequests": {"a": {}}})
            }
            ("tool", "need" | "more") => json!({"content": [], "structuredContent": request}),
            ("tool", "panic") => panic!("no plugin gets here"),
            ("tool", "refuse") => return Err(Error::invalid("that is no request")),
            ("tool", "wait") => {
                caller.progress(1.0, None, Some("waiting"));
                caller.log(LogLevel::Info, json!("waiting"));
                let (_open, never) = mpsc::sync_channel::<()>(0);
                while !caller.is_cancelled() {
                    let _timeout = never.recv_timeout(Duration::from_millis(1));
                }
                let stopped = self.stopped.lock().expect("nobody panics").take();
                stopped.expect("a test waits").send(()).expect("it waits still");
                json!({"content": []})
            }
            ("resource", _) if request["uri"] == "own://all/none" => {
                return Err(Error::new(ErrorKind::NotFound, "no such thing"));
            }
            _ => json!({"asked": request}),
        };
        Ok(result.to_string().into_bytes())
    }
}

struct Desk {
    registry: ToolRegistry,
    tools: Arc<PluginTools>,
    plugin: Arc<Obedient>,
}

fn provider(plugin: &str, facet: &Arc<Obedient>) -> Arc<ToolProvider> {
    Arc::new(ToolProvider::new(plugin, "tools", Arc::<Obedient>::clone(facet)))
}

fn desk() -> Desk {
    let (tools, plugin) = (Arc::<PluginTools>::default(), Arc::<Obedient>::default());
    tools.replace([provider("obedient", &plugin)].into_iter());
    let registry = ToolRegistry::new(Settings::default());
    registry.add(Arc::<PluginTools>::clone(&tools));
    Desk { registry, tools, plugin }
}

impl Desk {
    fn names(&self) -> Vec<String> {
        let catalog = self.registry.list(&Caller::everything("test"));
        catalog.tools.iter().map(|tool| tool.name.clone()).collect()
    }

    async fn call(&self, name: &str, context: Context) -> Result<ToolOutcome, ToolError> {
        self.registry.call_tool(name, Map::new(), context).await
    }
}

fn context() -> Context {
    Context::new(Caller::everything("test"))
}

#[tokio::test]
async fn what_a_plugin_offers_is_on_the_list_and_goes_with_it() {
    let desk = desk();
    assert_eq!(desk.names(), TOOLS);
    let catalog = desk.registry.list(&Caller::everything("test"));
    assert!(catalog.tools.iter().all(|tool| tool.owner == Owner::Plugin("obedient".into())));
    assert_eq!(catalog.prompts[0].arguments[0].name, "whom");
    assert_eq!(catalog.resource_templates[0].uri_template, "own://all/{id}");
    let both = ["obedient", "twin"].map(|plugin| provider(plugin, &desk.plugin));
    desk.tools.replace(both.into_iter());
    assert_eq!(desk.names(), [""; 0], "a name that two claim is offered by neither");
    assert!(desk.registry.problems()[0].contains("obedient, twin"));
    desk.tools.replace(std::iter::empty());
    let gone = desk.call("fail", context()).await;
    assert_eq!(gone, Err(ToolError::unknown("tool", "fail")));
}

#[tokio::test]
async fn an_offer_that_changed_is_seen_after_the_call() {
    let desk = desk();
    desk.call("change", context()).await.expect("a result");
    assert_eq!(desk.names().len(), TOOLS.len() + 1);
    assert!(desk.names().contains(&"new".to_owned()));
}

#[tokio::test]
async fn failures_are_told_apart() {
    let desk = desk();
    let failed = desk.call("fail", context()).await.expect_err("it fails");
    assert_eq!(failed.to_string(), "plugin obedient failed: the disk is full");
    let refused = desk.call("refuse", context()).await.expect_err("it refuses");
    let ToolError::Protocol { code, message, .. } = refused else { panic!("{refused}") };
    assert_eq!((code, message.as_str()), (-32602, "obedient: that is no request"));
    let missing = desk.call("need", context()).await.expect_err("it needs more");
    assert_eq!(missing, ToolError::MissingCapability("sampling".to_owned()));
    let alone = desk.call("ask", context()).await.expect_err("nobody can be asked");
    assert!(alone.to_string().contains("cannot be asked while its request runs"), "{alone}");
    let broken = desk.call("panic", context()).await.expect_err("a fault of the host");
    assert!(broken.to_string().contains("the host panicked"), "{broken}");
    let read = desk.registry.read_resource("own://all/none", context()).await;
    assert_eq!(read, Err(ToolError::unknown("resource", "own://all/none")));
}

#[tokio::test]
async fn requests_arrive_with_all_that_came_with_them() {
    let desk = desk();
    let wanted = desk.call("more", context()).await.expect("no result yet");
    assert_eq!(wanted.input_required.expect("more is wanted")["inputRequests"], json!({"a": {}}));
    let input = json!({"inputResponses": {"a": 1}, "requestState": "s"});
    let capabilities = Map::from_iter([("sampling".to_owned(), json!({}))]);
    let again = Context { input: Some(input.clone()), capabilities, ..context() };
    let asked = desk.call("need", again).await.expect("a result").structured.expect("it repeats");
    assert_eq!((&asked["input"], &asked["can_ask"]), (&input, &json!(false)));
    assert_eq!(asked["capabilities"], json!({"sampling": {}}));
    let read = desk.registry.read_resource("own://all/1", context()).await.expect("it is there");
    assert_eq!(
        (&read["asked"]["kind"], &read["asked"]["uri"]),
        (&json!("resource"), &json!("own://all/1"))
    );
    let whom = Map::from_iter([("whom".to_owned(), json!("you"))]);
    let filled = desk.registry.prompt("greet", whom, context()).await.expect("it is there");
    assert_eq!(filled["asked"]["arguments"], json!({"whom": "you"}));
    let params = json!({"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {}});
    let completed = desk.registry.complete(params.clone(), context()).await.expect("it is there");
    assert_eq!(completed["asked"]["params"], params);
}

/// Writes down what it hears.
#[derive(Default)]
struct Heard(Mutex<Vec<Value>>);

impl Listener for Heard {
    fn progress(&self, value: f64, total: Option<f64>, message: Option<&str>) {
        self.0.lock().expect("nobody panics").push(json!([value, total, message]));
    }

    fn log(&self, level: LogLevel, data: Value) {
        self.0.lock().expect("nobody panics").push(json!([level as u8, data]));
    }
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_ends_at_once_and_its_tool_learns_it() {
    let desk = desk();
    let (stopped, seen) = mpsc::sync_channel(1);
    *desk.plugin.stopped.lock().expect("nobody panics") = Some(stopped);
    let heard = Arc::<Heard>::default();
    let notifier = Notifier::new(Arc::<Heard>::clone(&heard));
    let asked = Context { notifier, ..context() };
    let cancel = asked.cancel.clone();
    let call = desk.call("wait", asked);
    let hang_up = async {
        while heard.0.lock().expect("nobody panics").len() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        cancel.cancel();
    };
    let (ended, ()) = tokio::join!(call, hang_up);
    assert_eq!(ended, Err(ToolError::Cancelled));
    seen.recv_timeout(Duration::from_secs(60)).expect("the tool stops");
    let told = heard.0.lock().expect("nobody panics").clone();
    assert_eq!(told, [json!([1.0, null, "waiting"]), json!([1, "waiting"])]);
}

/// A client that says what it was asked.
#[derive(Debug)]
struct Echo;

impl Client for Echo {
    fn ask<'a>(&'a self, method: &'a str, params: Value) -> Answer<'a, Value> {
        let said = json!({"content": [{"method": method, "params": params}]});
        Box::pin(std::future::ready(Ok(said)))
    }
}

#[tokio::test]
async fn a_client_with_a_session_is_asked() {
    let asked = Context { client: Some(Arc::new(Echo)), ..context() };
    let outcome = desk().call("ask", asked).await.expect("a result");
    assert_eq!(outcome.content, [json!({"method": "roots/list", "params": {}})]);
}
