//! `/v1/models/load` and `/v1/models/unload`: models come and go while the host runs.
//!
//! A load goes on when its client leaves, and whoever asks for the same model waits for the same
//! load. Nothing is loaded here.

use std::convert::Infallible;
use std::path::Path;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use host_generation::{Kept, LoadProgress, Loading, Wanted};
use host_model::CatalogEntry;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::body;
use crate::error::{ApiError, ErrorBody, quote};
use crate::event_stream::{SERVER_SENT_EVENTS, headers, write_data};
use crate::fields::Fields;
use crate::limits::{LOAD_EVENT_PAUSE, MODEL_ID_CHARS_MAX};
use crate::models::{model_object, progress_fields};
use crate::state::AppState;

/// A load that a client asked for.
struct Asked {
    id: String,
    /// The field that named it.
    param: &'static str,
    loading: Loading,
    /// There was nothing to do.
    was_loaded: bool,
    is_streamed: bool,
}

/// Loads a model of the list by its id, or any from a path on the host's machine.
pub(crate) async fn load(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read(&state, request).await?;
    let asking = state.clone();
    let mut asked = body::run_once(move || ask(&asking, &bytes)).await?;
    if asked.is_streamed {
        return Ok(streamed(state, asked));
    }
    // Held until it has been shown.
    let loaded = asked.loading.wait().await;
    let _model = loaded.map_err(|failure| ApiError::load_failed(failure, asked.param))?;
    let status = if asked.was_loaded { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(shown(&state, &asked.id)?)).into_response())
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
        Ok(unloaded) => Ok(Json(json!({"id": id, "object": "model", "unloaded": unloaded}))),
        Err(Kept::Unknown) => Err(ApiError::unknown_model(id).about("id")),
        Err(Kept::Loading) => {
            let message = format!("the model {} is being loaded; unload it then", quote(id));
            Err(ApiError::refused(StatusCode::CONFLICT, "model_loading", message).about("id"))
        }
    }
}

fn ask(state: &AppState, bytes: &[u8]) -> Result<Asked, ApiError> {
    if state.is_draining() {
        return Err(ApiError::draining());
    }
    let object = body::parse(bytes)?;
    let fields = Fields::of_request(&object);
    let (path, id) = (fields.text("path")?, fields.text("id")?);
    let is_streamed = fields.flag("stream")?;
    let (id, param, wanted) = match (path, id) {
        (None, None) => return Err(ApiError::missing("path")),
        (None, Some(id)) => (id.to_owned(), "id", state.models().want(id, true)),
        (Some(path), id) => {
            check_id(id)?;
            let checkpoint = CatalogEntry::at(Path::new(path), id);
            (checkpoint.id.clone(), "path", state.models().want_checkpoint(checkpoint))
        }
    };
    match wanted {
        Wanted::Unknown => Err(ApiError::unknown_model(&id).about("id")),
        Wanted::Failed(failure) => Err(ApiError::load_failed(failure, "id")),
        Wanted::Load(loading, job) => {
            let was_loaded = loading.progress().is_none();
            state.run(job);
            Ok(Asked { id, param, loading, was_loaded, is_streamed })
        }
    }
}

/// The model as the list has it.
fn shown(state: &AppState, id: &str) -> Result<Value, ApiError> {
    let entry = state.models().entry(id);
    entry.map(|entry| model_object(&entry)).ok_or_else(|| ApiError::unknown_model(id))
}

/// Tells how far a load is, then the model.
fn streamed(state: AppState, asked: Asked) -> Response {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(tell(state, asked, sender));
    let body = Body::from_stream(ReceiverStream::new(receiver));
    (headers(SERVER_SENT_EVENTS), body).into_response()
}

type Events = mpsc::Sender<Result<Bytes, Infallible>>;

/// Writes the events of a load until it has ended or the client has left.
async fn tell(state: AppState, asked: Asked, events: Events) {
    let Asked { id, param, mut loading, .. } = asked;
    let mut progress = loading.now();
    while let Some(reached) = progress {
        if events.send(Ok(event(&load_object(&id, reached)))).await.is_err() {
            return;
        }
        // A load changes more often than anybody wants to hear of it.
        tokio::time::sleep(LOAD_EVENT_PAUSE).await;
        progress = loading.next().await;
    }
    let outcome = loading.wait().await;
    let loaded = outcome.as_ref().map_err(|failure| ApiError::load_failed(failure.clone(), param));
    let last = match loaded.and_then(|_| shown_event(&state, &id)) {
        Ok(last) => last,
        Err(error) => event(&ErrorBody { error: &error }),
    };
    // A client that has left hears of it no more.
    events.send(Ok(last)).await.ok();
}

/// The last words of a load that came to its end.
fn shown_event(state: &AppState, id: &str) -> Result<Bytes, ApiError> {
    let mut bytes = Vec::new();
    write_data(&shown(state, id)?, &mut bytes);
    bytes.extend_from_slice(b"data: [DONE]\n\n");
    Ok(bytes.into())
}

fn event(body: &impl serde::Serialize) -> Bytes {
    let mut bytes = Vec::new();
    write_data(body, &mut bytes);
    bytes.into()
}

fn load_object(id: &str, progress: LoadProgress) -> Value {
    let mut object = json!({"object": "model.load", "id": id});
    if let (Some(object), Value::Object(fields)) =
        (object.as_object_mut(), progress_fields(progress))
    {
        object.extend(fields);
    }
    object
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
