//! `POST /v1/embeddings`: texts or tokens in, a vector for each out.
//!
//! A vector may be cut to its first `dimensions`, as models trained for it allow (Kusupati et al.,
//! 2022), and goes out as numbers or as the bytes of little-endian floats.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use host_generation::{EMBEDDING_TEXTS_MAX, Embeddings, PendingEmbeddings};
use serde::Serialize;

use crate::error::{ApiError, quote};
use crate::fields::Fields;
use crate::meter::Meter;
use crate::state::AppState;
use crate::{base64, body, prompts, wire};

/// A request whose vectors are being computed.
struct Job {
    model: String,
    pending: PendingEmbeddings,
    dimensions: Option<usize>,
    encoding: Encoding,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Float,
    Base64,
}

#[derive(Serialize)]
struct List {
    object: &'static str,
    data: Vec<Entry>,
    model: String,
    usage: Usage,
}

#[derive(Serialize)]
struct Entry {
    object: &'static str,
    index: usize,
    embedding: Vector,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector {
    Float(Vec<f32>),
    Base64(String),
}

/// Embedding completes nothing, so there are no completion tokens.
#[derive(Serialize)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

/// Embeds one or more texts.
pub(crate) async fn embeddings(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read(&state, request).await?;
    let job = body::run_blocking(move || prepare(&state, &bytes)).await?;
    let Job { model, pending, dimensions, encoding } = job;
    let embeddings = pending.wait().await?;
    let answer = move || Ok(wire::to_json(&list(model, embeddings, dimensions, encoding)));
    Ok((wire::JSON, body::run_once(answer).await?).into_response())
}

fn prepare(state: &AppState, bytes: &[u8]) -> Result<Job, ApiError> {
    let object = body::parse(bytes)?;
    let fields = Fields::of_request(&object);
    let embedder = state.embedder(fields.text("model")?)?;
    let encoding = match fields.text("encoding_format")? {
        None | Some("float") => Encoding::Float,
        Some("base64") => Encoding::Base64,
        Some(other) => {
            let message = format!("encoding_format is {}, expected float or base64", quote(other));
            return Err(ApiError::wrong_value("encoding_format", message));
        }
    };
    let dimensions = fields.integer("dimensions", 1..=embedder.width() as i64)?;
    fields.text("user")?;
    let texts = prompts::prompts(&fields, "input")?;
    if texts.len() > EMBEDDING_TEXTS_MAX {
        let found = texts.len();
        let message = format!("input has {found} texts, expected at most {EMBEDDING_TEXTS_MAX}");
        return Err(ApiError::wrong_value("input", message));
    }
    let is_single = texts.len() == 1;
    let tokens = |(index, text)| {
        let place = if is_single { "input".to_owned() } else { format!("input[{index}]") };
        embedder.tokens(text).map_err(|error| ApiError::from(error).about(&place))
    };
    let tokens = texts.into_iter().enumerate().map(tokens).collect::<Result<Vec<_>, _>>()?;
    let model = embedder.summary().id.clone();
    let prompt_tokens = tokens.iter().map(Vec::len).sum();
    let pending = embedder.embed(tokens)?;
    let meter = Meter::current();
    meter.set_model(&model);
    meter.add_prompt_tokens(prompt_tokens);
    Ok(Job { model, pending, dimensions: dimensions.map(|count| count as usize), encoding })
}

fn list(
    model: String,
    embeddings: Embeddings,
    dimensions: Option<usize>,
    encoding: Encoding,
) -> List {
    let entry = |(index, mut vector): (usize, Vec<f32>)| {
        if let Some(dimensions) = dimensions.filter(|count| *count < vector.len()) {
            cut(&mut vector, dimensions);
        }
        let embedding = match encoding {
            Encoding::Float => Vector::Float(vector),
            Encoding::Base64 => {
                let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
                Vector::Base64(base64::encode(&bytes))
            }
        };
        Entry { object: "embedding", index, embedding }
    };
    let Embeddings { vectors, prompt_tokens } = embeddings;
    List {
        object: "list",
        data: vectors.into_iter().enumerate().map(entry).collect(),
        model,
        usage: Usage { prompt_tokens, total_tokens: prompt_tokens },
    }
}

/// Keeps the first values, and makes their length 1 again.
fn cut(vector: &mut Vec<f32>, dimensions: usize) {
    vector.truncate(dimensions);
    let square: f64 = vector.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
    if square > 0.0 {
        let norm = square.sqrt();
        vector.iter_mut().for_each(|value| *value = (f64::from(*value) / norm) as f32);
    }
}
