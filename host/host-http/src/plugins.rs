//! `/v1/plugins`: every plugin file with its verdict, looking at the folders again, and switching a
//! plugin off and on. What a switch means is the loader's.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use host_loader::PluginReport;
use serde::Serialize;

use crate::body::{self, run_blocking};
use crate::error::{ApiError, quote};
use crate::fields::Fields;
use crate::state::AppState;

/// The list of plugins.
#[derive(Debug, Serialize)]
pub(crate) struct PluginList {
    object: &'static str,
    data: Vec<PluginReport>,
}

/// Lists what the last scan saw.
pub(crate) async fn list(State(state): State<AppState>) -> Result<Json<PluginList>, ApiError> {
    run_blocking(move || Ok(as_list(state.admin().plugins()))).await
}

/// Scans the folders and lists what is there now.
pub(crate) async fn rescan(State(state): State<AppState>) -> Result<Json<PluginList>, ApiError> {
    run_blocking(move || Ok(as_list(state.admin().rescan()))).await
}

/// Offers a plugin to no model from now on.
pub(crate) async fn disable(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<PluginList>, ApiError> {
    switch(state, request, false).await
}

/// Offers a plugin again that was disabled.
pub(crate) async fn enable(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<PluginList>, ApiError> {
    switch(state, request, true).await
}

async fn switch(
    state: AppState,
    request: Request,
    enabled: bool,
) -> Result<Json<PluginList>, ApiError> {
    let bytes = body::read(&state, request).await?;
    run_blocking(move || {
        let object = body::parse(&bytes)?;
        let fields = Fields::of_request(&object);
        let name = fields.text("name")?.ok_or_else(|| ApiError::missing("name"))?;
        let plugins = state.admin().set_plugin_enabled(name, enabled);
        plugins.map(as_list).ok_or_else(|| unknown_plugin(name))
    })
    .await
}

fn unknown_plugin(name: &str) -> ApiError {
    let name = quote(name);
    let message = format!("no plugin {name} is loaded; GET /v1/plugins lists those that are");
    ApiError::refused(StatusCode::NOT_FOUND, "plugin_not_found", message).about("name")
}

fn as_list(data: Vec<PluginReport>) -> Json<PluginList> {
    Json(PluginList { object: "list", data })
}
