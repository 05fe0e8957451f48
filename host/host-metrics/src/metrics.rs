//! All metrics of a host, and the page that a monitor reads.
//!
//! A value and not a global: tests run many hosts in one process, and each has its own page. It
//! must not fail or block a request, so nothing here returns an error.

use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::labels::{PluginLabel, PluginState, ReasonLabel, RequestLabels, StateLabel};
use crate::locks::{Lock, LockCollector, LockMetrics, Locks};
use crate::mcp::McpMetrics;
use crate::model::{ModelFamilies, ModelMetrics};
use crate::tools::ToolMetrics;

/// Content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of a host; clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    locks: Option<Arc<Locks>>,
    models: ModelFamilies,
    tools: ToolMetrics,
    requests: Family<RequestLabels, Counter>,
    requests_rejected: Family<ReasonLabel, Counter>,
    plugin_faults: Family<PluginLabel, Counter>,
    plugins: Family<StateLabel, Gauge>,
    mcp: McpMetrics,
}

impl Metrics {
    /// Metrics that all stand at zero.
    pub fn new() -> Self {
        Self::with(Some(Arc::default()))
    }

    /// The same, and locks are not counted.
    pub fn without_locks() -> Self {
        Self::with(None)
    }

    fn with(locks: Option<Arc<Locks>>) -> Self {
        let mut registry = Registry::default();
        if let Some(locks) = locks.as_ref().filter(|_| cfg!(feature = "lock-metrics")) {
            registry.register_collector(Box::new(LockCollector(Arc::clone(locks))));
        }
        let models = ModelFamilies::register(&mut registry);
        let tools = ToolMetrics::register(&mut registry);
        // The encoder adds `_total` to the names of counters.
        let requests = Family::default();
        registry.register("host_requests", "Requests answered", Family::clone(&requests));
        let requests_rejected = Family::default();
        let help = "Requests refused before they ran";
        registry.register("host_requests_rejected", help, Family::clone(&requests_rejected));
        let plugin_faults = Family::default();
        let help = "Errors and caught panics of plugins while they served";
        registry.register("host_plugin_faults", help, Family::clone(&plugin_faults));
        let plugins = Family::default();
        let help = "Files of the plugin folder by what became of them";
        registry.register("host_plugins", help, Family::clone(&plugins));
        let mcp = McpMetrics::register(&mut registry);
        let inner = Inner {
            registry,
            locks,
            models,
            tools,
            requests,
            requests_rejected,
            plugin_faults,
            plugins,
            mcp,
        };
        let metrics = Self { inner: Arc::new(inner) };
        for state in PluginState::ALL {
            metrics.set_plugins(state, 0);
        }
        metrics
    }

    /// The series of a loaded model; equal names share them.
    pub fn model(&self, name: &str) -> ModelMetrics {
        self.inner.models.model(name)
    }

    /// The figures of tools and joined servers.
    pub fn tools(&self) -> ToolMetrics {
        self.inner.tools.clone()
    }

    /// The figures of the MCP surface.
    pub fn mcp(&self) -> McpMetrics {
        self.inner.mcp.clone()
    }

    /// Where locks of this name are counted.
    pub fn lock(&self, lock: Lock) -> LockMetrics {
        LockMetrics::new(self.inner.locks.clone(), lock)
    }

    /// Counts an answered request. `route` is the route's pattern, never the path a client sent.
    pub fn count_request(&self, route: &'static str, status: u16) {
        let labels = RequestLabels { route, status: u32::from(status) };
        self.inner.requests.get_or_create(&labels).inc();
    }

