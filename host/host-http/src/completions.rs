//! `POST /v1/completions`: text or tokens in, text out.
//!
//! The older endpoint, which evaluation and benchmark tools still speak: several prompts at once,
//! prompts as tokens, and `echo` with logprobs, which scores a given text.

use axum::extract::{Request, State};
use axum::response::Response;
use host_generation::{Delta, FinishReason, GenerationRequest, TOP_LOGPROBS_MAX, TokenPiece};

use crate::answer::{Form, Gathered, Job, respond};
use crate::error::ApiError;
use crate::fields::Fields;
use crate::legacy::TextLogprobs;
use crate::limits::{ANSWERS_MAX, COMPLETION_TOKENS_DEFAULT, TOKENS_MAX};
use crate::merge::MergedStream;
use crate::models::head;
use crate::state::AppState;
use crate::wire::{TextChoice, finish_reason};
use crate::{body, prompts, sampling};

/// Continues one or more prompts.
pub(crate) async fn completions(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read(&state, request).await?;
    let job = body::run_blocking(move || prepare(&state, &bytes)).await?;
    respond(job).await
}

fn prepare(state: &AppState, bytes: &[u8]) -> Result<Job<TextForm>, ApiError> {
    let object = body::parse(bytes)?;
    let fields = Fields::of_request(&object);
    let generator = state.generator(fields.text("model")?)?;
    let prompts = prompts::prompts(&fields, "prompt")?;
    let delivery = sampling::delivery(&fields)?;
    let mut request = sampling::request(&fields, generator.limits().vocab_size)?;
    request.echo = fields.flag("echo")?;
    request.tokens_max = Some(tokens_max(&fields, request.echo)?);
    let logprobs = fields.integer("logprobs", 0..=i64::from(TOP_LOGPROBS_MAX))?;
    request.logprobs = logprobs.map(|count| count as u8);
    if fields.text("suffix")?.is_some_and(|suffix| !suffix.is_empty()) {
        return Err(ApiError::unsupported("suffix", "suffix is not supported"));
    }
    let choices = request.choices;
    if prompts.len() * choices > ANSWERS_MAX {
        let found = prompts.len() * choices;
        let message = format!("{found} answers are asked for, expected at most {ANSWERS_MAX}");
        return Err(ApiError::wrong_value("prompt", message));
    }
    let form = TextForm { logprobs: logprobs.is_some() };
    let submit = |prompt| {
        let request = GenerationRequest { prompt, ..request.clone() };
        generator.submit(request).map_err(|error| match ApiError::from(error) {
            error if error.code() == "context_length_exceeded" => error.about("prompt"),
            error => error,
        })
    };
    let streams = prompts.into_iter().map(submit).collect::<Result<Vec<_>, _>>()?;
    Ok(Job {
        stream: MergedStream::new(streams, choices),
        head: head(&generator, "cmpl-"),
        form,
        delivery,
    })
}

/// No token may be asked for only where the prompt itself is the answer.
fn tokens_max(fields: &Fields<'_>, echo: bool) -> Result<usize, ApiError> {
    let least = if echo { 0 } else { 1 };
    let newer = fields.integer("max_completion_tokens", least..=TOKENS_MAX)?;
    let older = fields.integer("max_tokens", least..=TOKENS_MAX)?;
    Ok(newer.or(older).map_or(COMPLETION_TOKENS_DEFAULT, |count| count as usize))
}

/// The shape of text completions.
#[derive(Debug)]
struct TextForm {
    logprobs: bool,
}

impl TextForm {
    fn choice(
        &self,
        index: usize,
        text: String,
        pieces: Vec<TokenPiece>,
        reason: Option<FinishReason>,
    ) -> TextChoice {
        TextChoice {
            text,
            index,
            logprobs: self.logprobs.then(|| TextLogprobs::new(pieces)),
            finish_reason: reason.map(finish_reason),
        }
    }
}

impl Form for TextForm {
    type Whole = TextChoice;
    type Chunk = TextChoice;

    const OBJECT: &'static str = "text_completion";
    const CHUNK_OBJECT: &'static str = "text_completion";

    fn opening(_index: usize) -> Option<TextChoice> {
        None
    }

    fn delta(&self, index: usize, delta: Delta) -> TextChoice {
        self.choice(index, delta.text, delta.tokens, None)
    }

    fn closing(index: usize, reason: FinishReason) -> TextChoice {
        let finish_reason = Some(finish_reason(reason));
        TextChoice { text: String::new(), index, logprobs: None, finish_reason }
    }

    fn whole(&self, index: usize, gathered: Gathered) -> TextChoice {
        self.choice(index, gathered.text, gathered.pieces, Some(gathered.reason))
    }
}
