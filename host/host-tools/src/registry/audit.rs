//! One line and one count for each call: who, what, how long, how it went; never the arguments.

use std::time::Instant;

use host_metrics::ToolMetrics;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::size;
use crate::{Context, Map, Tool, ToolError, ToolOutcome};

/// A call that is running; it is written down when it ends, also if it is dropped.
pub(super) struct Record<'a> {
    tool: &'a Tool,
    subject: std::sync::Arc<str>,
    metrics: &'a ToolMetrics,
    args_hash: String,
    bytes_in: usize,
    begun: Instant,
    written: bool,
}

impl<'a> Record<'a> {
    pub(super) fn begin(
        tool: &'a Tool,
        arguments: &Map,
        bytes_in: usize,
        context: &Context,
        metrics: &'a ToolMetrics,
    ) -> Self {
        let arguments = serde_json::to_vec(arguments).unwrap_or_default();
        let digest = Sha256::digest(&arguments);
        Self {
            tool,
            subject: std::sync::Arc::clone(&context.caller.subject),
            metrics,
            args_hash: digest[..8].iter().map(|byte| format!("{byte:02x}")).collect(),
            bytes_in,
            begun: Instant::now(),
            written: false,
        }
    }

    pub(super) fn end(mut self, result: &Result<ToolOutcome, ToolError>) {
        let (word, bytes_out) = match result {
            Ok(outcome) if outcome.is_error => ("tool_error", size::of_outcome(outcome)),
            Ok(outcome) => ("ok", size::of_outcome(outcome)),
            Err(error) => (error.kind(), 0),
        };
        self.write(word, bytes_out);
    }

    fn write(&mut self, outcome: &'static str, bytes_out: usize) {
        self.written = true;
        let took = self.begun.elapsed();
        let server = self.tool.owner.name();
        self.metrics.record_call(server, &self.tool.name, outcome, took);
        tracing::info!(
            target: "audit",
            subject = %self.subject,
            tool = %self.tool.name,
            server,
            args_sha256 = %self.args_hash,
            bytes_in = self.bytes_in,
            bytes_out,
            ms = took.as_millis() as u64,
            outcome,
            "tool call"
        );
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        if !self.written {
            self.write(ToolError::Cancelled.kind(), 0);
        }
    }
}

/// Bytes of the arguments of a call.
pub(super) fn bytes(arguments: &Map) -> usize {
    arguments.iter().map(|(name, value): (&String, &Value)| name.len() + size::of(value)).sum()
}
