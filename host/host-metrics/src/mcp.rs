//! The figures of the MCP surface: requests, errors, and answers that are being written.

use std::sync::atomic::AtomicU64;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::model::{Buckets, REQUEST_BUCKETS};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    method: &'static str,
    status: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    r#type: &'static str,
    method: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabel {
    method: &'static str,
}

/// The figures of the MCP surface; clones share them. Methods and types of errors are names from
/// fixed lists, never what a client sent.
#[derive(Debug, Clone)]
pub struct McpMetrics {
    requests: Family<StatusLabels, Counter>,
    errors: Family<ErrorLabels, Counter>,
    duration: Family<MethodLabel, Histogram, Buckets>,
    active_connections: Gauge,
    bytes_sent: Counter<u64, AtomicU64>,
    sessions: Gauge,
}

impl McpMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            errors: Family::default(),
            duration: Family::new_with_constructor(Buckets(&REQUEST_BUCKETS)),
            active_connections: Gauge::default(),
            bytes_sent: Counter::default(),
            sessions: Gauge::default(),
        };
        let help = "MCP requests over HTTP by the status of their answer";
        registry.register("http_mcp_requests", help, Family::clone(&metrics.requests));
        let help = "MCP requests that were refused or came to nothing";
        registry.register("http_mcp_errors", help, Family::clone(&metrics.errors));
        let help = "Time from an MCP request to the end of its answer";
        let duration = Family::clone(&metrics.duration);
        registry.register("http_mcp_request_duration_seconds", help, duration);
        let help = "MCP answers that are being made or written";
        let active = metrics.active_connections.clone();
        registry.register("http_mcp_active_connections", help, active);
        let help = "Bytes of MCP answers over HTTP";
        registry.register("http_mcp_stream_bytes_sent", help, metrics.bytes_sent.clone());
        let help = "Open sessions of MCP clients of older revisions";
        registry.register("http_mcp_sessions", help, metrics.sessions.clone());
        metrics
    }

    /// Counts an answered request.
    pub fn count_request(&self, method: &'static str, status: u16) {
        let labels = StatusLabels { method, status: u32::from(status) };
        self.requests.get_or_create(&labels).inc();
    }

    /// Counts a request that was refused or came to nothing.
    pub fn count_error(&self, r#type: &'static str, method: &'static str) {
        self.errors.get_or_create(&ErrorLabels { r#type, method }).inc();
    }

    /// Shows how many sessions are open.
    pub fn set_sessions(&self, count: usize) {
        self.sessions.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts an answer as active until it is dropped.
    pub fn answer_started(&self, method: &'static str, started: Instant) -> McpAnswer {
        self.active_connections.inc();
        McpAnswer { metrics: self.clone(), method, started }
    }
}

/// An answer that is being written.
#[derive(Debug)]
pub struct McpAnswer {
    metrics: McpMetrics,
    method: &'static str,
    started: Instant,
}

impl McpAnswer {
    /// Counts bytes that were sent.
    pub fn add_bytes(&self, count: usize) {
        self.metrics.bytes_sent.inc_by(count as u64);
    }
}

impl Drop for McpAnswer {
    fn drop(&mut self) {
        self.metrics.active_connections.dec();
        let label = MethodLabel { method: self.method };
        let seconds = self.started.elapsed().as_secs_f64();
        self.metrics.duration.get_or_create(&label).observe(seconds);
    }
}
