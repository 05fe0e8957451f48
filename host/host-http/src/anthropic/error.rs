//! Errors in Anthropic's shape.
//!
//! What went wrong and its status are the same as everywhere; only the body is another. It is put
//! in place at the very front, so that a refused key, a wrong method and a bad field look alike.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use super::wire::{ErrorBody, ErrorDetail};
use crate::error::ApiError;
use crate::wire;

/// Gives an error's answer the body that Anthropic's clients read.
pub(crate) fn reshape(response: &mut Response, error: &ApiError, request_id: &HeaderValue) {
    let body = body(error, request_id.to_str().ok());
    *response.body_mut() = Body::from(wire::to_json(&body));
    response.headers_mut().remove(header::CONTENT_LENGTH);
}

/// The body of an error's answer, and of an error inside an event stream.
pub(super) fn body<'a>(error: &'a ApiError, request_id: Option<&'a str>) -> ErrorBody<'a> {
    let error = ErrorDetail { r#type: kind(error.status), message: error.message() };
    ErrorBody { r#type: "error", error, request_id }
}

fn kind(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::NOT_FOUND => "not_found_error",
        StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        status if status.is_client_error() => "invalid_request_error",
        _ => "api_error",
    }
}
