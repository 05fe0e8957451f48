//! Answers of the gate itself, as errors of JSON-RPC without an id.

use std::fmt::Display;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::envelope::INVALID_REQUEST;

/// Why a request did not pass.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: i32,
    message: String,
    /// A short word for metrics.
    pub(super) kind: &'static str,
}

impl Refusal {
    fn new(status: StatusCode, kind: &'static str, message: impl Display) -> Self {
        Self { status, code: INVALID_REQUEST, message: message.to_string(), kind }
    }

    /// What was sent is no message, or none that is known.
    pub(super) fn bad_message(code: i32, message: String) -> Self {
        Self { code, ..Self::new(StatusCode::BAD_REQUEST, "bad_message", message) }
    }

    pub(super) fn too_large(limit: usize) -> Self {
        let message = format!("the request body is larger than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    pub(super) fn too_slow() -> Self {
        let message = "the request body did not arrive in time";
        Self::new(StatusCode::REQUEST_TIMEOUT, "too_slow", message)
    }

    pub(super) fn broken(error: impl Display) -> Self {
        let message = format!("the request body could not be read: {error}");
        Self::new(StatusCode::BAD_REQUEST, "broken_body", message)
    }

    /// The caller has no session of that id.
    pub(super) fn unknown_session() -> Self {
        let message = "there is no such session; send initialize to begin one";
        Self::new(StatusCode::NOT_FOUND, "unknown_session", message)
    }

    pub(super) fn sessions_full() -> Self {
        let message = "every session is at work; try again later";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "sessions_full", message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = json!({"code": self.code, "message": self.message});
        let body = Json(json!({"jsonrpc": "2.0", "error": error}));
        let mut response = (self.status, body).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
