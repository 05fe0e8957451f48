//! Validated request to text: chat template, tokens, engine, stop sequences, finish reason.
//!
//! HTTP, MCP and the command line all speak to this crate and never to the engine, so an answer is
//! assembled in one place whatever way it leaves the host: streamed or whole, the same text. It must
//! not know HTTP or files and calls no plugin, and runs no async code; its streams can be polled by
//! such. What surfaces may ask of the operator's side stands here too, as [`Admin`].
//!
//! The life of a request: [`Generator::submit`] renders nothing and checks everything, tokenizes and
//! hands sequences to the engine thread; the [`GenerationStream`] turns their tokens into text as
//! the reader asks for it. A reader that is slow gets its own sequences paused, one that leaves gets
//! them cancelled. An [`Embedder`] is the same for a model that turns text into vectors.

mod admin;
mod assembler;
mod breakers;
mod call_grammar;
mod chat_form;
mod chat_template;
mod conversation;
mod embedder;
mod embedding_worker;
mod error;
mod generator;
mod grammar;
mod growth;
mod guide;
mod limits;
mod loading;
mod mailbox;
mod models;
mod python;
mod reasoning;
mod recent;
mod request;
mod schema;
mod served;
mod shared;
mod stop;
mod stream;
mod tool_calls;
mod tools;
mod worker;

pub use admin::Admin;
pub use breakers::BREAKERS_DEFAULT;
pub use chat_template::{ChatPrompt, ChatTemplate};
pub use embedder::{Embedder, EmbedderParts, Embeddings, PendingEmbeddings};
pub use error::{GenerationError, TemplateError};
pub use generator::{Generator, ModelParts};
pub use grammar::{Grammar, Rule};
pub use limits::{
    BREAKER_BYTES_MAX, BREAKERS_MAX, CHOICES_MAX, EMBEDDING_TEXTS_MAX, EMBEDDING_TOKENS_MAX,
    STOP_SEQUENCE_BYTES_MAX, STOP_SEQUENCES_MAX, TOP_LOGPROBS_MAX,
};
pub use loading::{LoadFailure, LoadJob, LoadProgress, LoadStage, Loading};
pub use models::{Kept, ModelEntry, ModelStatus, Models, Wanted};
pub use python::strftime;
pub use request::{GenerationRequest, Prompt};
pub use served::ServedModel;
pub use shared::ModelState;
pub use stream::{
    Delta, FinishReason, GenerationEvent, GenerationStream, TokenCounts, TokenPiece, TopPiece,
};
pub use tool_calls::ToolCallDelta;
pub use tools::{Tool, ToolChoice, Tools};
