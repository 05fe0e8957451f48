//! The figures of one model: handles that its engine thread and its requests hold.
//!
//! They are looked up once, when the model is loaded, because a step of a small model takes less
//! than a millisecond and should not search a map for each figure. Series of a model exist from
//! then on, with zeros, so that a rate can be computed from its first request.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::labels::{ModelLabel, model_family};
use crate::steps::{StepCounters, StepFamilies, StepFigures};

/// Upper bounds in seconds for one step or one token: 0.5 ms to 10 s.
const TOKEN_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0];

/// Upper bounds in seconds for the first token: 1 ms to 2 min of queue and prefill.
const FIRST_TOKEN_BUCKETS: [f64; 14] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 45.0, 120.0];

/// Upper bounds in seconds for a whole request: 10 ms to 10 min.
const REQUEST_BUCKETS: [f64; 14] =
    [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];

type Histograms = Family<ModelLabel, Histogram, Buckets>;

/// Makes the histograms of a family with the same bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// The families that carry the label `model`.
#[derive(Debug)]
pub(crate) struct ModelFamilies {
    requests_in_flight: Family<ModelLabel, Gauge>,
    requests_waiting: Family<ModelLabel, Gauge>,
    sequences_running: Family<ModelLabel, Gauge>,
    kv_blocks_used: Family<ModelLabel, Gauge>,
    kv_blocks_cached: Family<ModelLabel, Gauge>,
    kv_blocks_total: Family<ModelLabel, Gauge>,
    prompt_tokens: Family<ModelLabel, Counter>,
    completion_tokens: Family<ModelLabel, Counter>,
    steps: StepFamilies,
    step_duration: Histograms,
    time_to_first_token: Histograms,
    time_per_output_token: Histograms,
    request_duration: Histograms,
}

impl ModelFamilies {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let mut gauge = |name: &str, help: &str| model_family(registry, name, help);
        let requests_in_flight =
            gauge("host_requests_in_flight", "Requests taken and not yet answered in full");
        let requests_waiting =
            gauge("host_requests_waiting", "Sequences that wait for a place or for KV blocks");
        let sequences_running = gauge("host_sequences_running", "Sequences that hold KV blocks");
        let kv_blocks_used = gauge("host_kv_blocks_used", "KV blocks that sequences hold");
        let help = "KV blocks that no sequence holds and whose content is kept";
        let kv_blocks_cached = gauge("host_kv_blocks_cached", help);
        let kv_blocks_total = gauge("host_kv_blocks_total", "KV blocks in all");
        let mut counter = |name: &str, help: &str| model_family(registry, name, help);
        let prompt_tokens = counter("host_prompt_tokens", "Prompt tokens of requests");
        let completion_tokens = counter("host_completion_tokens", "Tokens generated");
        let steps = StepFamilies::register(registry);
        let mut histogram = |name: &str, help: &str, buckets: &'static [f64]| {
            let family = Histograms::new_with_constructor(Buckets(buckets));
            registry.register(name, help, family.clone());
            family
        };
        Self {
            requests_in_flight,
            requests_waiting,
            sequences_running,
            kv_blocks_used,
            kv_blocks_cached,
            kv_blocks_total,
            prompt_tokens,
            completion_tokens,
            steps,
            step_duration: histogram(
                "host_step_duration_seconds",
                "Time of one step of the engine",
                &TOKEN_BUCKETS,
            ),
            time_to_first_token: histogram(
                "gen_ai_server_time_to_first_token_seconds",
                "Time from a request to its first token",
                &FIRST_TOKEN_BUCKETS,
            ),
            time_per_output_token: histogram(
                "gen_ai_server_time_per_output_token_seconds",
                "Mean time per token of a request after its first",
                &TOKEN_BUCKETS,
            ),
            request_duration: histogram(
                "gen_ai_server_request_duration_seconds",
                "Time from a request to the end of its answer",
                &REQUEST_BUCKETS,
            ),
        }
    }

    pub(crate) fn model(&self, name: &str) -> ModelMetrics {
        let label = ModelLabel { model: name.to_owned() };
        ModelMetrics {
            requests_in_flight: self.requests_in_flight.get_or_create_owned(&label),
            requests_waiting: self.requests_waiting.get_or_create_owned(&label),
            sequences_running: self.sequences_running.get_or_create_owned(&label),
            kv_blocks_used: self.kv_blocks_used.get_or_create_owned(&label),
            kv_blocks_cached: self.kv_blocks_cached.get_or_create_owned(&label),
            kv_blocks_total: self.kv_blocks_total.get_or_create_owned(&label),
            prompt_tokens: self.prompt_tokens.get_or_create_owned(&label),
            completion_tokens: self.completion_tokens.get_or_create_owned(&label),
            steps: self.steps.model(&label),
            step_duration: self.step_duration.get_or_create_owned(&label),
            time_to_first_token: self.time_to_first_token.get_or_create_owned(&label),
            time_per_output_token: self.time_per_output_token.get_or_create_owned(&label),
            request_duration: self.request_duration.get_or_create_owned(&label),
        }
    }
}

