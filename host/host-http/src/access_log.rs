//! One line of JSON for each request: who asked what, how it ended, what it took.
//!
//! Prompts, answers, paths as clients wrote them and keys are never in it. A line is written when
//! the last byte of an answer is gone, or when the client is. Where lines go is the sink's matter.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{Method, StatusCode};
use host_generation::strftime;
use serde::Serialize;

use crate::meter::Meter;

/// Status of a request whose client left before it was answered, as nginx has it.
const CLIENT_LEFT: u16 = 499;

/// Takes the lines.
type Sink = dyn Fn(&str) + Send + Sync;

/// Where requests are written down; clones write to the same place.
#[derive(Clone)]
pub struct AccessLog {
    sink: Arc<Sink>,
}

impl AccessLog {
    /// A log that gives each line, without its end, to a function; that must not wait.
    pub fn new(sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { sink: Arc::new(sink) }
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").finish_non_exhaustive()
    }
}

/// A request that is being answered. Its line is written when it is dropped.
pub(crate) struct Entry {
    log: AccessLog,
    time: SystemTime,
    request_id: String,
    key: Option<String>,
    method: &'static str,
    route: &'static str,
    status: u16,
    bytes: u64,
    meter: Arc<Meter>,
}

#[derive(Serialize)]
struct Line<'a> {
    time: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    method: &'static str,
    route: &'static str,
    status: u16,
    bytes: u64,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttft_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    prompt_tokens: usize,
    completion_tokens: usize,
}

impl Entry {
    pub(crate) fn new(
        log: AccessLog,
        request_id: String,
        key: Option<String>,
        (method, route): (&Method, &'static str),
        meter: Arc<Meter>,
    ) -> Self {
        let method = known_method(method);
        let (time, status) = (SystemTime::now(), CLIENT_LEFT);
        Self { log, time, request_id, key, method, route, status, bytes: 0, meter }
    }

    /// The answer's head has been made.
    pub(crate) fn set_status(&mut self, status: StatusCode) {
        self.status = status.as_u16();
    }

    /// So many bytes of the answer's body were sent.
    pub(crate) fn add_bytes(&mut self, count: usize) {
        self.bytes += count as u64;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let meter = &self.meter;
        let line = Line {
            time: &timestamp(self.time),
            request_id: &self.request_id,
            key: self.key.as_deref(),
            method: self.method,
            route: self.route,
            status: self.status,
            bytes: self.bytes,
            duration_ms: milliseconds(meter.elapsed()),
            ttft_ms: meter.time_to_first_token().map(milliseconds),
            model: meter.model(),
            prompt_tokens: meter.prompt_tokens(),
            completion_tokens: meter.completion_tokens(),
        };
        if let Ok(line) = serde_json::to_string(&line) {
            (self.log.sink)(&line);
        }
    }
}

/// A method that a client made up has no name of its own.
fn known_method(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
    known.into_iter().find(|known| method == known).unwrap_or("other")
}

/// RFC 3339 in milliseconds, UTC.
fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:03}Z", strftime("%FT%T", since.as_secs()), since.subsec_millis())
}

/// In milliseconds, to the microsecond.
fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}
