//! The routes, each named once: for the router, and as a label of the metrics.

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::body::discard;
use crate::error::ApiError;
use crate::front::Front;
use crate::state::AppState;
use crate::{
    anthropic, chat, completions, embeddings, front, loads, models, ollama, openapi, operations,
    page, plugins, responses, tokens,
};

/// Every route of this surface, as the router and the metrics know it.
pub(crate) const ROUTES: [&str; 33] = [
    "/",
    "/page/{*path}",
    "/favicon.svg",
    "/health",
    "/ready",
    "/server_info",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/v1/models",
    "/v1/models/load",
    "/v1/models/unload",
    "/v1/models/{*id}",
    "/v1/plugins",
    "/v1/plugins/rescan",
    "/v1/plugins/disable",
    "/v1/plugins/enable",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/api/version",
    "/api/tags",
    "/api/show",
    "/api/chat",
    "/api/generate",
    "/apply-template",
    "/tokenize",
    "/detokenize",
    "/v1/tokenize",
    "/v1/detokenize",
];

/// Routes of other surfaces that the metrics know.
const ROUTES_OF_OTHERS: [&str; 2] = ["/mcp", "/mcp/stream"];

/// The whole surface, and the routes of other surfaces beside it, which have the same front: keys,
/// limits, metrics and logs.
pub fn router(state: AppState, others: Router) -> Router {
    let own = Router::new()
        .route("/", get(page::document))
        .route("/page/{*path}", get(page::file))
        .route("/favicon.svg", get(page::icon))
        .route("/health", get(operations::health))
        .route("/ready", get(operations::ready))
        .route("/server_info", get(operations::server_info))
        .route("/metrics", get(operations::metrics))
        .route("/openapi.json", get(openapi::document))
        .route("/docs", get(openapi::page))
        .route("/v1/models", get(models::list))
        .route("/v1/models/load", post(loads::load))
        .route("/v1/models/unload", post(loads::unload))
        .route("/v1/models/{*id}", get(models::show))
        .route("/v1/plugins", get(plugins::list))
        .route("/v1/plugins/rescan", post(plugins::rescan))
        .route("/v1/plugins/disable", post(plugins::disable))
        .route("/v1/plugins/enable", post(plugins::enable))
        .route("/v1/chat/completions", post(chat::chat))
        .route("/v1/completions", post(completions::completions))
        .route("/v1/responses", post(responses::responses))
        .route("/v1/embeddings", post(embeddings::embeddings))
        .route("/v1/messages", post(anthropic::messages))
        .route("/v1/messages/count_tokens", post(anthropic::count_tokens))
        .route("/api/version", get(ollama::version))
        .route("/api/tags", get(ollama::tags))
        .route("/api/show", post(ollama::show))
        .route("/api/chat", post(ollama::chat))
        .route("/api/generate", post(ollama::generate))
        .route("/apply-template", post(tokens::apply_template))
        .route("/tokenize", post(tokens::tokenize))
        .route("/detokenize", post(tokens::detokenize))
        .route("/v1/tokenize", post(tokens::tokenize))
        .route("/v1/detokenize", post(tokens::detokenize));
    behind_front(state, own.merge(others.with_state(())))
}

/// The routes of other surfaces for a listener of their own, behind the same front.
pub fn others_alone(state: AppState, others: Router) -> Router {
    let own = Router::new().route("/health", get(operations::health));
    behind_front(state, own.merge(others.with_state(())))
}

fn behind_front(state: AppState, routes: Router<AppState>) -> Router {
    routes
        .fallback(no_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Front::new(state.clone()), front::front))
        .with_state(state)
}

/// The label of a route in the metrics; what a client made up has none of its own.
pub(crate) fn route_label(matched: Option<&str>) -> &'static str {
    let known =
        |matched| ROUTES.into_iter().chain(ROUTES_OF_OTHERS).find(|route| *route == matched);
    matched.and_then(known).unwrap_or("other")
}

async fn no_route(request: Request) -> ApiError {
    discard(request).await;
    let message = "there is nothing at this path; the API is under /v1";
    ApiError::refused(StatusCode::NOT_FOUND, "not_found", message)
}

async fn wrong_method(request: Request) -> ApiError {
    discard(request).await;
    let message = "this path is not served for this method";
    ApiError::refused(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
