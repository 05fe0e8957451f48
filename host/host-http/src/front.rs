//! What happens to every request before and after its handler.
//!
//! One place gives each answer its request id, asks who is asking, answers a browser's preflight and
//! counts the outcome, so that no route can be forgotten. It reads no body.

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::access;
use crate::anthropic;
use crate::body::discard;
use crate::error::ApiError;
use crate::ids::random_id;
use crate::limits::REQUEST_ID_BYTES_MAX;
use crate::ollama;
use crate::router::route_label;
use crate::state::AppState;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Wraps every handler.
pub(crate) async fn front(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let request_id = request_id(request.headers());
    let origin = request.headers().get(header::ORIGIN).cloned();
    let route = route_label(request.extensions().get::<MatchedPath>().map(MatchedPath::as_str));
    let (admitted, mut response) = match admit(&state, &request) {
        Ok(Some(response)) => (true, response),
        Ok(None) => (true, next.run(request).await),
        Err(refusal) => {
            discard(request).await;
            (false, refusal.into_response())
        }
    };
    let status = response.status();
    state.metrics().count_request(route, status.as_u16());
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        if status.is_client_error() {
            state.metrics().count_rejected(error.code());
        }
        if anthropic::ROUTES.contains(&route) {
            anthropic::reshape(&mut response, &error, &request_id);
        } else if ollama::ROUTES.contains(&route) {
            ollama::reshape(&mut response, &error);
        }
    }
    tracing::debug!(route, status = status.as_u16(), request_id = ?request_id, "answered");
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, request_id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let (Some(origin), true) = (origin, admitted) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
        let exposed = HeaderValue::from_static("x-request-id, retry-after");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    response
}

/// Whether the request may go to its handler, or has its answer already.
fn admit(state: &AppState, request: &Request) -> Result<Option<Response>, ApiError> {
    let headers = request.headers();
    access::check(state.options(), request.uri(), headers)?;
    let asks_first = headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if request.method() == Method::OPTIONS && asks_first {
        return Ok(Some(preflight()));
    }
    access::check_key(state.options(), request.uri().path(), headers)?;
    Ok(None)
}

fn preflight() -> Response {
    let allow = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, x-api-key, x-request-id",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    (StatusCode::NO_CONTENT, allow).into_response()
}

/// The id the client gave, if it is fit for a log, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_fit = |id: &&HeaderValue| {
        (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
            && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    headers.get(REQUEST_ID).filter(is_fit).cloned().unwrap_or_else(|| {
        HeaderValue::from_str(&random_id("req-")).expect("hexadecimal digits are a header value")
    })
}
