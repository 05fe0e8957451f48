//! `/tokenize` and `/detokenize`, in the forms that clients of other hosts send.
//!
//! There is no standard: one form says `prompt` and adds special tokens unless told not to, another
//! says `content` and adds none unless told to. Both are taken, and both kinds of answer are given.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use host_generation::ServedModel;
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::fields::{Fields, kind};
use crate::state::AppState;
use crate::{body, chat, wire};

#[derive(Serialize)]
struct Tokenized {
    count: usize,
    max_model_len: usize,
    tokens: Tokens,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Tokens {
    Ids(Vec<u32>),
    Pieces(Vec<Piece>),
}

#[derive(Serialize)]
struct Piece {
    id: u32,
    piece: PieceText,
}

/// A token alone: text, or bytes where they are no whole characters.
#[derive(Serialize)]
#[serde(untagged)]
enum PieceText {
    Text(String),
    Bytes(Vec<u8>),
}

#[derive(Serialize)]
struct Detokenized<'a> {
    prompt: &'a str,
    content: &'a str,
    text: &'a str,
}

/// Text to tokens.
pub(crate) async fn tokenize(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read(&state, request).await?;
    let tokenized = body::run_blocking(move || {
        let object = body::parse(&bytes)?;
        let fields = Fields::of_request(&object);
        let model = state.model(fields.text("model")?)?;
        let ids = ids(&model, &fields)?;
        let tokens = if fields.flag("with_pieces")? {
            Tokens::Pieces(ids.iter().map(|id| piece(&model, *id)).collect())
        } else {
            Tokens::Ids(ids.clone())
        };
        let max_model_len = model.limits().context_length;
        Ok(Tokenized { count: ids.len(), max_model_len, tokens })
    })
    .await?;
    Ok((wire::JSON, wire::to_json(&tokenized)).into_response())
}

/// Tokens to text.
pub(crate) async fn detokenize(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read(&state, request).await?;
    let text = body::run_blocking(move || {
        let object = body::parse(&bytes)?;
        let fields = Fields::of_request(&object);
        let model = state.model(fields.text("model")?)?;
        let tokens = fields.list("tokens")?.ok_or_else(|| ApiError::missing("tokens"))?;
        let vocab_size = model.limits().vocab_size;
        let token = |entry| token(entry, vocab_size);
        let ids = tokens.iter().map(token).collect::<Result<Vec<_>, _>>()?;
        let skip_special = fields.flag("skip_special_tokens")?;
        let decoded = model.tokenizer().decode(&ids, skip_special);
        decoded.map_err(|error| ApiError::wrong_value("tokens", error.to_string()))
    })
    .await?;
    let body = Detokenized { prompt: &text, content: &text, text: &text };
    Ok((wire::JSON, wire::to_json(&body)).into_response())
}

/// The prompt that a conversation becomes.
pub(crate) async fn apply_template(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read(&state, request).await?;
    let prompt = body::run_blocking(move || {
        let object = body::parse(&bytes)?;
        let fields = Fields::of_request(&object);
        let generator = state.generator(fields.text("model")?)?;
        Ok(generator.render_chat(&chat::chat_prompt(&fields)?)?)
    })
    .await?;
    Ok(Json(json!({ "prompt": prompt })).into_response())
}

fn ids(model: &ServedModel, fields: &Fields<'_>) -> Result<Vec<u32>, ApiError> {
    if fields.value("messages").is_some() {
        return chat::chat_tokens(&model.clone().into_generator()?, fields);
    }
    let (text, adds_special) = match (fields.text("prompt")?, fields.text("text")?) {
        (Some(text), _) | (None, Some(text)) => (text, true),
        (None, None) => {
            let content = fields.text("content")?;
            (content.ok_or_else(|| ApiError::missing("prompt"))?, false)
        }
    };
    let mut add_special = adds_special;
    for name in ["add_special_tokens", "add_special"] {
        if fields.value(name).is_some() {
            add_special = fields.flag(name)?;
        }
    }
    model.tokenize(text, add_special).map_err(|error| ApiError::from(error).about("prompt"))
}

fn piece(model: &ServedModel, id: u32) -> Piece {
    let piece = match String::from_utf8(model.tokenizer().token_bytes(id)) {
        Ok(text) => PieceText::Text(text),
        Err(error) => PieceText::Bytes(error.into_bytes()),
    };
    Piece { id, piece }
}

fn token(entry: &Value, vocab_size: usize) -> Result<u32, ApiError> {
    let Some(number) = entry.as_u64() else {
        return Err(ApiError::wrong_type("tokens", "an array of token ids", kind(entry)));
    };
    match u32::try_from(number) {
        Ok(token) if (token as usize) < vocab_size => Ok(token),
        _ => {
            let message = format!("tokens names {number}, expected token ids below {vocab_size}");
            Err(ApiError::wrong_value("tokens", message))
        }
    }
}
