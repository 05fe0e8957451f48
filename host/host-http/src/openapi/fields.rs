//! The fields of each request.

use host_generation::{CHOICES_MAX, TOP_LOGPROBS_MAX};
use host_tools::agent::{Permission, ROUNDS_MAX};

use super::field::{Field, Shape};
use crate::limits::TOKENS_MAX;

const MODEL: Field = Field::new(
    "model",
    Shape::Text,
    "the model's id; without it, or `default`: the first that serves",
);
const MAX_TOKENS: Field =
    Field::new("max_tokens", Shape::Integer(1, TOKENS_MAX), "tokens of the answer at most");
const TOOLS: Field = Field::new("tools", Shape::Tools, "functions that may be called");
const TOOL_CHOICE: Field =
    Field::new("tool_choice", Shape::Any, "`none`, `auto`, `required`, or a function");
const PARALLEL: Field =
    Field::new("parallel_tool_calls", Shape::Flag, "false ends an answer after one call");
const TEMPLATE_VARIABLES: Field =
    Field::new("chat_template_kwargs", Shape::Object, "variables of the chat template");

/// What requests for text share in all interfaces but Ollama's.
pub(super) const SHARED: &[Field] = &[
    MODEL,
    Field::new("stream", Shape::Flag, "events as they come"),
    Field::new("temperature", Shape::Number(0.0, 2.0), "0 takes the likeliest token"),
    Field::new("top_p", Shape::NumberAbove(0.0, 1.0), "sample among the likeliest of this share"),
    Field::new(
        "top_k",
        Shape::Integer(-1, TOKENS_MAX),
        "sample among so many of the likeliest; 0 and -1 set no limit",
    ),
    Field::new("seed", Shape::Integer(i64::MIN, i64::MAX), "the same seed gives the same tokens"),
    Field::new("priority", Shape::Integer(i32::MIN as i64, i32::MAX as i64), "lower runs first"),
];

/// How tokens are chosen and where they end.
pub(super) const SAMPLING: &[Field] = &[
    Field::new("stream_options", Shape::Object, "`include_usage` adds a chunk with the usage"),
    Field::new("n", Shape::Integer(1, CHOICES_MAX as i64), "answers"),
    Field::new("min_p", Shape::Number(0.0, 1.0), "least share of the likeliest token's chance"),
    Field::new("typical_p", Shape::Number(0.0, 1.0), "sample among the most typical tokens"),
    Field::new("xtc_probability", Shape::Number(0.0, 1.0), "how often likely tokens are left out"),
    Field::new("xtc_threshold", Shape::Number(0.0, 1.0), "what XTC takes for likely"),
    Field::new("dry_multiplier", Shape::Number(0.0, 100.0), "taken from what would repeat"),
    Field::new("dry_base", Shape::Number(1.0, 100.0), "growth with the length of the repetition"),
    Field::new("dry_allowed_length", Shape::Integer(1, TOKENS_MAX), "what may be repeated"),
    Field::new("dry_penalty_last_n", Shape::Integer(-1, TOKENS_MAX), "tokens looked at; -1: all"),
    Field::new("dry_sequence_breakers", Shape::TextOrTexts, "no repetition goes beyond them"),
    Field::new("repetition_penalty", Shape::Number(0.01, 10.0), "divides what was said before"),
    Field::new("presence_penalty", Shape::Number(-2.0, 2.0), "taken from what was said before"),
    Field::new("frequency_penalty", Shape::Number(-2.0, 2.0), "the same for each time"),
    Field::new("logit_bias", Shape::Object, "token ids with -100 to 100"),
    Field::new("stop", Shape::TextOrTexts, "texts that end the answer and are not part of it"),
    Field::new("min_tokens", Shape::Integer(0, TOKENS_MAX), "no end before so many tokens"),
    Field::new("ignore_eos", Shape::Flag, "go on past end tokens"),
    Field::new("response_format", Shape::Object, "`text`, `json_object` or `json_schema`"),
    Field::new(
        "structured_outputs",
        Shape::Object,
        "`json`, `regex`, `choice` or `grammar`, as vLLM has it",
    ),
    Field::new("guided_json", Shape::Any, "a JSON schema"),
    Field::new("guided_regex", Shape::Text, "a regular expression"),
    Field::new("guided_choice", Shape::Texts, "the texts to choose from"),
    Field::new("guided_grammar", Shape::Text, "a Lark grammar"),
    Field::new("regex", Shape::Text, "a regular expression"),
    Field::new("choice", Shape::Texts, "the texts to choose from"),
    Field::new("grammar", Shape::Any, "Lark as text, or `type` and `value`"),
    Field::new("best_of", Shape::Integer(1, TOKENS_MAX), "as `n`; another number is rejected"),
    Field::new(
        "max_completion_tokens",
        Shape::Integer(1, TOKENS_MAX),
        "tokens of the answer at most; goes before `max_tokens`",
    ),
    Field::ignored("user", "answers do not depend on who asks"),
    Field::ignored("metadata", "nothing is stored"),
    Field::ignored("store", "nothing is stored"),
    Field::ignored("service_tier", "there is one"),
    Field::ignored("safety_identifier", ""),
    Field::ignored("prompt_cache_key", "prompts that begin alike are found without"),
];

