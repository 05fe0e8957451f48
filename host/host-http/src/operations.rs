//! What monitors ask for: health, readiness and metrics.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use host_loader::PluginState;
use serde_json::{Value, json};

use crate::body::run_blocking;
use crate::error::ApiError;
use crate::state::AppState;

/// The process is alive. Also tells what does not serve, and why.
pub(crate) async fn health(State(state): State<AppState>) -> Result<Json<Value>, ApiError> {
    run_blocking(move || {
        let plugins = state.admin().plugins();
        let (loaded, others): (Vec<_>, Vec<_>) =
            plugins.iter().partition(|plugin| plugin.state == PluginState::Loaded);
        // Without a key anyone may ask, so with one the details stay behind /v1/plugins.
        let shown = if state.options().keys.is_empty() { others.as_slice() } else { &[] };
        let refused: Vec<Value> = shown
            .iter()
            .map(|plugin| json!({"name": plugin.name, "reason": plugin.reason}))
            .collect();
        Ok(Json(json!({
            "status": "ok",
            "ready": is_ready(&state),
            "plugins": {"loaded": loaded.len(), "refused": others.len(), "reasons": refused},
        })))
    })
    .await
}

/// Whether requests are wanted and would be served now.
pub(crate) async fn ready(State(state): State<AppState>) -> Result<Json<Value>, ApiError> {
    if state.is_leaving() {
        return Err(ApiError::draining());
    }
    if !is_ready(&state) {
        let message = "no model serves yet; load one with POST /v1/models/load";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        return Err(ApiError::new(status, "server_error", "not_ready", message));
    }
    Ok(Json(json!({"status": "ready"})))
}

/// What SGLang's gateway asks whoever it sends requests to: the model of those that name none.
pub(crate) async fn server_info(State(state): State<AppState>) -> Json<Value> {
    let model = state.models().get("default");
    Json(json!({
        "served_model_name": model.map(|model| model.summary().id.clone()),
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

fn is_ready(state: &AppState) -> bool {
    !state.is_leaving() && state.models().is_ready()
}

/// The page that Prometheus reads.
pub(crate) async fn metrics(State(state): State<AppState>) -> Response {
    let content_type = HeaderValue::from_static(host_metrics::CONTENT_TYPE);
    ([(header::CONTENT_TYPE, content_type)], state.metrics().encode()).into_response()
}
