//! What can go wrong between a request and its answer.
//!
//! The edges turn these into status codes, so each variant carries what an answer must name: the
//! field, the figures, the plugin. Nothing here knows HTTP or MCP.

use host_engine::StepError;
use host_model::TokenizerError;
use thiserror::Error;

/// Why a request got no answer, or no whole one.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum GenerationError {
    /// A field of the request is out of its range.
    #[error("{message}")]
    InvalidRequest {
        /// The field, as clients call it.
        param: &'static str,
        /// What was found and what was expected.
        message: String,
    },
    /// The prompt leaves no room in the context.
    #[error(
        "this model's context length is {limit} tokens and the prompt has {tokens}; shorten the prompt"
    )]
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// The model's context length.
        limit: usize,
    },
    /// The prompt's text is too long to be worth counting its tokens.
    #[error(
        "this model's context length is {limit} tokens and the prompt has {bytes} bytes, expected at \
         most {bytes_max}; shorten the prompt"
    )]
    PromptTextTooLong {
        /// Bytes of the prompt.
        bytes: usize,
        /// Most bytes taken.
        bytes_max: usize,
        /// The model's context length.
        limit: usize,
    },
    /// As many sequences are held as the limits allow.
    #[error(
        "the queue is full: {live} sequences are running or waiting, the limit is {limit}; try again \
         in {retry_after_s} s"
    )]
    QueueFull {
        /// Sequences held.
        live: usize,
        /// Most that may be held.
        limit: usize,
        /// Seconds after which a place is likely.
        retry_after_s: u32,
    },
    /// The conversation could not be rendered.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The tokenizer failed.
    #[error("the tokenizer failed: {message}")]
    Tokenizer {
        /// What it said.
        message: String,
    },
    /// The model embeds and was asked to generate.
    #[error(
        "model {model} computes embeddings and generates no text; use /v1/embeddings or `host embed`, \
         or a model that generates"
    )]
    OnlyEmbeds {
        /// Its id.
        model: String,
    },
    /// The model generates and was asked to embed.
    #[error(
        "model {model} generates text and computes no embeddings; load an embedding model for that"
    )]
    OnlyGenerates {
        /// Its id.
        model: String,
    },
    /// The model computed a vector that is not finite.
    #[error("{message}")]
    NotFinite {
        /// What the engine said.
        message: String,
    },
    /// The model failed in a step of this request.
    #[error("plugin {plugin} failed: {message}")]
    Model {
        /// Plugin to blame.
        plugin: String,
        /// What it said.
        message: String,
    },
    /// The model computed nothing that a token could be chosen from.
    #[error("{message}")]
    NoFiniteLogits {
        /// Where.
        message: String,
    },
    /// The grammar of the request asks for more work than a token may cost.
    #[error("{message}; simplify the grammar")]
    Grammar {
        /// What the grammar library said.
        message: String,
    },
    /// The model is out of service since a plugin panicked.
    #[error(
        "the model is out of service since plugin {plugin} panicked: {message}; unload the model and \
         load it again"
    )]
    Faulted {
        /// Plugin to blame.
        plugin: String,
        /// What it said.
        message: String,
    },
    /// The model takes no new requests.
    #[error("the model is shutting down; send the request to another model or try again later")]
    ShuttingDown,
    /// Nobody read the answer, whose place others waited for.
    #[error("the answer was not read for too long and was given up; read streams as they come")]
    ReaderStuck,
    /// The engine thread could not be started.
    #[error("the model's engine did not start: {message}")]
    Start {
        /// Why.
        message: String,
    },
}

impl From<TokenizerError> for GenerationError {
    fn from(error: TokenizerError) -> Self {
        GenerationError::Tokenizer { message: error.to_string() }
    }
}

impl From<StepError> for GenerationError {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Model { plugin, message, panicked: true } => {
                GenerationError::Faulted { plugin, message }
            }
            StepError::Model { plugin, message, .. } => GenerationError::Model { plugin, message },
        }
    }
}

/// Why a chat template made no prompt.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// The checkpoint brought none.
    #[error("the model has no chat template; use /v1/completions, or a checkpoint that has one")]
    Missing,
    /// The source is too long.
    #[error("the chat template has {bytes} bytes, expected at most {limit}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The most it may be.
        limit: usize,
    },
    /// The source is no template.
    #[error("the chat template is malformed: {message}")]
    Syntax {
        /// Where and why.
        message: String,
    },
    /// The template could fill the memory.
    #[error(
        "the chat template joins `{variable}` with itself, which doubles it each time; expected a \
         template that only appends"
    )]
    Doubling {
        /// The variable.
        variable: String,
    },
    /// The template refused the conversation or failed on it.
    #[error("the chat template refused the messages: {message}")]
    Render {
        /// Its words.
        message: String,
    },
}
