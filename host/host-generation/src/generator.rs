//! One served model: its engine thread, its tokenizer and its chat template.
//!
//! A handle that edges clone freely; the engine thread ends when the last one is gone or when it is
//! told to drain. Requests are checked here as far as their own words go; what only the engine knows
//! comes back through the stream. It loads no model and chooses none.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use host_engine::{Engine, EngineLimits, SamplingParams, SequenceId, SequenceRequest, StepModel};
use host_metrics::{Metrics, ModelMetrics};
use host_model::{LoadedModel, ModelSummary, SpecialTokens, Tokenizer};
use tokio::sync::mpsc;

use crate::assembler::{Assembler, AssemblerOptions};
use crate::chat_template::{ChatPrompt, ChatTemplate};
use crate::error::{GenerationError, TemplateError};
use crate::limits::{EVENT_QUEUE_MAX, PROMPT_BYTES_PER_TOKEN_MAX};
use crate::mailbox::Mailbox;
use crate::request::{GenerationRequest, Prompt, invalid};
use crate::stream::{GenerationStream, StreamParts};
use crate::worker::{Submission, Worker};

/// Seconds after which a client may try again when the queue is full.
const RETRY_AFTER_S: u32 = 1;

/// A model without what computes its steps.
#[derive(Debug, Clone)]
pub struct ModelParts {
    /// What to tell people about it.
    pub summary: ModelSummary,
    /// Text to tokens and back.
    pub tokenizer: Tokenizer,
    /// Jinja text, if the checkpoint has one.
    pub chat_template: Option<String>,
    /// Tokens with a meaning of their own.
    pub special: SpecialTokens,
    /// Sizes the engine must keep.
    pub limits: EngineLimits,
}

/// Whether a model serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelState {
    /// It takes requests.
    Ready,
    /// It finishes what it has and takes nothing new.
    Draining,
    /// A plugin panicked in it.
    Faulted {
        /// Plugin to blame.
        plugin: String,
        /// What it said.
        message: String,
    },
}

/// A served model; clones share it.
#[derive(Debug, Clone)]
pub struct Generator {
    inner: Arc<Inner>,
}

/// What the handles, the streams and the engine thread of a model share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) mailbox: Mailbox,
    pub(crate) metrics: ModelMetrics,
    state: Mutex<ModelState>,
}

#[derive(Debug)]
struct Inner {
    parts: ModelParts,
    chat_template: Result<ChatTemplate, TemplateError>,
    shared: Arc<Shared>,
    requests: AtomicU64,
}

impl Generator {
    /// Starts the engine thread of a loaded model.
    ///
    /// # Errors
    /// Its limits contradict each other, or there is no thread for it.
    pub fn spawn(model: LoadedModel, metrics: Metrics) -> Result<Self, GenerationError> {
        let parts = ModelParts {
            summary: model.summary,
            tokenizer: model.tokenizer,
            chat_template: model.chat_template,
            special: model.special,
            limits: model.limits,
        };
        Self::spawn_with(parts, model.session, metrics)
    }

