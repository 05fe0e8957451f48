//! The figures of tools: calls, how long they take, and the servers that were joined.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::model::Buckets;

/// Upper bounds in seconds for a call: 0.5 ms to 2 min.
const CALL_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 30.0, 120.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    server: String,
    tool: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServerLabel {
    server: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    server: String,
    state: &'static str,
}

/// The figures of tools; clones share them. Names of tools and servers come from lists that the
/// host accepted, never from a request.
#[derive(Debug, Clone)]
pub struct ToolMetrics(Arc<Families>);

#[derive(Debug)]
struct Families {
    calls: Family<CallLabels, Counter>,
    call_duration: Family<ServerLabel, Histogram, Buckets>,
    server_state: Family<StateLabels, Gauge>,
    restarts: Family<ServerLabel, Counter>,
    tool_changes: Family<ServerLabel, Counter>,
}

impl ToolMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let calls = Family::default();
        registry.register("mcp_calls", "Calls of tools by how they ended", Family::clone(&calls));
        let call_duration = Family::new_with_constructor(Buckets(&CALL_BUCKETS));
        let help = "Time from a call of a tool to its result";
        registry.register("mcp_call_duration_seconds", help, call_duration.clone());
        let server_state = Family::default();
        let help = "Whether a joined server is in a state";
        registry.register("mcp_server_state", help, Family::clone(&server_state));
        let restarts = Family::default();
        let help = "Starts of a joined server after its first";
        registry.register("mcp_server_restarts", help, Family::clone(&restarts));
        let tool_changes = Family::default();
        let help = "Tools of a joined server that are not what they were when they were accepted";
        registry.register("mcp_tool_changes", help, Family::clone(&tool_changes));
        Self(Arc::new(Families { calls, call_duration, server_state, restarts, tool_changes }))
    }

    /// Counts a call that has ended; `tool` is the name on the host's own list.
    pub fn record_call(&self, server: &str, tool: &str, outcome: &'static str, took: Duration) {
        let (server, tool) = (server.to_owned(), tool.to_owned());
        let label = ServerLabel { server: server.clone() };
        self.0.calls.get_or_create(&CallLabels { server, tool, outcome }).inc();
        self.0.call_duration.get_or_create(&label).observe(took.as_secs_f64());
    }

    /// Shows the state of a joined server, which is one of `states`.
    pub fn set_server_state<const N: usize>(
        &self,
        server: &str,
        state: &'static str,
        states: [&'static str; N],
    ) {
        for other in states {
            let labels = StateLabels { server: server.to_owned(), state: other };
            self.0.server_state.get_or_create(&labels).set(i64::from(other == state));
        }
    }

    /// Counts a further start of a joined server.
    pub fn count_restart(&self, server: &str) {
        self.0.restarts.get_or_create(&ServerLabel { server: server.to_owned() }).inc();
    }

    /// Counts a tool that changed.
    pub fn count_tool_change(&self, server: &str) {
        self.0.tool_changes.get_or_create(&ServerLabel { server: server.to_owned() }).inc();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::Metrics;

    #[test]
    fn calls_and_servers_are_on_the_page() {
        let metrics = Metrics::new();
        let tools = metrics.tools();
        tools.record_call("alpha", "alpha__echo", "ok", Duration::from_millis(2));
        tools.set_server_state("alpha", "starting", ["starting", "ready"]);
        tools.set_server_state("alpha", "ready", ["starting", "ready"]);
        tools.count_restart("alpha");
        tools.count_tool_change("alpha");
        let page = metrics.encode();
        for line in [
            "mcp_calls_total{server=\"alpha\",tool=\"alpha__echo\",outcome=\"ok\"} 1",
            "mcp_call_duration_seconds_bucket{le=\"0.0025\",server=\"alpha\"} 1",
            "mcp_server_state{server=\"alpha\",state=\"ready\"} 1",
            "mcp_server_state{server=\"alpha\",state=\"starting\"} 0",
            "mcp_server_restarts_total{server=\"alpha\"} 1",
            "mcp_tool_changes_total{server=\"alpha\"} 1",
        ] {
            assert!(page.contains(line), "{line} in {page}");
        }
    }
}
