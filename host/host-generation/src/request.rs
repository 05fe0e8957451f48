//! A request as the edges hand it in: checked for its form by them, for its ranges here.
//!
//! Plain data, the same for every edge. What a field means to HTTP clients is not known here.

use host_engine::SamplingParams;
use host_model::Tokenizer;

use crate::error::GenerationError;
use crate::grammar::Grammar;
use crate::limits::{
    CHOICES_MAX, PROMPT_BYTES_PER_TOKEN_MAX, STOP_SEQUENCE_BYTES_MAX, STOP_SEQUENCES_MAX,
    TOP_LOGPROBS_MAX,
};
use crate::tools::{ToolChoice, Tools};

/// What is to be continued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// Text to tokenize.
    Text {
        /// The text.
        text: String,
        /// Whether to put the tokens around it that the model expects around a text. A rendered
        /// chat has them already.
        add_special: bool,
    },
    /// Tokens as they are.
    Tokens(Vec<u32>),
}

/// A request for one or more completions of one prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerationRequest {
    /// What is to be continued.
    pub prompt: Prompt,
    /// Answers wanted.
    pub choices: usize,
    /// Most tokens of each completion; none: as far as the context reaches.
    pub tokens_max: Option<usize>,
    /// Fewest tokens of each completion: end tokens are not chosen before.
    pub tokens_min: usize,
    /// How tokens are chosen. Its seed is not used, `seed` is.
    pub sampling: SamplingParams,
    /// Makes the answer repeatable; choice `i` gets `seed + i`. None: a random one.
    pub seed: Option<u64>,
    /// Text that ends a completion and is not part of it.
    pub stop: Vec<String>,
    /// Report logprobs, with this many of the most likely tokens.
    pub logprobs: Option<u8>,
    /// Begin each answer with the prompt, scored if `logprobs` are asked for.
    pub echo: bool,
    /// Go on past end tokens.
    pub ignore_eos: bool,
    /// Lower runs first; among equals, who was submitted first.
    pub priority: i32,
    /// What each completion must match.
    pub grammar: Option<Grammar>,
    /// Tools that it may call. That the model knows of them is the prompt's affair.
    pub tools: Option<Tools>,
    /// Whether the prompt is a conversation, so that the answer may begin with thoughts.
    pub chat: bool,
}

impl Default for GenerationRequest {
    /// One greedy completion of an empty prompt.
    fn default() -> Self {
        Self {
            prompt: Prompt::Text { text: String::new(), add_special: true },
            choices: 1,
            tokens_max: None,
            tokens_min: 0,
            sampling: SamplingParams::default(),
            seed: None,
            stop: Vec::new(),
            logprobs: None,
            echo: false,
            ignore_eos: false,
            priority: 0,
            grammar: None,
            tools: None,
            chat: false,
        }
    }
}

impl GenerationRequest {
    /// The conversation, if it is one.
    pub(crate) fn conversation(&self) -> Option<&str> {
        match &self.prompt {
            Prompt::Text { text, .. } if self.chat => Some(text),
            Prompt::Text { .. } | Prompt::Tokens(_) => None,
        }
    }

    /// Checks the bounds of this crate; those of the sampling parameters are the engine's.
    pub(crate) fn check(&self) -> Result<(), GenerationError> {
        if self.choices == 0 || self.choices > CHOICES_MAX {
            let found = self.choices;
            return Err(invalid("n", format!("n is {found}, expected 1 to {CHOICES_MAX}")));
        }
        if self.stop.len() > STOP_SEQUENCES_MAX {
            let found = self.stop.len();
            let message =
                format!("stop has {found} entries, expected at most {STOP_SEQUENCES_MAX}");
            return Err(invalid("stop", message));
        }
        let is_wrong = |stop: &String| stop.is_empty() || stop.len() > STOP_SEQUENCE_BYTES_MAX;
        if let Some(found) = self.stop.iter().find(|stop| is_wrong(stop)) {
            let message = format!(
                "a stop sequence has {} bytes, expected 1 to {STOP_SEQUENCE_BYTES_MAX}",
                found.len()
            );
            return Err(invalid("stop", message));
        }
        let is_forced = |tools: &Tools| tools.choice != ToolChoice::Auto;
        if let (Some(grammar), true) = (&self.grammar, self.tools.as_ref().is_some_and(is_forced)) {
            let message = format!("{} and a forced tool call exclude each other", grammar.param);
            return Err(invalid("tool_choice", message));
        }
        match self.logprobs {
            Some(found) if found > TOP_LOGPROBS_MAX => {
                let message = format!("logprobs is {found}, expected at most {TOP_LOGPROBS_MAX}");
                Err(invalid("logprobs", message))
            }
            _ => Ok(()),
        }
    }
}

/// Tokens of a text, unless it is much longer than the context.
pub(crate) fn tokenize(
    tokenizer: &Tokenizer,
    context_length: usize,
    text: &str,
    add_special: bool,
) -> Result<Vec<u32>, GenerationError> {
    let bytes_max = context_length.saturating_mul(PROMPT_BYTES_PER_TOKEN_MAX);
    if text.len() > bytes_max {
        let (bytes, limit) = (text.len(), context_length);
        return Err(GenerationError::PromptTextTooLong { bytes, bytes_max, limit });
    }
    Ok(tokenizer.encode(text, add_special)?)
}

pub(crate) fn invalid(param: &'static str, message: String) -> GenerationError {
    GenerationError::InvalidRequest { param, message }
}