/// How full an engine is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// Sequences that hold no KV blocks yet.
    pub waiting: usize,
    /// Sequences that hold KV blocks.
    pub running: usize,
    /// KV blocks that sequences hold.
    pub kv_blocks_used: usize,
    /// KV blocks that no sequence holds and whose content is kept.
    pub kv_blocks_cached: usize,
    /// KV blocks in all.
    pub kv_blocks_total: usize,
}

/// Handles to the series of one model; clones share them.
#[derive(Debug, Clone)]
pub struct ModelMetrics {
    requests_in_flight: Gauge,
    requests_waiting: Gauge,
    sequences_running: Gauge,
    kv_blocks_used: Gauge,
    kv_blocks_cached: Gauge,
    kv_blocks_total: Gauge,
    prompt_tokens: Counter<u64, AtomicU64>,
    completion_tokens: Counter<u64, AtomicU64>,
    steps: StepCounters,
    step_duration: Histogram,
    time_to_first_token: Histogram,
    time_per_output_token: Histogram,
    request_duration: Histogram,
}

impl ModelMetrics {
    /// Counts a request as in flight until the guard is dropped, however the request ends.
    pub fn request_started(&self) -> InFlight {
        self.requests_in_flight.inc();
        InFlight { gauge: self.requests_in_flight.clone() }
    }

    /// Shows how full the engine is now.
    pub fn set_occupancy(&self, occupancy: Occupancy) {
        let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.requests_waiting.set(signed(occupancy.waiting));
        self.sequences_running.set(signed(occupancy.running));
        self.kv_blocks_used.set(signed(occupancy.kv_blocks_used));
        self.kv_blocks_cached.set(signed(occupancy.kv_blocks_cached));
        self.kv_blocks_total.set(signed(occupancy.kv_blocks_total));
    }

    /// Counts a step of the engine.
    pub fn record_step(&self, duration: Duration, figures: StepFigures) {
        self.steps.record(figures);
        self.step_duration.observe(duration.as_secs_f64());
    }

    /// Counts the prompt tokens of a request.
    pub fn add_prompt_tokens(&self, count: usize) {
        self.prompt_tokens.inc_by(count as u64);
    }

    /// Counts generated tokens.
    pub fn add_completion_tokens(&self, count: usize) {
        self.completion_tokens.inc_by(count as u64);
    }

    /// Records the time from a request to its first token.
    pub fn observe_time_to_first_token(&self, duration: Duration) {
        self.time_to_first_token.observe(duration.as_secs_f64());
    }

    /// Records the mean time per token of a request, its first left out.
    pub fn observe_time_per_output_token(&self, duration: Duration) {
        self.time_per_output_token.observe(duration.as_secs_f64());
    }

    /// Records the time from a request to the end of its answer.
    pub fn observe_request_duration(&self, duration: Duration) {
        self.request_duration.observe(duration.as_secs_f64());
    }
}

/// A request in flight; dropping it takes the request off the gauge.
#[derive(Debug)]
pub struct InFlight {
    gauge: Gauge,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}
