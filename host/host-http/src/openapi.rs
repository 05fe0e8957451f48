//! `/openapi.json`: the interface in a form that tools read, and `/docs`, the same for people.
//!
//! Requests are read field by field and not by types that a document could be derived from, so what
//! is read, ignored and refused stands here in tables. Tests hold the tables against the handlers
//! and `docs/openai.md` against the tables.

mod answers;
mod document;
mod endpoints;
mod field;
mod fields;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};

use crate::wire;

const PAGE: &str = include_str!("../assets/docs.html");

/// The page brings its own script and style and talks to this host only.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
     script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'";

/// The document.
pub(crate) async fn document() -> Response {
    static DOCUMENT: OnceLock<Vec<u8>> = OnceLock::new();
    let body = DOCUMENT.get_or_init(|| wire::to_json(&document::document()));
    (wire::JSON, body.as_slice()).into_response()
}

/// The document as a page.
pub(crate) async fn page() -> Response {
    let policy: [(HeaderName, HeaderValue); 1] =
        [(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY))];
    (policy, Html(PAGE)).into_response()
}
