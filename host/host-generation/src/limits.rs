//! Every bound of this crate in one place.
//!
//! A host that promises bounded memory must be able to point at the numbers. No policy lives here.

use std::time::Duration;

/// Most choices of one request.
pub const CHOICES_MAX: usize = 16;

/// Most stop sequences of a request.
pub const STOP_SEQUENCES_MAX: usize = 16;

/// Most bytes of one stop sequence.
pub const STOP_SEQUENCE_BYTES_MAX: usize = 4096;

/// Most likely tokens that may be reported beside each token.
pub const TOP_LOGPROBS_MAX: u8 = 20;

/// Most texts of one request for embeddings.
pub const EMBEDDING_TEXTS_MAX: usize = 2048;

/// Most tokens of one request for embeddings, over all its texts.
pub const EMBEDDING_TOKENS_MAX: usize = 300_000;

/// Events that wait for a slow reader before its sequences are paused.
pub(crate) const EVENT_QUEUE_MAX: usize = 256;

/// How long a reader may take nothing of an answer: a stuck one holds a place that others wait for.
pub(crate) const READER_PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of prompt text for each token of the context. Real text has about four; longer prompts are
/// refused before they are tokenized.
pub(crate) const PROMPT_BYTES_PER_TOKEN_MAX: usize = 64;

/// Most bytes of a chat template.
pub(crate) const TEMPLATE_BYTES_MAX: usize = 1 << 20;

/// Most steps of the template's interpreter for one conversation.
pub(crate) const TEMPLATE_FUEL_MAX: u64 = 500_000;

/// Deepest nesting of calls in a template.
pub(crate) const TEMPLATE_RECURSION_MAX: usize = 100;

/// Most bytes that a template may write.
pub(crate) const TEMPLATE_OUTPUT_BYTES_MAX: usize = 4 << 20;

/// Most bytes of a grammar.
pub(crate) const GRAMMAR_BYTES_MAX: usize = 256 << 10;

/// Compiled grammars that are kept for the next request.
pub(crate) const GRAMMARS_KEPT_MAX: usize = 32;

/// Most characters of the grammar library's words that an error repeats.
pub(crate) const GRAMMAR_ERROR_CHARS_MAX: usize = 400;
