//! `/v1/models`: what is served, and loading and unloading while the host runs.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use host_generation::{Generator, ModelEntry, ModelState, ServedModel};
use serde_json::{Value, json};

use crate::answer::Head;
use crate::body;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::ids::random_id;
use crate::meter::Meter;
use crate::state::AppState;

/// Most characters of a model's id.
const MODEL_ID_CHARS_MAX: usize = 200;

/// What the chunks of an answer of this model have in common.
pub(crate) fn head(generator: &Generator, prefix: &str) -> Head {
    let summary = generator.summary();
    Meter::current().set_model(&summary.id);
    let mut hasher = DefaultHasher::new();
    (&summary.id, &summary.plugins.compute, &summary.dtypes, summary.created_unix)
        .hash(&mut hasher);
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Head {
        id: random_id(prefix),
        created: created.as_secs(),
        model: summary.id.clone(),
        fingerprint: format!("fp_{:016x}", hasher.finish()),
    }
}

/// The models that are loaded; beside them those that could not be.
pub(crate) async fn list(State(state): State<AppState>) -> Json<Value> {
    let (mut loaded, mut failed) = (Vec::new(), Vec::new());
    for entry in state.models().list() {
        match entry {
            ModelEntry::Loaded(model) => loaded.push(model_object(&model)),
            ModelEntry::Failed { id, error } => failed.push(json!({"id": id, "error": error})),
        }
    }
    Json(json!({"object": "list", "data": loaded, "failed": failed}))
}

/// One model; its id may hold slashes.
pub(crate) async fn show(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    match state.models().get(&id) {
        Some(model) => Ok(Json(model_object(&model))),
        None => Err(ApiError::unknown_model(&id, state.models().failure(&id).as_deref())),
    }
}

/// Loads a model from a path on the host's machine.
pub(crate) async fn load(
    State(state): State<AppState>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let bytes = body::read(&state, request).await?;
    let model = body::run_blocking(move || {
        let object = body::parse(&bytes)?;
        let fields = Fields::of_request(&object);
        let path = fields.text("path")?.ok_or_else(|| ApiError::missing("path"))?;
        let id = fields.text("id")?;
        check_id(id)?;
        let model = state.admin().load_model(&PathBuf::from(path), id)?;
        state.models().insert(model.clone());
        Ok(model)
    })
    .await?;
    Ok((StatusCode::CREATED, Json(model_object(&model))))
}

/// Takes a model out of service; what it is answering is finished.
pub(crate) async fn unload(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let bytes = body::read(&state, request).await?;
    let object = body::parse(&bytes)?;
    let fields = Fields::of_request(&object);
    let id = fields.text("id")?.ok_or_else(|| ApiError::missing("id"))?;
    match state.models().remove(id) {
        Some(_) => Ok(Json(json!({"id": id, "object": "model", "unloaded": true}))),
        None => Err(ApiError::unknown_model(id, None).about("id")),
    }
}

/// An id goes into paths and metrics, so it is made of what both can hold.
fn check_id(id: Option<&str>) -> Result<(), ApiError> {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || "._:@/-".contains(c);
    let is_wrong = |id: &str| {
        id.is_empty() || id.len() > MODEL_ID_CHARS_MAX || !id.chars().all(is_fit) || id == "default"
    };
    if id.is_some_and(is_wrong) {
        let message = format!(
            "id must be 1 to {MODEL_ID_CHARS_MAX} of the characters A-Z a-z 0-9 . _ : @ / - and \
             not `default`"
        );
        return Err(ApiError::wrong_value("id", message));
    }
    Ok(())
}

fn model_object(model: &ServedModel) -> Value {
    let summary = model.summary();
    let (task, chat) = match model {
        ServedModel::Generator(generator) => ("generate", generator.has_chat_template()),
        ServedModel::Embedder(_) => ("embed", false),
    };
    let (state, fault) = match model.state() {
        ModelState::Ready => ("ready", None),
        ModelState::Draining => ("draining", None),
        ModelState::Faulted { plugin, message } => {
            ("faulted", Some(format!("plugin {plugin} panicked: {message}")))
        }
    };
    json!({
        "id": summary.id,
        "object": "model",
        "created": summary.created_unix,
        "owned_by": "host",
        "max_model_len": summary.context_length,
        "host": {
            "state": state,
            "fault": fault,
            "name": summary.name,
            "path": summary.path.to_string_lossy(),
            "architecture": summary.architecture,
            "plugins": {
                "format": summary.plugins.format,
                "architecture": summary.plugins.architecture,
                "compute": summary.plugins.compute,
                "quantizations": summary.plugins.quantizations,
            },
            "dtypes": summary.dtypes,
            "parameters": summary.parameters,
            "context_length": summary.context_length,
            "vocab_size": summary.vocab_size,
            "weights_bytes": summary.weights_bytes,
            "kv_bytes": summary.kv_bytes,
            "kv_dtype": summary.kv_dtype,
            "load_ms": summary.load_ms,
            "task": task,
            "chat": chat,
            "embedding_width": summary.embedding_width,
        },
    })
}
