//! One served embedding model: its thread and its tokenizer.
//!
//! A handle that edges clone freely, as a [`crate::Generator`] is; the thread ends when the last one
//! is gone or when it is told to drain. Texts are checked here against all that is known of the
//! model, so that what is handed over can run. It loads no model and chooses none.

use std::sync::Arc;
use std::time::Instant;

use host_engine::{EmbeddingEngine, EmbeddingShape, EngineLimits, StepModel, TextError};
use host_metrics::Metrics;
use host_model::{LoadedModel, ModelSummary, Tokenizer};
use tokio::sync::oneshot;

use crate::embedding_worker::{EmbeddingWorker, Texts};
use crate::error::GenerationError;
use crate::limits::{EMBEDDING_TEXTS_MAX, EMBEDDING_TOKENS_MAX};
use crate::request::{Prompt, invalid, tokenize};
use crate::shared::{ModelState, Shared};

/// An embedding model without what computes its steps.
#[derive(Debug, Clone)]
pub struct EmbedderParts {
    /// What to tell people about it.
    pub summary: ModelSummary,
    /// Text to tokens and back.
    pub tokenizer: Tokenizer,
    /// Sizes its steps must keep.
    pub limits: EngineLimits,
    /// What its vectors are like.
    pub shape: EmbeddingShape,
}

/// A served embedding model; clones share it.
#[derive(Debug, Clone)]
pub struct Embedder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    parts: EmbedderParts,
    shared: Arc<Shared<Texts>>,
}

/// The vectors of a request's texts, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    /// One for each text, all of the model's width.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens of all texts.
    pub prompt_tokens: usize,
}

/// Vectors that are being computed. Dropping it cancels what has not run.
#[derive(Debug)]
pub struct PendingEmbeddings {
    shared: Arc<Shared<Texts>>,
    receiver: oneshot::Receiver<Result<Vec<Vec<f32>>, GenerationError>>,
    prompt_tokens: usize,
}

impl Embedder {
    /// Starts the thread of a loaded model.
    ///
    /// # Errors
    /// It generates, its limits contradict each other, or there is no thread for it.
    pub fn spawn(model: LoadedModel, metrics: Metrics) -> Result<Self, GenerationError> {
        let LoadedModel { summary, tokenizer, limits, embedding, session, .. } = model;
        match embedding {
            Some(shape) => {
                let parts = EmbedderParts { summary, tokenizer, limits, shape };
                Self::spawn_with(parts, session, metrics)
            }
            None => Err(GenerationError::OnlyGenerates { model: summary.id }),
        }
    }