pub(super) const CHAT: &[Field] = &[
    Field::new("messages", Shape::Messages, "the conversation").required(),
    MAX_TOKENS,
    Field::new("logprobs", Shape::Flag, "with logprobs"),
    Field::new(
        "top_logprobs",
        Shape::Integer(0, TOP_LOGPROBS_MAX as i64),
        "so many likely tokens at each place; needs `logprobs`",
    ),
    TOOLS,
    TOOL_CHOICE,
    PARALLEL,
    Field::new("mcp_tools", Shape::Texts, "patterns of tools that the host runs for the model"),
    Field::new("max_tool_rounds", Shape::Integer(1, ROUNDS_MAX as i64), "rounds of their calls"),
    Field::new(
        "agent_permission",
        Shape::OneOf(Permission::NAMES),
        "whether a person is asked before a call; never looser than the host's",
    ),
    Field::new(
        "reasoning_effort",
        Shape::OneOf(crate::chat::EFFORTS),
        "how much to think, for chat templates that know it",
    ),
    Field::new("enable_thinking", Shape::Flag, "whether to think, likewise"),
    TEMPLATE_VARIABLES,
    Field::new("add_generation_prompt", Shape::Flag, "false leaves out the assistant's beginning"),
    Field::rejected("continue_final_message", Shape::Flag, "true is not supported"),
    Field::ignored("functions", "the older form of `tools`"),
    Field::ignored("function_call", "the older form of `tool_choice`"),
    Field::ignored("modalities", "answers are text"),
    Field::ignored("prediction", "see `--speculate`"),
    Field::ignored("verbosity", ""),
    Field::ignored("web_search_options", ""),
];

pub(super) const COMPLETIONS: &[Field] = &[
    Field::new("prompt", Shape::Prompt, "what is to be continued").required(),
    Field::new(
        "max_tokens",
        Shape::Integer(0, TOKENS_MAX),
        "tokens at most, 16 without; 0 needs `echo`",
    ),
    Field::new("echo", Shape::Flag, "begin with the prompt, scored with `logprobs`"),
    Field::new("logprobs", Shape::Integer(0, TOP_LOGPROBS_MAX as i64), "so many likely tokens"),
    Field::rejected("suffix", Shape::Text, "a text that is not empty is not supported"),
];

pub(super) const RESPONSES: &[Field] = &[
    Field::new("input", Shape::Any, "text, or a list of items").required(),
    Field::new("instructions", Shape::Text, "the system message"),
    Field::new("max_output_tokens", Shape::Integer(1, TOKENS_MAX), "tokens of the answer at most"),
    TOOLS,
    TOOL_CHOICE,
    PARALLEL,
    Field::new("text", Shape::Object, "`format` as `response_format` of chats"),
    Field::new("reasoning", Shape::Object, "`effort` as `reasoning_effort` of chats"),
    TEMPLATE_VARIABLES,
    Field::new("metadata", Shape::Object, "given back"),
    Field::ignored("store", "nothing is stored"),
    Field::ignored("include", ""),
    Field::ignored("truncation", "an input that is too long is refused"),
    Field::ignored("user", "answers do not depend on who asks"),
    Field::rejected("previous_response_id", Shape::Text, "nothing is stored"),
    Field::rejected("conversation", Shape::Any, "nothing is stored"),
    Field::rejected("prompt", Shape::Object, "nothing is stored"),
    Field::rejected("background", Shape::Flag, "true is not supported"),
];

