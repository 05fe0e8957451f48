//! The figures of an engine's steps: counters that each step adds to.
//!
//! They are apart from the other figures of a model because they come together, once a step, and
//! grow with what an engine can do. It keeps no time.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::labels::{ModelLabel, model_family};

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

/// What is counted of steps, once for each figure: `T` is a family of counters or one of them.
#[derive(Debug, Clone)]
pub(crate) struct StepCounts<T> {
    steps: T,
    pub(crate) preemptions: T,
    restarts: T,
    pub(crate) prefix_queries: T,
    pub(crate) prefix_hits: T,
    draft_tokens: T,
    accepted_tokens: T,
}

/// The families of all models.
pub(crate) type StepFamilies = StepCounts<Family<ModelLabel, Counter>>;

/// The series of one model.
pub(crate) type StepCounters = StepCounts<Counter>;

impl StepFamilies {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let mut counter = |name: &str, help: &str| model_family(registry, name, help);
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
        let series = |family: &Family<_, _>| family.get_or_create_owned(label);
        StepCounts {
            steps: series(&self.steps),
            preemptions: series(&self.preemptions),
            restarts: series(&self.restarts),
            prefix_queries: series(&self.prefix_queries),
            prefix_hits: series(&self.prefix_hits),
            draft_tokens: series(&self.draft_tokens),
            accepted_tokens: series(&self.accepted_tokens),
        }
    }
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
