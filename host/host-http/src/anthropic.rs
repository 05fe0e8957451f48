//! `POST /v1/messages` and `POST /v1/messages/count_tokens`: Anthropic's Messages API.
//!
//! Its clients get the same models, templates, tools and sampling as those of chat: a request is put
//! into the form of a chat and read by the code for chats, and the events of its generation are told
//! in other words. Nothing is decided here that is not the wire's.

mod answer;
mod blocks;
mod conversation;
mod error;
mod request;
mod wire;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::answer::Job;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::limits::TOKENS_MAX;
use crate::state::AppState;
use crate::{body, chat, sampling};
use blocks::Blocks;

pub(crate) use error::reshape;

/// The routes whose errors have Anthropic's shape.
pub(crate) const ROUTES: [&str; 2] = ["/v1/messages", "/v1/messages/count_tokens"];

/// Answers a conversation.
pub(crate) async fn messages(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read(&state, request).await?;
    let job = body::run_blocking(move || prepare(&state, &bytes)).await?;
    answer::respond(job).await
}

/// Counts the tokens of a conversation.
pub(crate) async fn count_tokens(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read(&state, request).await?;
    let tokens = body::run_blocking(move || {
        let object = body::parse(&bytes)?;
        let form = request::chat_form(&Fields::of_request(&object))?;
        let fields = Fields::of_request(&form);
        chat::chat_tokens(&state.generator(fields.text("model")?)?, &fields)
    })
    .await?;
    Ok(axum::Json(json!({"input_tokens": tokens.len()})).into_response())
}

fn prepare(state: &AppState, bytes: &[u8]) -> Result<Job<Blocks>, ApiError> {
    let object = body::parse(bytes)?;
    let given = Fields::of_request(&object);
    let tokens_max = given.integer("max_tokens", 1..=TOKENS_MAX)?;
    tokens_max.ok_or_else(|| ApiError::missing("max_tokens"))?;
    let form = request::chat_form(&given)?;
    let fields = Fields::of_request(&form);
    let delivery = sampling::delivery(&fields)?;
    let (stream, head) = chat::submit(state, &fields, "msg_")?;
    Ok(Job { stream, head, form: Blocks::default(), delivery })
}