    /// As [`Generator::spawn`], for anything that can run steps.
    ///
    /// # Errors
    /// As [`Generator::spawn`].
    pub fn spawn_with<M: StepModel + 'static>(
        parts: ModelParts,
        model: M,
        metrics: Metrics,
    ) -> Result<Self, GenerationError> {
        let start = |message: String| GenerationError::Start { message };
        let engine = Engine::new(parts.limits, model).map_err(|error| start(error.to_string()))?;
        let shared = Arc::new(Shared {
            mailbox: Mailbox::default(),
            metrics: metrics.model(&parts.summary.id),
            state: Mutex::new(ModelState::Ready),
        });
        let chat_template = chat_template(&parts);
        if let Err(error @ (TemplateError::Syntax { .. } | TemplateError::Doubling { .. })) =
            &chat_template
        {
            tracing::warn!(model = parts.summary.id, %error, "the model cannot chat");
        }
        let closer = Closer(Arc::clone(&shared));
        let worker = Worker::new(engine, Arc::clone(&shared), metrics);
        std::thread::Builder::new()
            .name(format!("engine {}", parts.summary.id))
            .spawn(move || {
                let _closer = closer;
                worker.run();
            })
            .map_err(|error| start(error.to_string()))?;
        let inner = Inner { parts, chat_template, shared, requests: AtomicU64::new(0) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What to tell people about the model.
    pub fn summary(&self) -> &ModelSummary {
        &self.inner.parts.summary
    }

    /// Text to tokens and back.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.inner.parts.tokenizer
    }

    /// Sizes the engine keeps.
    pub fn limits(&self) -> &EngineLimits {
        &self.inner.parts.limits
    }

    /// Whether it serves.
    pub fn state(&self) -> ModelState {
        self.inner.shared.state()
    }

    /// Whether the checkpoint brought a chat template that can be used.
    pub fn has_chat_template(&self) -> bool {
        self.inner.chat_template.is_ok()
    }

    /// Renders a conversation to the prompt the model was trained on.
    ///
    /// # Errors
    /// There is no template, or it refused the conversation.
    pub fn render_chat(&self, chat: &ChatPrompt) -> Result<String, GenerationError> {
        let template = self.inner.chat_template.as_ref().map_err(TemplateError::clone)?;
        Ok(template.render(chat)?)
    }

    /// Tokens of a text.
    ///
    /// # Errors
    /// The text is much longer than the context, or the tokenizer cannot read it.
    pub fn tokenize(&self, text: &str, add_special: bool) -> Result<Vec<u32>, GenerationError> {
        let limit = self.inner.parts.limits.context_length;
        let bytes_max = limit.saturating_mul(PROMPT_BYTES_PER_TOKEN_MAX);
        if text.len() > bytes_max {
            let bytes = text.len();
            return Err(GenerationError::PromptTextTooLong { bytes, bytes_max, limit });
        }
        self.tokenizer()
            .encode(text, add_special)
            .map_err(|error| GenerationError::Tokenizer { message: error.to_string() })
    }

    /// Starts a request. Tokenizes its prompt, so call it where time may pass.
    ///
    /// # Errors
    /// The request can never be served, the queue is full, or the model is out of service. What only
    /// the engine can find fault with comes as the stream's first event.
    pub fn submit(&self, request: GenerationRequest) -> Result<GenerationStream, GenerationError> {
        let shared = &self.inner.shared;
        if self.state() != ModelState::Ready {
            return Err(shared.closed_error());
        }
        request.check()?;
        let tokens = match &request.prompt {
            Prompt::Text { text, add_special } => self.tokenize(text, *add_special)?,
            Prompt::Tokens(tokens) => tokens.clone(),
        };
        self.check_length(&request, tokens.len())?;
        let echo = match &request.prompt {
            _ if !request.echo => None,
            Prompt::Text { text, .. } => Some(text.clone()),
            Prompt::Tokens(tokens) => Some(self.spell(tokens)?),
        };
        self.start(request, &tokens, echo.as_deref())
    }

    /// Takes no new requests; those that run are finished.
    pub fn shutdown(&self) {
        self.inner.shared.drain();
    }

    /// Takes places in the engine and hands a checked request to its thread.
    fn start(
        &self,
        request: GenerationRequest,
        tokens: &[u32],
        echo: Option<&str>,
    ) -> Result<GenerationStream, GenerationError> {
        let shared = &self.inner.shared;
        let (count, limit) = (request.choices, self.limits().live_max());
        shared.mailbox.take_places(count, limit).map_err(|live| GenerationError::QueueFull {
            live,
            limit,
            retry_after_s: RETRY_AFTER_S,
        })?;
        let options = AssemblerOptions {
            tokenizer: self.tokenizer(),
            prompt: tokens,
            echo,
            stop: &request.stop,
            logprobs: request.logprobs.is_some(),
        };
        let (sender, receiver) = mpsc::channel(EVENT_QUEUE_MAX);
        let blocked = Arc::new(AtomicBool::new(false));
        let stream = GenerationStream::new(StreamParts {
            request: self.inner.requests.fetch_add(1, Ordering::Relaxed),
            shared: Arc::clone(shared),
            receiver,
            blocked: Arc::clone(&blocked),
            choices: (0..count).map(|_| Assembler::new(&options)).collect(),
            prompt_token_count: tokens.len(),
        });
        let submission = Submission {
            request: stream.request(),
            sequences: self.sequences(request, tokens),
            sender,
            blocked,
            in_flight: shared.metrics.request_started(),
            submitted: Instant::now(),
        };
        if shared.mailbox.submit(submission) {
            shared.metrics.add_prompt_tokens(tokens.len());
            return Ok(stream);
        }
        shared.mailbox.free_places(count);
        Err(shared.closed_error())
    }

    fn check_length(
        &self,
        request: &GenerationRequest,
        tokens: usize,
    ) -> Result<(), GenerationError> {
        if tokens == 0 {
            let message = "the prompt is empty, expected at least one token".to_owned();
            return Err(invalid("prompt", message));
        }
        let limit = self.limits().sequence_tokens_max();
        let completion = usize::from(request.tokens_max != Some(0));
        if tokens + completion > limit {
            return Err(GenerationError::PromptTooLong { tokens, limit });
        }
        Ok(())
    }

    fn spell(&self, tokens: &[u32]) -> Result<String, GenerationError> {
        self.tokenizer()
            .decode(tokens, true)
            .map_err(|error| GenerationError::Tokenizer { message: error.to_string() })
    }

    fn sequences(&self, request: GenerationRequest, tokens: &[u32]) -> Vec<SequenceRequest> {
        let GenerationRequest { choices, sampling, seed, logprobs, echo, .. } = request;
        let seed = seed.unwrap_or_else(random_seed);
        let sequence = |index: usize| SequenceRequest {
            // The engine thread names it.
            id: SequenceId(0),
            prompt: tokens.to_vec(),
            // The engine ends a sequence where its context does.
            tokens_max: request.tokens_max.unwrap_or(usize::MAX),
            tokens_min: request.tokens_min,
            sampling: SamplingParams { seed: seed.wrapping_add(index as u64), ..sampling.clone() },
            stop_tokens: self.inner.parts.special.eos.clone(),
            ignore_eos: request.ignore_eos,
            logprobs,
            prompt_logprobs: echo && logprobs.is_some(),
        };
        (0..choices).map(sequence).collect()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.drain();
    }
}

