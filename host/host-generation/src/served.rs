//! A model of either kind: one that generates or one that embeds.
//!
//! What both have is reached without asking which it is; for the rest the request says what it
//! wants, and a model of the other kind answers with what it can do.

use std::time::Duration;

use host_engine::EngineLimits;
use host_metrics::Metrics;
use host_model::{LoadedModel, ModelSummary, Tokenizer};

use crate::embedder::Embedder;
use crate::error::GenerationError;
use crate::generator::Generator;
use crate::request::tokenize;
use crate::shared::ModelState;

/// A served model; clones share it.
#[derive(Debug, Clone)]
pub enum ServedModel {
    /// It continues text.
    Generator(Generator),
    /// It turns text into vectors.
    Embedder(Embedder),
}

impl ServedModel {
    /// Starts the thread of a loaded model, of whichever kind.
    ///
    /// # Errors
    /// Its limits contradict each other, or there is no thread for it.
    pub fn spawn(model: LoadedModel, metrics: Metrics) -> Result<Self, GenerationError> {
        match model.embedding {
            Some(_) => Embedder::spawn(model, metrics).map(Self::Embedder),
            None => Generator::spawn(model, metrics).map(Self::Generator),
        }
    }

    /// The model, if it generates.
    ///
    /// # Errors
    /// It embeds.
    pub fn into_generator(self) -> Result<Generator, GenerationError> {
        match self {
            Self::Generator(generator) => Ok(generator),
            Self::Embedder(embedder) => {
                Err(GenerationError::OnlyEmbeds { model: embedder.summary().id.clone() })
            }
        }
    }

    /// The model, if it embeds.
    ///
    /// # Errors
    /// It generates.
    pub fn into_embedder(self) -> Result<Embedder, GenerationError> {
        match self {
            Self::Embedder(embedder) => Ok(embedder),
            Self::Generator(generator) => {
                Err(GenerationError::OnlyGenerates { model: generator.summary().id.clone() })
            }
        }
    }

    /// What to tell people about the model.
    pub fn summary(&self) -> &ModelSummary {
        match self {
            Self::Generator(generator) => generator.summary(),
            Self::Embedder(embedder) => embedder.summary(),
        }
    }

    /// Text to tokens and back.
    pub fn tokenizer(&self) -> &Tokenizer {
        match self {
            Self::Generator(generator) => generator.tokenizer(),
            Self::Embedder(embedder) => embedder.tokenizer(),
        }
    }

    /// Sizes its steps keep.
    pub fn limits(&self) -> &EngineLimits {
        match self {
            Self::Generator(generator) => generator.limits(),
            Self::Embedder(embedder) => embedder.limits(),
        }
    }

    /// Whether it serves.
    pub fn state(&self) -> ModelState {
        match self {
            Self::Generator(generator) => generator.state(),
            Self::Embedder(embedder) => embedder.state(),
        }
    }

    /// How long nobody has used it; none while anybody does or holds another handle of it.
    pub fn idle_for(&self) -> Option<Duration> {
        match self {
            Self::Generator(generator) => generator.idle_for(),
            Self::Embedder(embedder) => embedder.idle_for(),
        }
    }

    /// Tokens of a text.
    ///
    /// # Errors
    /// The text is much longer than the context, or the tokenizer cannot read it.
    pub fn tokenize(&self, text: &str, add_special: bool) -> Result<Vec<u32>, GenerationError> {
        tokenize(self.tokenizer(), self.limits().context_length, text, add_special)
    }

    /// Takes no new requests; those that run are finished.
    pub fn shutdown(&self) {
        match self {
            Self::Generator(generator) => generator.shutdown(),
            Self::Embedder(embedder) => embedder.shutdown(),
        }
    }
}

impl From<Generator> for ServedModel {
    fn from(generator: Generator) -> Self {
        Self::Generator(generator)
    }
}

impl From<Embedder> for ServedModel {
    fn from(embedder: Embedder) -> Self {
        Self::Embedder(embedder)
    }
}
