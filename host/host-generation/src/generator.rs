//! One served model: its engine thread, its tokenizer and its chat template.
//!
//! A handle that edges clone freely; the engine thread ends when the last one is gone or when it is
//! told to drain. Requests are checked here as far as their own words go; what only the engine knows
//! comes back through the stream. It loads no model and chooses none.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use host_engine::{
    Constraint, Engine, EngineLimits, SamplingParams, SequenceId, SequenceRequest, StepModel,
};
use host_metrics::{CacheShape, Lock, Metrics};
use host_model::{
    ChatConventions, LoadedModel, ModelSession, ModelSummary, SpecialTokens, Tokenizer,
};
use tokio::sync::mpsc;

use crate::assembler::{Assembler, AssemblerOptions};
use crate::chat_form::ChatForm;
use crate::chat_template::{ChatPrompt, ChatTemplate};
use crate::error::{GenerationError, TemplateError};
use crate::grammar::GrammarCompiler;
use crate::guide::{Afterwards, AwaitingGuide, Guide};
use crate::limits::{EVENT_QUEUE_MAX, READER_PATIENCE};
use crate::reasoning;
use crate::request::{GenerationRequest, Prompt, invalid, tokenize};
use crate::shared::{ModelState, Shared};
use crate::stream::{GenerationStream, StreamParts};
use crate::worker::{Pace, Submission, Worker};

/// A model without what computes its steps.
#[derive(Debug, Clone)]
pub struct ModelParts {
    /// What to tell people about it.
    pub summary: ModelSummary,
    /// Text to tokens and back.
    pub tokenizer: Tokenizer,
    /// Jinja text, if the checkpoint has one.
    pub chat_template: Option<String>,
    /// How models of its family write tool calls and thoughts.
    pub chat: ChatConventions,
    /// Tokens with a meaning of their own.
    pub special: SpecialTokens,
    /// Sizes the engine must keep.
    pub limits: EngineLimits,
    /// How long a reader of an answer may take nothing of it before it is given up.
    pub reader_patience: Duration,
}

impl ModelParts {
    /// Takes a loaded model and what computes its steps apart.
    ///
    /// # Errors
    /// It embeds.
    pub fn of(model: LoadedModel) -> Result<(Self, ModelSession), GenerationError> {
        if model.embedding.is_some() {
            return Err(GenerationError::OnlyEmbeds { model: model.summary.id });
        }
        let parts = Self {
            summary: model.summary,
            tokenizer: model.tokenizer,
            chat_template: model.chat_template,
            chat: model.chat,
            special: model.special,
            limits: model.limits,
            reader_patience: READER_PATIENCE,
        };
        Ok((parts, model.session))
    }
}

/// A served model; clones share it.
#[derive(Debug, Clone)]
pub struct Generator {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    parts: ModelParts,
    chat_template: Result<ChatTemplate, TemplateError>,
    form: Arc<ChatForm>,
    grammars: GrammarCompiler,
    shared: Arc<Shared<Submission>>,
    requests: AtomicU64,
}

