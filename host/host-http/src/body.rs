//! Reads a request's body: bounded in size and time, JSON and nothing else.
//!
//! The work on it (parsing, rendering, tokenizing) can take long for a large body, so it is done off
//! the threads that serve connections. It looks at no field.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::fields::kind;
use crate::limits::{BODY_TIMEOUT, DISCARD_BYTES_MAX, DISCARD_TIMEOUT, RELOADS_MAX};
use crate::meter::Meter;
use crate::state::AppState;

/// The bytes of a JSON body.
pub(crate) async fn read(state: &AppState, request: Request) -> Result<Bytes, ApiError> {
    let limit = state.options().body_bytes_max;
    check_length(request.headers(), limit)?;
    if let Err(refusal) = check_media(request.headers()) {
        discard(request).await;
        return Err(refusal);
    }
    let body = Limited::new(request.into_body(), limit);
    let collected = tokio::time::timeout(BODY_TIMEOUT, body.collect()).await.map_err(|_| {
        let message = "the request body did not arrive in time";
        ApiError::refused(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
    })?;
    match collected {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(limit)),
        Err(error) => {
            Err(ApiError::invalid_json(format!("the request body could not be read: {error}")))
        }
    }
}

/// The JSON object that the bytes hold.
pub(crate) fn parse(bytes: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        ApiError::invalid_json(format!("the request body is not JSON: {error}"))
    })?;
    match value {
        Value::Object(object) => Ok(object),
        other => {
            let message = format!("the request body is {}, expected an object", kind(&other));
            Err(ApiError::invalid_json(message))
        }
    }
}

/// Runs what may take its time where no connection waits for it. Work whose model is not loaded yet
/// is done again when it is; a client that leaves meanwhile takes nothing from others who wait.
pub(crate) async fn run_blocking<T: Send + 'static>(
    work: impl Fn() -> Result<T, ApiError> + Send + Sync + 'static,
) -> Result<T, ApiError> {
    let work = Arc::new(work);
    let failed = |failure| ApiError::load_failed(failure, "model");
    // Held while the work is done again: nobody unloads a model that is held.
    let mut model = None;
    for _ in 0..=RELOADS_MAX {
        let again = Arc::clone(&work);
        let mut outcome = run_once(move || again()).await;
        let loading = outcome.as_mut().err().and_then(|error| error.loading.take());
        drop(model);
        let Some(mut loading) = loading else { return outcome };
        model = Some(loading.wait().await.map_err(failed)?);
    }
    let message = "the model was unloaded again before it could be used";
    let status = StatusCode::SERVICE_UNAVAILABLE;
    Err(ApiError::new(status, "server_error", "model_unloaded", message))
}

/// As [`run_blocking`], for work that needs no model.
pub(crate) async fn run_once<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let meter = Meter::current();
    let task = tokio::task::spawn_blocking(move || meter.count(work));
    task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request's work panicked");
        Err(ApiError::internal("the request met a bug of the host; its log says more"))
    })
}

/// Reads what a refused request still sends: a connection that is closed over unread bytes is reset,
/// and the refusal is lost with it.
pub(crate) async fn discard(request: Request) {
    let headers = request.headers();
    if content_length(headers).is_none_or(|length| length <= DISCARD_BYTES_MAX as u64) {
        let mut body = Limited::new(request.into_body(), DISCARD_BYTES_MAX);
        let read = async { while let Some(Ok(_)) = body.frame().await {} };
        tokio::time::timeout(DISCARD_TIMEOUT, read).await.ok();
    }
}

fn check_length(headers: &HeaderMap, limit: usize) -> Result<(), ApiError> {
    if content_length(headers).is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    Ok(())
}

fn check_media(headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(encoding) = text(header::CONTENT_ENCODING)
        && !encoding.eq_ignore_ascii_case("identity")
    {
        return Err(unsupported_media("the body is compressed, expected it plain"));
    }
    if let Some(content_type) = text(header::CONTENT_TYPE) {
        let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if media != "application/json" && !media.ends_with("+json") {
            return Err(unsupported_media("the body's type is not application/json"));
        }
    }
    Ok(())
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn unsupported_media(message: &str) -> ApiError {
    ApiError::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
}

fn too_large(limit: usize) -> ApiError {
    let message = format!("the request body is larger than {limit} bytes");
    ApiError::refused(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
}
