//! Every bound of the HTTP surface in one place.
//!
//! What an operator may change is in `HttpOptions`; the rest is here, with the ranges that OpenAI's
//! API gives its fields.

use std::time::Duration;

/// Most bytes of a request body.
pub(crate) const BODY_BYTES_MAX: usize = 32 << 20;

/// Time for a whole request body to arrive.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// Most bytes of a refused request's body that are read so that its client hears the refusal.
pub(crate) const DISCARD_BYTES_MAX: usize = 4 << 20;

/// Time for reading them.
pub(crate) const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// Time for a request's head to arrive, and for an idle connection.
pub(crate) const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Most bytes of a request's head.
pub(crate) const HEADER_BYTES_MAX: usize = 64 << 10;

/// Most headers of a request.
pub(crate) const HEADERS_MAX: usize = 100;

/// Most open connections.
pub(crate) const CONNECTIONS_MAX: usize = 4096;

/// Time that running answers get when the host stops.
pub(crate) const GRACE: Duration = Duration::from_secs(30);

/// Most messages of a conversation.
pub(crate) const MESSAGES_MAX: usize = 4096;

/// Most tools of a request.
pub(crate) const TOOLS_MAX: usize = 128;

/// Most patterns of tools of a request.
pub(crate) const TOOL_PATTERNS_MAX: usize = 64;

/// Most bytes of a tool's name, and of a pattern of names.
pub(crate) const TOOL_NAME_BYTES_MAX: usize = 256;

/// Most texts that an answer may be one of.
pub(crate) const CHOICE_TEXTS_MAX: usize = 1024;

/// Most choices of a request, over all its prompts.
pub(crate) const ANSWERS_MAX: usize = 128;

/// Most tokens a client may ask for, to write down or to be generated.
pub(crate) const TOKENS_MAX: i64 = i32::MAX as i64;

/// Tokens of a text completion when the client does not say.
pub(crate) const COMPLETION_TOKENS_DEFAULT: usize = 16;

/// Bytes of events gathered before they are sent.
pub(crate) const CHUNK_BYTES: usize = 8 << 10;

/// Events of an answer with tools that wait to be sent.
pub(crate) const AGENT_EVENTS_MAX: usize = 32;

/// Most bytes of a request id taken from a client.
pub(crate) const REQUEST_ID_BYTES_MAX: usize = 128;

/// Most characters of a client's words that an error repeats.
pub(crate) const QUOTE_CHARS_MAX: usize = 100;

/// Most loads that a request waits for before its model is there.
pub(crate) const RELOADS_MAX: usize = 3;

/// Most characters of a model's id.
pub(crate) const MODEL_ID_CHARS_MAX: usize = 200;

/// Time between two events that tell how far a load is.
pub(crate) const LOAD_EVENT_PAUSE: Duration = Duration::from_millis(50);
