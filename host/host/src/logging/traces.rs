//! Traces by OpenTelemetry: a span for each request, in a build with the feature `otel`.
//!
//! They are sent by OTLP over HTTP to where `OTEL_EXPORTER_OTLP_ENDPOINT` says, by a thread of their
//! own; without that variable there are none. The other variables of OpenTelemetry's SDK hold too.

use std::env::var_os;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use crate::Failure;

/// Where the HTTP surface makes its spans.
const TARGET: &str = "host::request";

/// Sends what has not been sent when it is dropped.
#[derive(Debug)]
pub(crate) struct Traces(SdkTracerProvider);

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// What makes traces of spans, if somebody is to have them.
pub(crate) fn start<S>() -> Result<Option<(impl Layer<S>, Traces)>, Failure>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let variables = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
    if variables.into_iter().all(|name| var_os(name).is_none_or(|value| value.is_empty())) {
        return Ok(None);
    }
    let exporter = SpanExporter::builder().with_http().build();
    let exporter = exporter.map_err(|error| format!("traces: {error}"))?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(Resource::builder().with_service_name("host").build())
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("host"))
        .with_filter(Targets::new().with_target(TARGET, Level::INFO));
    Ok(Some((layer, Traces(provider))))
}