impl Generator {
    /// Starts the engine thread of a loaded model.
    ///
    /// # Errors
    /// It embeds, its limits contradict each other, or there is no thread for it.
    pub fn spawn(model: LoadedModel, metrics: Metrics) -> Result<Self, GenerationError> {
        let (parts, session) = ModelParts::of(model)?;
        Self::spawn_with(parts, session, metrics)
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
        let engine = Engine::new(parts.limits, model)
            .map_err(|error| GenerationError::Start { message: error.to_string() })?;
        let shared = Arc::new(Shared::new(&metrics, &parts.summary.id));
        shared.metrics.set_cache(CacheShape {
            block_size: parts.limits.block_size as usize,
            prefix_cache: parts.limits.prefix_cache,
        });
        let lock = metrics.lock(Lock::Sampler);
        let chat_template = chat_template(&parts);
        if let Err(error @ (TemplateError::Syntax { .. } | TemplateError::Doubling { .. })) =
            &chat_template
        {
            tracing::warn!(model = parts.summary.id, %error, "the model cannot chat");
        }
        let worker = Worker::new(engine, Arc::clone(&shared), metrics, parts.reader_patience);
        shared.spawn(&parts.summary.id, move || worker.run())?;
        let grammars = GrammarCompiler::new(&parts.tokenizer, &parts.special.eos, lock);
        let template = parts.chat_template.as_deref();
        let form = Arc::new(ChatForm::new(&parts.chat, template, &parts.tokenizer));
        let requests = AtomicU64::new(0);
        let inner = Inner { parts, chat_template, form, grammars, shared, requests };
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

    /// The chat template as the checkpoint has it, used or not.
    pub fn chat_template(&self) -> Option<&str> {
        self.inner.parts.chat_template.as_deref()
    }

    /// Renders a conversation to the prompt the model was trained on.
    ///
    /// # Errors
    /// There is no template, or it refused the conversation.
    pub fn render_chat(&self, chat: &ChatPrompt) -> Result<String, GenerationError> {
        let template = self.inner.chat_template.as_ref().map_err(TemplateError::clone)?;
        Ok(template.render(chat)?)
    }

    /// Starts a request. Tokenizes its prompt and compiles its grammar, so call it where time may pass.
    ///
    /// # Errors
    /// The request can never be served, the queue is full, or the model is out of service. What only
    /// the engine can find fault with comes as the stream's first event.
    pub fn submit(&self, request: GenerationRequest) -> Result<GenerationStream, GenerationError> {
        self.inner.shared.check_ready()?;
        request.check()?;
        let tokens = match &request.prompt {
            Prompt::Text { text, add_special } => {
                tokenize(self.tokenizer(), self.limits().context_length, text, *add_special)?
            }
            Prompt::Tokens(tokens) => tokens.clone(),
        };
        self.check_length(&request, tokens.len())?;
        let echo = match &request.prompt {
            _ if !request.echo => None,
            Prompt::Text { text, .. } => Some(text.clone()),
            Prompt::Tokens(tokens) => Some(self.spell(tokens)?),
        };
        let constraint = self.constraint(&request)?;
        self.start(request, constraint.as_deref(), &tokens, echo.as_deref())
    }

    /// What the tokens of each answer must keep.
    fn constraint(
        &self,
        request: &GenerationRequest,
    ) -> Result<Option<Box<dyn Constraint>>, GenerationError> {
        let (form, compiler) = (&*self.inner.form, &self.inner.grammars);
        let forced = request.tools.as_ref().and_then(|tools| tools.forced(form));
        let Some(grammar) = request.grammar.as_ref().or(forced.as_ref()) else {
            return Ok(self.constraint_of_calls(request));
        };
        let matcher = compiler.compile(grammar)?;
        // Thoughts that the prompt has begun come first.
        let thoughts = form.reasoning.as_ref().zip(request.conversation());
        let thoughts = thoughts.filter(|(form, prompt)| reasoning::has_begun(form, prompt));
        Ok(Some(match thoughts {
            None => Box::new(Guide::new(matcher)),
            Some((thoughts, _)) => {
                let awaited = form.awaited(&thoughts.end);
                Box::new(AwaitingGuide::new(self.tokenizer(), awaited, Afterwards::End, matcher))
            }
        }))
    }

    /// Where tools are the model's choice: what the calls that it begins must keep. A schema that
    /// cannot be followed leaves them free, since the answer may have none.
    fn constraint_of_calls(&self, request: &GenerationRequest) -> Option<Box<dyn Constraint>> {
        let (awaited, grammar) = request.tools.as_ref()?.begun(&self.inner.form)?;
        match self.inner.grammars.compile(&grammar) {
            Ok(matcher) => Some(Box::new(AwaitingGuide::new(
                self.tokenizer(),
                awaited,
                Afterwards::Wait,
                matcher,
            ))),
            Err(error) => {
                tracing::debug!(%error, "tool calls are not held to their schemas");
                None
            }
        }
    }

    /// Takes no new requests; those that run are finished.
    pub fn shutdown(&self) {
        self.inner.shared.drain();
    }

    /// Takes places in the engine and hands a checked request to its thread.
    fn start(
        &self,
        request: GenerationRequest,
        constraint: Option<&dyn Constraint>,
        tokens: &[u32],
        echo: Option<&str>,
    ) -> Result<GenerationStream, GenerationError> {
        let shared = &self.inner.shared;
        let (count, limit) = (request.choices, self.limits().live_max());
        shared.mailbox.take_places(count, limit)?;
        let room = self.limits().sequence_tokens_max().saturating_sub(tokens.len());
        let options = AssemblerOptions {
            tokenizer: self.tokenizer(),
            prompt: tokens,
            echo,
            stop: &request.stop,
            logprobs: request.logprobs.is_some(),
            form: &self.inner.form,
            tools: request.tools.as_ref(),
            chat: request.conversation(),
            tokens_max: request.tokens_max.unwrap_or(usize::MAX).min(room),
        };
        let (sender, receiver) = mpsc::channel(EVENT_QUEUE_MAX);
        let pace = Arc::new(Pace::default());
        let stream = GenerationStream::new(StreamParts {
            request: self.inner.requests.fetch_add(1, Ordering::Relaxed),
            shared: Arc::clone(shared),
            receiver,
            pace: Arc::clone(&pace),
            choices: (0..count).map(|_| Assembler::new(&options)).collect(),
            prompt_token_count: tokens.len(),
        });
        let submission = Submission {
            request: stream.request(),
            sequences: self.sequences(request, constraint, tokens),
            sender,
            pace,
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
        Ok(self.tokenizer().decode(tokens, true)?)
    }

    fn sequences(
        &self,
        request: GenerationRequest,
        constraint: Option<&dyn Constraint>,
        tokens: &[u32],
    ) -> Vec<SequenceRequest> {
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
            priority: request.priority,
            constraint: constraint.map(Constraint::boxed_clone),
        };
        (0..choices).map(sequence).collect()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.drain();
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