    /// As [`Embedder::spawn`], for anything that can run steps.
    ///
    /// # Errors
    /// As [`Embedder::spawn`].
    pub fn spawn_with<M: StepModel + 'static>(
        parts: EmbedderParts,
        model: M,
        metrics: Metrics,
    ) -> Result<Self, GenerationError> {
        let engine = EmbeddingEngine::new(parts.limits, parts.shape, model)
            .map_err(|error| GenerationError::Start { message: error.to_string() })?;
        let shared = Arc::new(Shared::new(&metrics, &parts.summary.id));
        let worker = EmbeddingWorker::new(engine, Arc::clone(&shared), metrics);
        shared.spawn(&parts.summary.id, move || worker.run())?;
        Ok(Self { inner: Arc::new(Inner { parts, shared }) })
    }

    /// What to tell people about the model.
    pub fn summary(&self) -> &ModelSummary {
        &self.inner.parts.summary
    }

    /// Text to tokens and back.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.inner.parts.tokenizer
    }

    /// Sizes its steps keep.
    pub fn limits(&self) -> &EngineLimits {
        &self.inner.parts.limits
    }

    /// Floats of a vector.
    pub fn width(&self) -> usize {
        self.inner.parts.shape.width
    }

    /// Whether it serves.
    pub fn state(&self) -> ModelState {
        self.inner.shared.state()
    }

    /// Tokens of a text, checked for [`Embedder::embed`]. Call it where time may pass.
    ///
    /// # Errors
    /// The model cannot embed this text, or the tokenizer cannot read it.
    pub fn tokens(&self, text: Prompt) -> Result<Vec<u32>, GenerationError> {
        let EmbedderParts { tokenizer, limits, shape, .. } = &self.inner.parts;
        let tokens = match text {
            Prompt::Tokens(tokens) => tokens,
            Prompt::Text { text, add_special } => {
                tokenize(tokenizer, limits.context_length, &text, add_special)?
            }
        };
        shape.check(limits, &tokens).map_err(|error| refusal(&error))?;
        Ok(tokens)
    }

    /// Starts a request for the vectors of some texts, each the tokens of one. Those of several
    /// requests run in turns, and in the same steps.
    ///
    /// # Errors
    /// The texts are none, too many or not within the model's limits, the queue is full, or the
    /// model is out of service.
    pub fn embed(&self, texts: Vec<Vec<u32>>) -> Result<PendingEmbeddings, GenerationError> {
        let shared = &self.inner.shared;
        shared.check_ready()?;
        let prompt_tokens = self.check(&texts)?;
        shared.mailbox.take_places(1, self.limits().live_max())?;
        let (sender, receiver) = oneshot::channel();
        let submission = Texts {
            texts,
            sender,
            in_flight: shared.metrics.request_started(),
            submitted: Instant::now(),
        };
        if shared.mailbox.submit(submission) {
            shared.metrics.add_prompt_tokens(prompt_tokens);
            let shared = Arc::clone(shared);
            return Ok(PendingEmbeddings { shared, receiver, prompt_tokens });
        }
        shared.mailbox.free_places(1);
        Err(shared.closed_error())
    }

    /// Takes no new requests; those that run are finished.
    pub fn shutdown(&self) {
        self.inner.shared.drain();
    }

    /// Checks the texts of a request; their tokens together.
    fn check(&self, texts: &[Vec<u32>]) -> Result<usize, GenerationError> {
        let EmbedderParts { limits, shape, .. } = &self.inner.parts;
        let count = texts.len();
        if count == 0 || count > EMBEDDING_TEXTS_MAX {
            let message = format!("{count} texts found, expected 1 to {EMBEDDING_TEXTS_MAX}");
            return Err(invalid("input", message));
        }
        for text in texts {
            shape.check(limits, text).map_err(|error| refusal(&error))?;
        }
        let tokens = texts.iter().map(Vec::len).sum();
        if tokens > EMBEDDING_TOKENS_MAX {
            let message = format!(
                "the texts have {tokens} tokens together, expected at most {EMBEDDING_TOKENS_MAX}"
            );
            return Err(invalid("input", message));
        }
        Ok(tokens)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.drain();
    }
}

impl PendingEmbeddings {
    /// Waits for the vectors.
    ///
    /// # Errors
    /// A step failed, or the model went out of service.
    pub async fn wait(self) -> Result<Embeddings, GenerationError> {
        let Self { shared, receiver, prompt_tokens } = self;
        let vectors = receiver.await.unwrap_or_else(|_| Err(shared.closed_error()))?;
        Ok(Embeddings { vectors, prompt_tokens })
    }

    /// As [`PendingEmbeddings::wait`], for a thread of its own; must not be called in async code.
    ///
    /// # Errors
    /// As [`PendingEmbeddings::wait`].
    pub fn blocking_wait(self) -> Result<Embeddings, GenerationError> {
        let Self { shared, receiver, prompt_tokens } = self;
        let vectors = receiver.blocking_recv().unwrap_or_else(|_| Err(shared.closed_error()))?;
        Ok(Embeddings { vectors, prompt_tokens })
    }
}

/// Why a text cannot be embedded, in the words of a request.
fn refusal(error: &TextError) -> GenerationError {
    match *error {
        TextError::ContextTooShort { tokens, limit } => {
            GenerationError::PromptTooLong { tokens, limit }
        }
        TextError::Empty
        | TextError::StepTooShort { .. }
        | TextError::KvTooSmall { .. }
        | TextError::TokenOutOfRange { .. } => invalid("input", error.to_string()),
    }
}
