//! One answer of a model of this host, from the request to its last token.
//!
//! Dropped unfinished, it is cancelled: the model stops within a token.

use host_generation::{
    FinishReason, GenerationError, GenerationEvent, GenerationRequest, Generator,
};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::failure::Failure;

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) model: String,
    pub(crate) text: String,
    pub(crate) reason: FinishReason,
    prompt_tokens: usize,
    completion_tokens: usize,
}

impl Written {
    /// As the tools that write show it.
    pub(crate) fn shown(&self) -> Value {
        let reason = if self.reason == FinishReason::Length { "length" } else { "stop" };
        json!({
            "model": self.model,
            "text": self.text,
            "finish_reason": reason,
            "usage": {
                "prompt_tokens": self.prompt_tokens,
                "completion_tokens": self.completion_tokens,
                "total_tokens": self.prompt_tokens + self.completion_tokens,
            },
        })
    }
}

/// Has a model answer the request that `make` gives, and tells how many tokens there are and what
/// text is new, as it comes.
pub(crate) async fn write(
    generator: Generator,
    make: impl FnOnce(&Generator) -> Result<GenerationRequest, GenerationError> + Send + 'static,
    mut told: impl FnMut(usize, &str),
) -> Result<Written, Failure> {
    let model = generator.summary().id.clone();
    // Rendering, tokenizing and compiling a grammar take their time.
    let submit = move || generator.submit(make(&generator)?);
    let submitted = spawn_blocking(submit).await.map_err(|_| Failure::new("a bug of the host"))?;
    let mut stream = submitted?;
    let prompt_tokens = stream.prompt_token_count();
    let (mut text, mut tokens) = (String::new(), 0);
    while let Some(event) = stream.next().await {
        match event {
            GenerationEvent::Delta { delta, .. } => {
                tokens += delta.token_count;
                text.push_str(&delta.text);
                told(tokens, &delta.text);
            }
            GenerationEvent::Finished { reason, tokens, .. } => {
                let completion_tokens = tokens.completion;
                return Ok(Written { model, text, reason, prompt_tokens, completion_tokens });
            }
            GenerationEvent::Failed { error, .. } => {
                let partial = Some(text).filter(|text| !text.is_empty());
                return Err(Failure::Failed { message: error.to_string(), partial });
            }
        }
    }
    Err(Failure::new("the model ended without a word why"))
}
