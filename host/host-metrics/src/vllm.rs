//! The figures of models under vLLM's names, which dashboards, routers and autoscalers know.
//!
//! Nothing is counted twice: the page is made from the same series when it is read. Names, types
//! and meaning are those of vLLM's documentation of production metrics.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::model::{Finish, ModelMetrics};

/// Every model that has figures, by its name.
pub(crate) type KnownModels = Arc<RwLock<BTreeMap<String, ModelMetrics>>>;

/// Shows the figures once more.
#[derive(Debug)]
pub(crate) struct VllmCollector(pub(crate) KnownModels);

/// Something that a model has one of.
type Value = fn(&ModelMetrics, MetricEncoder<'_>) -> fmt::Result;

fn gauge(value: f64, mut encoder: MetricEncoder<'_>) -> fmt::Result {
    encoder.encode_gauge(&value)
}

/// Name, meaning, type and value of what each model has one of.
const FAMILIES: [(&str, &str, MetricType, Value); 12] = [
    (
        "vllm:num_requests_running",
        "Sequences that hold KV blocks.",
        MetricType::Gauge,
        |model, encoder| model.sequences_running.encode(encoder),
    ),
    (
        "vllm:num_requests_waiting",
        "Sequences that wait for a place or for KV blocks.",
        MetricType::Gauge,
        |model, encoder| model.requests_waiting.encode(encoder),
    ),
    (
        "vllm:kv_cache_usage_perc",
        "KV blocks that sequences hold, 1 for all.",
        MetricType::Gauge,
        |model, encoder| gauge(model.kv_usage(), encoder),
    ),
    ("vllm:prompt_tokens", "Prompt tokens of requests.", MetricType::Counter, |model, encoder| {
        model.prompt_tokens.encode(encoder)
    }),
    ("vllm:generation_tokens", "Tokens generated.", MetricType::Counter, |model, encoder| {
        model.completion_tokens.encode(encoder)
    }),
    (
        "vllm:prefix_cache_queries",
        "Prompt tokens looked for in the prefix cache.",
        MetricType::Counter,
        |model, encoder| model.steps.prefix_queries.encode(encoder),
    ),
    (
        "vllm:prefix_cache_hits",
        "Prompt tokens found in the prefix cache.",
        MetricType::Counter,
        |model, encoder| model.steps.prefix_hits.encode(encoder),
    ),
    (
        "vllm:num_preemptions",
        "Sequences that lost their KV blocks.",
        MetricType::Counter,
        |model, encoder| model.steps.preemptions.encode(encoder),
    ),
    (
        "vllm:time_to_first_token_seconds",
        "Time from a request to its first token.",
        MetricType::Histogram,
        |model, encoder| model.time_to_first_token.encode(encoder),
    ),
    (
        "vllm:inter_token_latency_seconds",
        "Time between two tokens of an answer.",
        MetricType::Histogram,
        |model, encoder| model.inter_token_latency.encode(encoder),
    ),
    (
        "vllm:request_time_per_output_token_seconds",
        "Mean time per token of a request after its first.",
        MetricType::Histogram,
        |model, encoder| model.time_per_output_token.encode(encoder),
    ),
    (
        "vllm:e2e_request_latency_seconds",
        "Time from a request to the end of its answer.",
        MetricType::Histogram,
        |model, encoder| model.request_duration.encode(encoder),
    ),
];

impl Collector for VllmCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let models = self.0.read();
        for (name, help, kind, value) in FAMILIES {
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for (name, model) in models.iter() {
                value(model, family.encode_family(&[("model_name", name.as_str())])?)?;
            }
        }
        let help = "Answers by why they ended.";
        let mut family =
            encoder.encode_descriptor("vllm:request_success", help, None, MetricType::Counter)?;
        for (name, model) in models.iter() {
            for finish in Finish::ALL {
                let labels = [("model_name", name.as_str()), ("finished_reason", finish.word())];
                let count = model.finished(finish);
                family
                    .encode_family(&labels)?
                    .encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
        }
        let help = "The KV cache; its value is always 1.";
        let mut family =
            encoder.encode_descriptor("vllm:cache_config_info", help, None, MetricType::Gauge)?;
        for (name, model) in models.iter() {
            let (block_size, num_gpu_blocks) = model.cache_shape();
            let caching = if model.has_prefix_cache() { "True" } else { "False" };
            let labels = [
                ("model_name", name.as_str()),
                ("block_size", &block_size.to_string()),
                ("num_gpu_blocks", &num_gpu_blocks.to_string()),
                ("enable_prefix_caching", caching),
            ];
            family.encode_family(&labels)?.encode_gauge(&1_i64)?;
        }
        Ok(())
    }
}