    /// Counts a request refused before it ran.
    pub fn count_rejected(&self, reason: &'static str) {
        self.inner.requests_rejected.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts an error or a caught panic of a plugin.
    pub fn count_plugin_fault(&self, plugin: &str) {
        let label = PluginLabel { plugin: plugin.to_owned() };
        self.inner.plugin_faults.get_or_create(&label).inc();
    }

    /// Shows how many plugins are in a state.
    pub fn set_plugins(&self, state: PluginState, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.inner.plugins.get_or_create(&state.label()).set(count);
    }

    /// The page, OpenMetrics text, which Prometheus reads too.
    pub fn encode(&self) -> String {
        let mut page = String::new();
        encode(&mut page, &self.inner.registry).expect("writing to a string cannot fail");
        page
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::{Duration, Instant};

    use super::Metrics;
    use crate::labels::PluginState;
    use crate::model::{CacheShape, Finish, Occupancy};
    use crate::steps::StepFigures;

    /// A metrics page read back: type of each family, value of each series.
    struct Page {
        types: BTreeMap<String, String>,
        series: BTreeMap<String, f64>,
    }

    /// Reads a page, strictly: each line is a comment of a known kind or a series of the family
    /// announced last, each family and each series stands there once, and the end is marked.
    fn parse(page: &str) -> Page {
        let mut types = BTreeMap::new();
        let mut series = BTreeMap::new();
        let mut helped = BTreeSet::new();
        let mut family = String::new();
        let body = page.strip_suffix("# EOF\n").expect("the page is complete");
        for line in body.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, text) = help.split_once(' ').expect("a name and a text");
                assert!(helped.insert(name.to_owned()), "{name} is described twice");
                assert!(text.ends_with('.') && text.len() > 10, "{line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a name and a type");
                family = name.to_owned();
                assert!(types.insert(family.clone(), kind.to_owned()).is_none(), "{name} twice");
            } else {
                let (key, value) = line.rsplit_once(' ').expect("a series and a value");
                let name = key.split('{').next().expect("a series has a name");
                let suffix = name.strip_prefix(&family).expect("a series of its family");
                let known = match types[&family].as_str() {
                    "gauge" => [""].as_slice(),
                    "counter" => &["_total"],
                    "histogram" => &["_bucket", "_sum", "_count"],
                    other => unreachable!("no family has the type {other}"),
                };
                assert!(known.contains(&suffix), "{line}");
                let value = value.parse().expect("a number");
                assert!(series.insert(key.to_owned(), value).is_none(), "{key} twice");
            }
        }
        assert_eq!(helped, types.keys().cloned().collect());
        Page { types, series }
    }

    /// Metrics with every family in use.
    fn busy() -> Metrics {
        let metrics = Metrics::new();
        let model = metrics.model("tiny");
        model.set_occupancy(Occupancy {
            waiting: 3,
            running: 2,
            kv_blocks_used: 17,
            kv_blocks_cached: 5,
            kv_blocks_total: 64,
        });
        let figures = StepFigures {
            preemptions: 1,
            restarts: 2,
            prefix_queries: 80,
            prefix_hits: 64,
            draft_tokens: 9,
            accepted_tokens: 7,
        };
        model.record_step(Duration::from_millis(3), figures);
        model.record_step(Duration::from_millis(30), StepFigures::default());
        model.add_prompt_tokens(11);
        model.add_completion_tokens(5);
        model.observe_time_to_first_token(Duration::from_millis(40));
        model.observe_time_per_output_token(Duration::from_millis(4));
        model.observe_inter_token_latency(Duration::from_millis(8));
        model.set_cache(CacheShape { block_size: 32, prefix_cache: true });
        model.count_finished(Finish::Stop);
        model.count_finished(Finish::Stop);
        model.count_finished(Finish::Abort);
        model.observe_request_duration(Duration::from_secs(2));
        metrics.count_request("/v1/completions", 200);
        metrics.count_request("/v1/completions", 200);
        metrics.count_request("/v1/completions", 429);
        metrics.count_rejected("queue_full");
        metrics.count_plugin_fault("cpu");
        metrics.set_plugins(PluginState::Loaded, 5);
        let tools = metrics.tools();
        tools.record_call("alpha", "alpha__echo", "ok", Duration::from_millis(2));
        tools.set_server_state("alpha", "ready", ["starting", "ready"]);
        tools.count_restart("alpha");
        tools.count_tool_change("alpha");
        let mcp = metrics.mcp();
        mcp.count_request("tools/call", 200);
        mcp.count_error("unknown", "tools/call");
        mcp.set_sessions(2);
        mcp.answer_started("tools/call", Instant::now()).add_bytes(7);
        metrics
    }

    #[track_caller]
    fn check(metrics: &Metrics, series: &str, value: f64) {
        let page = parse(&metrics.encode());
        assert_eq!(page.series.get(series), Some(&value), "{series} in {:#?}", page.series);
    }

    #[test]
    fn the_page_parses_and_carries_each_name_once() {
        let types = parse(&busy().encode()).types;
        let of = |kind: &str| -> Vec<&str> {
            types.iter().filter(|(_, of)| *of == kind).map(|(name, _)| name.as_str()).collect()
        };
        let counters = [
            "host_answers",
            "host_completion_tokens",
            "host_draft_tokens",
            "host_draft_tokens_accepted",
            "host_lock_contended",
            "host_plugin_faults",
            "host_preemptions",
            "host_prefix_cache_hits",
            "host_prefix_cache_queries",
            "host_prompt_tokens",
            "host_requests",
            "host_requests_rejected",
            "host_restarts",
            "host_steps",
            "http_mcp_errors",
            "http_mcp_requests",
            "http_mcp_stream_bytes_sent",
            "mcp_calls",
            "mcp_server_restarts",
            "mcp_tool_changes",
            "vllm:generation_tokens",
            "vllm:num_preemptions",
            "vllm:prefix_cache_hits",
            "vllm:prefix_cache_queries",
            "vllm:prompt_tokens",
            "vllm:request_success",
        ];
        assert_eq!(of("counter"), counters);
        let gauges = [
            "host_kv_blocks_cached",
            "host_kv_blocks_total",
            "host_kv_blocks_used",
            "host_plugins",
            "host_requests_in_flight",
            "host_requests_waiting",
            "host_sequences_running",
            "http_mcp_active_connections",
            "http_mcp_sessions",
            "mcp_server_state",
            "vllm:cache_config_info",
            "vllm:kv_cache_usage_perc",
            "vllm:num_requests_running",
            "vllm:num_requests_waiting",
        ];
        assert_eq!(of("gauge"), gauges);
        let histograms = [
            "gen_ai_server_request_duration_seconds",
            "gen_ai_server_time_per_output_token_seconds",
            "gen_ai_server_time_to_first_token_seconds",
            "host_inter_token_latency_seconds",
            "host_lock_wait_seconds",
            "host_step_duration_seconds",
            "http_mcp_request_duration_seconds",
            "mcp_call_duration_seconds",
            "vllm:e2e_request_latency_seconds",
            "vllm:inter_token_latency_seconds",
            "vllm:request_time_per_output_token_seconds",
            "vllm:time_to_first_token_seconds",
        ];
        assert_eq!(of("histogram"), histograms);
        assert_eq!(types.len(), counters.len() + gauges.len() + histograms.len());
    }

    #[test]
    fn series_hold_what_was_recorded() {
        let metrics = busy();
        check(&metrics, r#"host_requests_waiting{model="tiny"}"#, 3.0);
        check(&metrics, r#"host_sequences_running{model="tiny"}"#, 2.0);
        check(&metrics, r#"host_kv_blocks_used{model="tiny"}"#, 17.0);
        check(&metrics, r#"host_kv_blocks_cached{model="tiny"}"#, 5.0);
        check(&metrics, r#"host_kv_blocks_total{model="tiny"}"#, 64.0);
        check(&metrics, r#"host_steps_total{model="tiny"}"#, 2.0);
        check(&metrics, r#"host_preemptions_total{model="tiny"}"#, 1.0);
        check(&metrics, r#"host_restarts_total{model="tiny"}"#, 2.0);
        check(&metrics, r#"host_prefix_cache_queries_total{model="tiny"}"#, 80.0);
        check(&metrics, r#"host_prefix_cache_hits_total{model="tiny"}"#, 64.0);
        check(&metrics, r#"host_draft_tokens_total{model="tiny"}"#, 9.0);
        check(&metrics, r#"host_draft_tokens_accepted_total{model="tiny"}"#, 7.0);
        check(&metrics, r#"host_prompt_tokens_total{model="tiny"}"#, 11.0);
        check(&metrics, r#"host_completion_tokens_total{model="tiny"}"#, 5.0);
        let requests =
            |status| format!(r#"host_requests_total{{route="/v1/completions",status="{status}"}}"#);
        check(&metrics, &requests(200), 2.0);
        check(&metrics, &requests(429), 1.0);
        check(&metrics, r#"host_requests_rejected_total{reason="queue_full"}"#, 1.0);
        check(&metrics, r#"host_plugin_faults_total{plugin="cpu"}"#, 1.0);
        check(&metrics, r#"host_plugins{state="loaded"}"#, 5.0);
        check(&metrics, r#"host_plugins{state="refused"}"#, 0.0);
        check(&metrics, r#"host_plugins{state="quarantined"}"#, 0.0);
        check(&metrics, r#"http_mcp_requests_total{method="tools/call",status="200"}"#, 1.0);
        check(&metrics, r#"http_mcp_errors_total{type="unknown",method="tools/call"}"#, 1.0);
        check(&metrics, "http_mcp_sessions", 2.0);
        check(&metrics, "http_mcp_active_connections", 0.0);
        check(&metrics, "http_mcp_stream_bytes_sent_total", 7.0);
        let duration = r#"http_mcp_request_duration_seconds_count{method="tools/call"}"#;
        check(&metrics, duration, 1.0);
    }

    #[test]
    fn the_same_is_there_under_the_names_of_vllm() {
        let metrics = busy();
        let model = |name: &str| format!(r#"vllm:{name}{{model_name="tiny"}}"#);
        check(&metrics, &model("num_requests_running"), 2.0);
        check(&metrics, &model("num_requests_waiting"), 3.0);
        check(&metrics, &model("kv_cache_usage_perc"), 17.0 / 64.0);
        check(&metrics, &model("prompt_tokens_total"), 11.0);
        check(&metrics, &model("generation_tokens_total"), 5.0);
        check(&metrics, &model("prefix_cache_queries_total"), 80.0);
        check(&metrics, &model("prefix_cache_hits_total"), 64.0);
        check(&metrics, &model("num_preemptions_total"), 1.0);
        check(&metrics, &model("time_to_first_token_seconds_count"), 1.0);
        check(&metrics, &model("inter_token_latency_seconds_sum"), 0.008);
        check(&metrics, &model("e2e_request_latency_seconds_sum"), 2.0);
        for (reason, count) in [("stop", 2.0), ("length", 0.0), ("abort", 1.0)] {
            let labels = format!(r#"{{model_name="tiny",finished_reason="{reason}"}}"#);
            check(&metrics, &format!("vllm:request_success_total{labels}"), count);
            let labels = format!(r#"{{model="tiny",reason="{reason}"}}"#);
            check(&metrics, &format!("host_answers_total{labels}"), count);
        }
        let labels = r#"{model_name="tiny",block_size="32",num_gpu_blocks="64",enable_prefix_caching="True"}"#;
        check(&metrics, &format!("vllm:cache_config_info{labels}"), 1.0);
        // A model that comes again goes on where it was.
        metrics.model("tiny").add_prompt_tokens(1);
        check(&metrics, &model("prompt_tokens_total"), 12.0);
    }

    #[test]
    fn histograms_count_into_their_buckets() {
        let metrics = busy();
        let step = |le| format!(r#"host_step_duration_seconds_bucket{{le="{le}",model="tiny"}}"#);
        check(&metrics, &step("0.002"), 0.0);
        check(&metrics, &step("0.005"), 1.0);
        check(&metrics, &step("0.035"), 2.0);
        check(&metrics, &step("+Inf"), 2.0);
        check(&metrics, r#"host_step_duration_seconds_count{model="tiny"}"#, 2.0);
        let first = r#"gen_ai_server_time_to_first_token_seconds_sum{model="tiny"}"#;
        check(&metrics, first, 0.04);
        let token = r#"gen_ai_server_time_per_output_token_seconds_sum{model="tiny"}"#;
        check(&metrics, token, 0.004);
        let request = r#"gen_ai_server_request_duration_seconds_sum{model="tiny"}"#;
        check(&metrics, request, 2.0);
    }

    #[test]
    fn every_histogram_ends_with_a_bucket_of_all() {
        let page = busy().encode();
        let series = |is: fn(&str) -> bool| page.lines().filter(|line| is(line)).count();
        let histograms =
            series(|line| line.split('{').next().is_some_and(|it| it.ends_with("_count")));
        assert!(histograms >= 12, "{histograms} in\n{page}");
        assert_eq!(series(|line| line.contains("le=\"+Inf\"")), histograms, "{page}");
    }

    #[test]
    fn requests_in_flight_fall_when_the_guard_is_dropped() {
        let metrics = Metrics::new();
        let series = r#"host_requests_in_flight{model="tiny"}"#;
        let model = metrics.model("tiny");
        check(&metrics, series, 0.0);
        let first = model.request_started();
        let second = metrics.model("tiny").request_started();
        check(&metrics, series, 2.0);
        drop(first);
        check(&metrics, series, 1.0);
        drop(second);
        check(&metrics, series, 0.0);
    }

    #[test]
    fn clones_share_a_page_and_values_do_not() {
        let metrics = Metrics::new();
        metrics.clone().count_rejected("queue_full");
        check(&metrics, r#"host_requests_rejected_total{reason="queue_full"}"#, 1.0);
        assert!(!Metrics::new().encode().contains("queue_full"));
    }

    #[test]
    fn names_are_escaped_in_labels() {
        let metrics = Metrics::new();
        metrics.count_plugin_fault("a\"b\\c\nd");
        check(&metrics, r#"host_plugin_faults_total{plugin="a\"b\\c\nd"}"#, 1.0);
    }
}
