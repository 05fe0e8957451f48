//! `/v1/plugins`: every plugin file with its verdict, and looking at the folders again.

use axum::Json;
use axum::extract::State;
use host_loader::PluginReport;
use serde::Serialize;

use crate::body::run_blocking;
use crate::error::ApiError;
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

fn as_list(data: Vec<PluginReport>) -> Json<PluginList> {
    Json(PluginList { object: "list", data })
}