pub(super) const EMBEDDINGS: &[Field] = &[
    MODEL,
    Field::new("input", Shape::Prompt, "the texts").required(),
    Field::new("encoding_format", Shape::OneOf(&["float", "base64"]), "little-endian floats"),
    Field::new("dimensions", Shape::Integer(1, TOKENS_MAX), "the first values, at most the width"),
    Field::new("user", Shape::Text, "without effect"),
];

pub(super) const MESSAGES: &[Field] = &[
    Field::new("messages", Shape::Messages, "the conversation").required(),
    Field::new("max_tokens", Shape::Integer(1, TOKENS_MAX), "tokens of the answer at most")
        .required(),
    Field::new("system", Shape::Any, "text, or a list of text blocks"),
    Field::new("stop_sequences", Shape::Texts, "as `stop` of chats"),
    Field::new("tools", Shape::Tools, "`name`, `description` and `input_schema`"),
    Field::new("tool_choice", Shape::Object, "`auto`, `any`, `tool` or `none`"),
    Field::new("thinking", Shape::Object, "whether to think, for chat templates that know it"),
    Field::ignored("metadata", "nothing is stored"),
    Field::ignored("service_tier", "there is one"),
];

pub(super) const COUNT_TOKENS: &[Field] = &[
    MODEL,
    Field::new("messages", Shape::Messages, "the conversation").required(),
    Field::new("system", Shape::Any, "text, or a list of text blocks"),
    Field::new("tools", Shape::Tools, "`name`, `description` and `input_schema`"),
];

pub(super) const TOKENIZE: &[Field] = &[
    MODEL,
    Field::new("prompt", Shape::Text, "a text, with special tokens around it"),
    Field::new("text", Shape::Text, "the same"),
    Field::new("content", Shape::Text, "a text without them"),
    Field::new("messages", Shape::Messages, "or a conversation"),
    Field::new("add_special_tokens", Shape::Flag, "whether special tokens are added"),
    Field::new("add_special", Shape::Flag, "the same"),
    Field::new("with_pieces", Shape::Flag, "with the text of each token"),
];

pub(super) const DETOKENIZE: &[Field] = &[
    MODEL,
    Field::new("tokens", Shape::Tokens, "the tokens").required(),
    Field::new("skip_special_tokens", Shape::Flag, "without control tokens"),
];

pub(super) const APPLY_TEMPLATE: &[Field] = &[
    MODEL,
    Field::new("messages", Shape::Messages, "the conversation").required(),
    TOOLS,
    Field::new("add_generation_prompt", Shape::Flag, "false leaves out the assistant's beginning"),
    TEMPLATE_VARIABLES,
];

pub(super) const LOAD: &[Field] = &[
    Field::new("path", Shape::Text, "a file or a folder on the host's machine"),
    Field::new("id", Shape::Text, "the id it gets; without `path`, a model of the list"),
    Field::new("stream", Shape::Flag, "progress as events"),
];

pub(super) const UNLOAD: &[Field] = &[Field::new("id", Shape::Text, "the model's id").required()];

/// What the switches of a plugin take.
pub(super) const PLUGIN: &[Field] =
    &[Field::new("name", Shape::Text, "the plugin's name").required()];

/// What Ollama's two endpoints share.
pub(super) const OLLAMA: &[Field] = &[
    MODEL,
    Field::new("stream", Shape::Flag, "lines of JSON unless it is false"),
    Field::new("format", Shape::Any, "`json` or a JSON schema"),
    Field::new("options", Shape::Object, "sampling parameters by Ollama's names"),
    Field::new("think", Shape::Any, "whether to think"),
    Field::ignored("keep_alive", "models stay until they are unloaded"),
];

pub(super) const OLLAMA_CHAT: &[Field] =
    &[Field::new("messages", Shape::List, "the conversation; an empty one loads the model"), TOOLS];

pub(super) const OLLAMA_GENERATE: &[Field] = &[
    Field::new("prompt", Shape::Text, "the user's message"),
    Field::new("system", Shape::Text, "the system message"),
    Field::new("raw", Shape::Flag, "continue the prompt as it stands"),
    Field::rejected("images", Shape::List, "models take text"),
    Field::rejected("suffix", Shape::Text, "put it into a raw prompt"),
    Field::rejected("template", Shape::Text, "the model's own is used"),
];

pub(super) const OLLAMA_SHOW: &[Field] = &[
    Field::new("model", Shape::Text, "the model's id"),
    Field::new("name", Shape::Text, "the same"),
];