impl Shared {
    pub(crate) fn state(&self) -> ModelState {
        self.lock_state().clone()
    }

    pub(crate) fn set_state(&self, state: ModelState) {
        *self.lock_state() = state;
    }

    fn drain(&self) {
        self.mailbox.drain();
        let mut state = self.lock_state();
        if *state == ModelState::Ready {
            *state = ModelState::Draining;
        }
    }

    /// Why the model takes nothing, or left a request unanswered.
    pub(crate) fn closed_error(&self) -> GenerationError {
        match self.state() {
            ModelState::Faulted { plugin, message } => GenerationError::Faulted { plugin, message },
            ModelState::Ready | ModelState::Draining => GenerationError::ShuttingDown,
        }
    }

    fn lock_state(&self) -> std::sync::MutexGuard<'_, ModelState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the mailbox however the engine thread ends, so that nobody waits for it.
struct Closer(Arc<Shared>);

impl Drop for Closer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let message = "the engine thread panicked, which is a bug of the host".to_owned();
            self.0.set_state(ModelState::Faulted { plugin: "host".to_owned(), message });
        }
        self.0.mailbox.close();
    }
}

fn chat_template(parts: &ModelParts) -> Result<ChatTemplate, TemplateError> {
    let source = parts.chat_template.as_deref().ok_or(TemplateError::Missing)?;
    ChatTemplate::new(source, &parts.special.bos_text, &parts.special.eos_text)
}

/// A seed that differs each time; the standard library seeds its hash maps from the system.
fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
