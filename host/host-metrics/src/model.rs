//! The figures of one model: handles that its engine thread and its requests hold.
//!
//! They are looked up once, when the model is loaded, because a step of a small model takes less
//! than a millisecond and should not search a map for each figure. Series of a model exist from
//! then on, with zeros, so that a rate can be computed from its first request.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::RwLock;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::labels::{FinishLabels, ModelLabel, model_family};
use crate::steps::{StepCounters, StepFamilies, StepFigures};
use crate::vllm::{KnownModels, VllmCollector};

/// Upper bounds in seconds for one step or one token: 0.5 ms to 10 s.
const TOKEN_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0];

/// Upper bounds in seconds for the first token: 1 ms to 2 min of queue and prefill.
const FIRST_TOKEN_BUCKETS: [f64; 14] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 45.0, 120.0];

/// Upper bounds in seconds for a whole request: 10 ms to 10 min.
pub(crate) const REQUEST_BUCKETS: [f64; 14] =
    [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];

type Histograms = Family<ModelLabel, Histogram, Buckets>;

/// Makes the histograms of a family with the same bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Buckets(pub(crate) &'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// The families that carry the label `model`.
#[derive(Debug)]
pub(crate) struct ModelFamilies {
    known: KnownModels,
    finished: Family<FinishLabels, Counter>,
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
    inter_token_latency: Histograms,
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
        let finished = Family::default();
        registry.register("host_answers", "Answers by why they ended", Family::clone(&finished));
        let known = KnownModels::default();
        registry.register_collector(Box::new(VllmCollector(KnownModels::clone(&known))));
        let mut histogram = |name: &str, help: &str, buckets: &'static [f64]| {
            let family = Histograms::new_with_constructor(Buckets(buckets));
            registry.register(name, help, family.clone());
            family
        };
        Self {
            known,
            finished,
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
            inter_token_latency: histogram(
                "host_inter_token_latency_seconds",
                "Time between two tokens of an answer",
                &TOKEN_BUCKETS,
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
        let finished = Finish::ALL.map(|finish| {
            let labels = FinishLabels { model: name.to_owned(), reason: finish.word() };
            self.finished.get_or_create_owned(&labels)
        });
        let model = ModelMetrics {
            finished,
            cache: Arc::default(),
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
            inter_token_latency: self.inter_token_latency.get_or_create_owned(&label),
            time_per_output_token: self.time_per_output_token.get_or_create_owned(&label),
            request_duration: self.request_duration.get_or_create_owned(&label),
        };
        let mut known = self.known.write();
        // A model that is loaded again goes on with the series it had.
        known.entry(name.to_owned()).or_insert(model).clone()
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

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It came to its end.
    Stop,
    /// It had all the tokens it may have.
    Length,
    /// Its reader left, or it failed.
    Abort,
}

impl Finish {
    pub(crate) const ALL: [Finish; 3] = [Finish::Stop, Finish::Length, Finish::Abort];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::Abort => "abort",
        }
    }
}

/// What a KV cache is like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheShape {
    /// Tokens of a block.
    pub block_size: usize,
    /// Whether sequences share what they begin with.
    pub prefix_cache: bool,
}

/// Handles to the series of one model; clones share them.
#[derive(Debug, Clone)]
pub struct ModelMetrics {
    finished: [Counter; Finish::ALL.len()],
    cache: Arc<RwLock<CacheShape>>,
    requests_in_flight: Gauge,
    pub(crate) requests_waiting: Gauge,
    pub(crate) sequences_running: Gauge,
    kv_blocks_used: Gauge,
    kv_blocks_cached: Gauge,
    kv_blocks_total: Gauge,
    pub(crate) prompt_tokens: Counter<u64, AtomicU64>,
    pub(crate) completion_tokens: Counter<u64, AtomicU64>,
    pub(crate) steps: StepCounters,
    step_duration: Histogram,
    pub(crate) time_to_first_token: Histogram,
    pub(crate) inter_token_latency: Histogram,
    pub(crate) time_per_output_token: Histogram,
    pub(crate) request_duration: Histogram,
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

    /// Shows what the KV cache is like.
    pub fn set_cache(&self, shape: CacheShape) {
        *self.cache.write() = shape;
    }

    /// Counts an answer that has ended.
    pub fn count_finished(&self, finish: Finish) {
        self.finished[finish as usize].inc();
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

    /// Records the time between two tokens of an answer.
    pub fn observe_inter_token_latency(&self, duration: Duration) {
        self.inter_token_latency.observe(duration.as_secs_f64());
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

/// What is shown under other names too.
impl ModelMetrics {
    pub(crate) fn finished(&self, finish: Finish) -> u64 {
        self.finished[finish as usize].get()
    }

    /// The share of KV blocks that sequences hold.
    pub(crate) fn kv_usage(&self) -> f64 {
        self.kv_blocks_used.get() as f64 / self.kv_blocks_total.get().max(1) as f64
    }

    /// Tokens of a KV block, and blocks.
    pub(crate) fn cache_shape(&self) -> (i64, i64) {
        let block_size = i64::try_from(self.cache.read().block_size).unwrap_or(i64::MAX);
        (block_size, self.kv_blocks_total.get())
    }

    pub(crate) fn has_prefix_cache(&self) -> bool {
        self.cache.read().prefix_cache
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
