//! The figures of an engine's steps: counters that each step adds to.
//!
//! They are apart from the other figures of a model because they come together, once a step, and
//! grow with what an engine can do. It keeps no time.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::labels::ModelLabel;

/// What one step of an engine did, beside taking time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepFigures {
    /// Sequences that lost their KV blocks.
    pub preemptions: usize,
    /// Sequences that begin anew because they grew long.
    pub restarts: usize,
    /// Prompt tokens looked for in the prefix cache.
    pub prefix_queries: usize,
    /// Prompt tokens found there.
    pub prefix_hits: usize,
    /// Tokens drafted.
    pub draft_tokens: usize,
    /// Drafted tokens that were right.
    pub accepted_tokens: usize,
}

/// The families of all models.
#[derive(Debug)]
pub(crate) struct StepFamilies {
    steps: Family<ModelLabel, Counter>,
    preemptions: Family<ModelLabel, Counter>,
    restarts: Family<ModelLabel, Counter>,
    prefix_queries: Family<ModelLabel, Counter>,
    prefix_hits: Family<ModelLabel, Counter>,
    draft_tokens: Family<ModelLabel, Counter>,
    accepted_tokens: Family<ModelLabel, Counter>,
}

impl StepFamilies {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let mut counter = |name: &str, help: &str| {
            let family = Family::<ModelLabel, Counter>::default();
            registry.register(name, help, family.clone());
            family
        };
        let restarts = "Sequences computed again because they grew past the length of short rope";
        Self {
            steps: counter("host_steps", "Steps of the engine"),
            preemptions: counter("host_preemptions", "Sequences that lost their KV blocks"),
            restarts: counter("host_restarts", restarts),
            prefix_queries: counter(
                "host_prefix_cache_queries",
                "Prompt tokens looked for in the prefix cache",
            ),
            prefix_hits: counter(
                "host_prefix_cache_hits",
                "Prompt tokens found in the prefix cache",
            ),
            draft_tokens: counter("host_draft_tokens", "Tokens drafted"),
            accepted_tokens: counter(
                "host_draft_tokens_accepted",
                "Drafted tokens that were right",
            ),
        }
    }

    pub(crate) fn model(&self, label: &ModelLabel) -> StepCounters {
        StepCounters {
            steps: self.steps.get_or_create_owned(label),
            preemptions: self.preemptions.get_or_create_owned(label),
            restarts: self.restarts.get_or_create_owned(label),
            prefix_queries: self.prefix_queries.get_or_create_owned(label),
            prefix_hits: self.prefix_hits.get_or_create_owned(label),
            draft_tokens: self.draft_tokens.get_or_create_owned(label),
            accepted_tokens: self.accepted_tokens.get_or_create_owned(label),
        }
    }
}

/// The series of one model.
#[derive(Debug, Clone)]
pub(crate) struct StepCounters {
    steps: Counter<u64, AtomicU64>,
    preemptions: Counter<u64, AtomicU64>,
    restarts: Counter<u64, AtomicU64>,
    prefix_queries: Counter<u64, AtomicU64>,
    prefix_hits: Counter<u64, AtomicU64>,
    draft_tokens: Counter<u64, AtomicU64>,
    accepted_tokens: Counter<u64, AtomicU64>,
}

impl StepCounters {
    pub(crate) fn record(&self, figures: StepFigures) {
        self.steps.inc();
        self.preemptions.inc_by(figures.preemptions as u64);
        self.restarts.inc_by(figures.restarts as u64);
        self.prefix_queries.inc_by(figures.prefix_queries as u64);
        self.prefix_hits.inc_by(figures.prefix_hits as u64);
        self.draft_tokens.inc_by(figures.draft_tokens as u64);
        self.accepted_tokens.inc_by(figures.accepted_tokens as u64);
    }
}
