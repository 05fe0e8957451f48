//! `/v1/models`: what serves, what is there to be loaded, and what could not be.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::{Path, State};
use host_generation::{Generator, LoadProgress, ModelEntry, ModelState, ModelStatus, ServedModel};
use host_model::CatalogEntry;
use serde_json::{Value, json};

use crate::answer::Head;
use crate::error::ApiError;
use crate::ids::random_id;
use crate::meter::Meter;
use crate::state::AppState;

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

/// The models, those that serve before those that are there to be loaded; beside them those that
/// could not be, and the memory they share.
pub(crate) async fn list(State(state): State<AppState>) -> Json<Value> {
    let (mut loaded, mut others, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for entry in state.models().list() {
        match &entry.status {
            ModelStatus::Loaded(_) => loaded.push(model_object(&entry)),
            ModelStatus::Available | ModelStatus::Loading(_) => others.push(model_object(&entry)),
            ModelStatus::Failed(failure) => {
                failed.push(json!({"id": entry.checkpoint.id, "error": failure.message}));
            }
        }
    }
    loaded.append(&mut others);
    let memory = state.admin().memory();
    let limit = Some(memory.limit()).filter(|limit| *limit < u64::MAX);
    Json(json!({
        "object": "list",
        "data": loaded,
        "failed": failed,
        "memory": {"budget_bytes": limit, "used_bytes": memory.used()},
    }))
}

/// One model; its id may hold slashes.
pub(crate) async fn show(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let entry = state.models().entry(&id).ok_or_else(|| ApiError::unknown_model(&id))?;
    match entry.status {
        ModelStatus::Failed(failure) => Err(ApiError::failed_before(&failure)),
        _ => Ok(Json(model_object(&entry))),
    }
}

/// A model as the list has it.
pub(crate) fn model_object(entry: &ModelEntry) -> Value {
    let checkpoint = &entry.checkpoint;
    let mut object = match &entry.status {
        ModelStatus::Loaded(model) => loaded_object(model),
        ModelStatus::Loading(progress) => unloaded_object(checkpoint, "loading", Some(*progress)),
        ModelStatus::Available | ModelStatus::Failed(_) => {
            unloaded_object(checkpoint, "available", None)
        }
    };
    let about = [
        ("aliases", json!(entry.aliases)),
        ("file_bytes", json!(checkpoint.bytes)),
        ("notes", json!(checkpoint.notes)),
        ("use_case", json!(checkpoint.use_case)),
    ];
    for (name, value) in about {
        object["host"][name] = value;
    }
    object
}

/// How far a load is.
pub(crate) fn progress_fields(progress: LoadProgress) -> Value {
    json!({
        "stage": progress.stage.name(),
        "done_bytes": progress.done_bytes,
        "total_bytes": progress.total_bytes,
    })
}

/// What is known of a model that nobody has opened.
fn unloaded_object(
    checkpoint: &CatalogEntry,
    state: &str,
    progress: Option<LoadProgress>,
) -> Value {
    json!({
        "id": checkpoint.id,
        "object": "model",
        // It has not been made yet, and clients expect a number.
        "created": 0,
        "owned_by": "host",
        "max_model_len": null,
        "host": {
            "state": state,
            "name": checkpoint.name,
            "path": checkpoint.path.to_string_lossy(),
            // As a loaded model has them, so that a reader need not ask which it is.
            "architecture": null,
            "plugins": {},
            "dtypes": {},
            "format": checkpoint.format,
            "progress": progress.map(progress_fields),
        },
    })
}

fn loaded_object(model: &ServedModel) -> Value {
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
            "scratch_bytes": summary.scratch_bytes,
            "kv_dtype": summary.kv_dtype,
            "load_ms": summary.load_ms,
            "task": task,
            "chat": chat,
            "embedding_width": summary.embedding_width,
        },
    })
}
