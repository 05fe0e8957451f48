//! A registry with joined servers, and somebody who calls.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use host_metrics::Metrics;
use host_tools::config::{Config, Environment};
use host_tools::{
    Caller, Context, Joined, Listener, LogLevel, Notifier, ServerState, ServerStatus, Settings,
    ToolError, ToolOutcome, ToolRegistry,
};
use serde_json::{Value, json};

/// A slow machine may need this long for what takes milliseconds.
const LIMIT: Duration = Duration::from_secs(60);

/// A registry with joined servers.
pub(crate) struct Desk {
    pub(crate) registry: ToolRegistry,
    pub(crate) joined: Joined,
    pub(crate) metrics: Metrics,
}

impl Desk {
    /// Joins servers, each a name, the part that it plays and further fields of its entry.
    pub(crate) fn new(servers: &[(&str, &str, Value)]) -> Self {
        let program = support::fixture_server();
        let mut file = json!({"mcpServers": {}});
        for (name, part, fields) in servers {
            let mut entry = json!({"command": program, "args": [part]});
            for (key, value) in fields.as_object().expect("fields") {
                entry[key] = value.clone();
            }
            file["mcpServers"][name] = entry;
        }
        let nothing = |_: &str| None;
        let config = Config::parse(&file, &Environment(&nothing)).expect("servers");
        assert_eq!(config.broken, []);
        let metrics = Metrics::new();
        let settings = Settings { metrics: metrics.clone(), ..Settings::default() };
        let registry = ToolRegistry::new(settings);
        let joined = Joined::start(config, &registry);
        Self { registry, joined, metrics }
    }

    /// Joins one server and waits until it is ready.
    pub(crate) async fn with(part: &str, fields: Value) -> Self {
        let desk = Self::new(&[(part, part, fields)]);
        desk.ready(part).await;
        desk
    }

    pub(crate) fn status(&self, name: &str) -> ServerStatus {
        let mut all = self.joined.status().into_iter();
        all.find(|status| status.name == name).expect("it was joined")
    }

    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let reached = async {
            while !condition(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let reached = tokio::time::timeout(LIMIT, reached).await;
        assert!(reached.is_ok(), "{what}: {:#?}", self.joined.status());
    }

    pub(crate) async fn ready(&self, name: &str) {
        let is_ready = |desk: &Self| {
            desk.status(name).state == ServerState::Ready
                && desk.names().iter().any(|tool| tool.starts_with(name))
        };
        self.until("ready", is_ready).await;
    }

    /// The names on the list.
    pub(crate) fn names(&self) -> Vec<String> {
        let catalog = self.registry.list(&Caller::everything("test"));
        catalog.tools.iter().map(|tool| tool.name.clone()).collect()
    }

    pub(crate) async fn call(
        &self,
        tool: &str,
        arguments: Value,
    ) -> Result<ToolOutcome, ToolError> {
        self.call_with(tool, arguments, context()).await
    }

    pub(crate) async fn call_with(
        &self,
        tool: &str,
        arguments: Value,
        context: Context,
    ) -> Result<ToolOutcome, ToolError> {
        let arguments = serde_json::from_value(arguments).expect("an object");
        self.registry.call_tool(tool, arguments, context).await
    }

    /// The text of a call that succeeds.
    pub(crate) async fn text(&self, tool: &str, arguments: Value) -> String {
        let outcome = self.call(tool, arguments).await.expect("a result");
        assert!(!outcome.is_error, "{outcome:?}");
        outcome.content[0]["text"].as_str().expect("a text").to_owned()
    }
}

pub(crate) fn context() -> Context {
    Context::new(Caller::everything("test"))
}

/// Writes down the progress it hears.
#[derive(Default)]
pub(crate) struct Heard(pub(crate) Mutex<Vec<f64>>);

impl Heard {
    pub(crate) fn context() -> (Arc<Self>, Context) {
        let heard = Arc::new(Self::default());
        let notifier = Notifier::new(Arc::<Self>::clone(&heard));
        (heard, Context { notifier, ..context() })
    }

    pub(crate) fn values(&self) -> Vec<f64> {
        self.0.lock().expect("nobody panics").clone()
    }
}

impl Listener for Heard {
    fn progress(&self, value: f64, total: Option<f64>, _: Option<&str>) {
        assert!(total.is_none_or(|total| value <= total));
        self.0.lock().expect("nobody panics").push(value);
    }

    fn log(&self, _: LogLevel, _: Value) {}
}
