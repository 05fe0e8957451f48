//! `/api/*`: Ollama's native API, for clients that speak no other.
//!
//! A request is put into the form of a chat and read by the code for chats; a raw prompt has the
//! same settings and no template. Models are only told of: they come and go by this host's own
//! routes.

mod answer;
mod models;
mod request;

use std::time::Instant;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use host_generation::{GenerationEvent, ModelEntry, ModelStatus, Prompt};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::event_stream::streamed;
use crate::fields::Fields;
use crate::merge::MergedStream;
use crate::models::head;
use crate::state::AppState;
use crate::{body, chat as chats, wire};
use answer::Answer;
use request::Asked;

/// The routes whose errors have Ollama's shape.
pub(crate) const ROUTES: [&str; 5] =
    ["/api/version", "/api/tags", "/api/show", "/api/chat", "/api/generate"];

/// The two ways to ask and to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Chat,
    Generate,
}

/// Gives an error's answer the body that Ollama's clients read.
pub(crate) fn reshape(response: &mut Response, error: &ApiError) {
    *response.body_mut() = Body::from(wire::to_json(&error_body(error)));
    response.headers_mut().remove(header::CONTENT_LENGTH);
}

/// This host's version, under which no feature of Ollama's can be looked up.
pub(crate) async fn version() -> Json<Value> {
    Json(json!({"version": env!("CARGO_PKG_VERSION")}))
}

/// The models that are loaded, or would be when they are asked for.
pub(crate) async fn tags(State(state): State<AppState>) -> Json<Value> {
    let tag = |entry: ModelEntry| match entry.status {
        ModelStatus::Loaded(model) => Some(models::tag(&model)),
        ModelStatus::Available | ModelStatus::Loading(_) => {
            Some(models::unloaded_tag(&entry.checkpoint))
        }
        ModelStatus::Failed(_) => None,
    };
    let models: Vec<Value> = state.models().list().into_iter().filter_map(tag).collect();
    Json(json!({"models": models}))
}

/// What is known of one model.
pub(crate) async fn show(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let bytes = body::read(&state, request).await?;
    let details = move || {
        let object = body::parse(&bytes)?;
        let fields = Fields::of_request(&object);
        // Older clients call it `name`.
        let name = fields.text("model")?.or(fields.text("name")?);
        let name = name.ok_or_else(|| ApiError::missing("model"))?;
        Ok(Json(models::details(&state.model(Some(known_name(&state, name)))?)))
    };
    body::run_blocking(details).await
}

/// Answers a conversation.
pub(crate) async fn chat(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    respond(state, request, Endpoint::Chat).await
}

/// Answers or continues a prompt.
pub(crate) async fn generate(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    respond(state, request, Endpoint::Generate).await
}

/// An answer about to be sent.
struct Job {
    stream: MergedStream,
    answer: Answer,
    is_streamed: bool,
}

async fn respond(
    state: AppState,
    request: Request,
    endpoint: Endpoint,
) -> Result<Response, ApiError> {
    let bytes = body::read(&state, request).await?;
    let mut job = body::run_blocking(move || prepare(&state, &bytes, endpoint)).await?;
    let begun = job.stream.begin().await;
    begun.map_err(|error| ApiError::from(error).renamed(request::own_name))?;
    job.answer.begin();
    if job.is_streamed {
        return Ok(streamed(job.stream, job.answer));
    }
    while let Some(event) = job.stream.next().await {
        if let GenerationEvent::Failed { error, .. } = event {
            return Err(error.into());
        }
        job.answer.take(event);
    }
    Ok((wire::JSON, wire::to_json(&job.answer.whole())).into_response())
}

fn prepare(state: &AppState, bytes: &[u8], endpoint: Endpoint) -> Result<Job, ApiError> {
    let started = Instant::now();
    let object = body::parse(bytes)?;
    let given = Fields::of_request(&object);
    let is_streamed = given.value("stream").is_none() || given.flag("stream")?;
    let id = given.text("model")?.map(|name| known_name(state, name));
    let generator = state.generator(id)?;
    let mut form = request::settings(&given, endpoint)?;
    form.insert("model".to_owned(), id.into());
    let submitted = match request::asked(&given, endpoint)? {
        Asked::Nothing => Ok((MergedStream::new(Vec::new(), 1), head(&generator, ""))),
        Asked::Text(text) => {
            let prompt = Prompt::Text { text, add_special: true };
            chats::submit_prompt(&generator, &Fields::of_request(&form), prompt, "")
        }
        Asked::Messages(messages) => {
            form.insert("messages".to_owned(), messages.into());
            chats::submit(state, &Fields::of_request(&form), "")
        }
    };
    let (stream, head) = submitted.map_err(|error| error.renamed(request::own_name))?;
    let answer = Answer::new(endpoint, head, stream.prompt_token_count(), started);
    Ok(Job { stream, answer, is_streamed })
}

/// A model that goes by its bare name here may be asked for by its tag.
fn known_name<'a>(state: &AppState, name: &'a str) -> &'a str {
    match name.strip_suffix(":latest") {
        Some(bare) if state.models().entry(name).is_none() => bare,
        _ => name,
    }
}

/// The body of an error's answer, and the last line of a stream that failed.
fn error_body(error: &ApiError) -> Value {
    json!({"error": error.message()})
}
