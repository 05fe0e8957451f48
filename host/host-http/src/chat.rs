//! `POST /v1/chat/completions`.

use axum::extract::{Request, State};
use axum::response::Response;
use host_generation::{
    ChatPrompt, Delta, FinishReason, GenerationError, GenerationRequest, Generator, Prompt,
    TOP_LOGPROBS_MAX, TokenPiece, Tool,
};
use host_tools::Caller;
use serde_json::{Map, Value};

use crate::agent::{self, AgentJob};
use crate::answer::{Form, Gathered, Head, Job, respond};
use crate::body;
use crate::error::{ApiError, quote};
use crate::fields::Fields;
use crate::limits::TOKENS_MAX;
use crate::merge::MergedStream;
use crate::models::head;
use crate::state::AppState;
use crate::wire::{
    ChatChoice, ChatChunkChoice, ChatLogprobs, Message, MessageDelta, finish_reason,
};
use crate::{messages, sampling, tools, wire};

/// Ids of answers begin so.
const ID_PREFIX: &str = "chatcmpl-";

/// How much a model may be told to think.
pub(crate) const EFFORTS: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh"];

/// Answers a conversation.
pub(crate) async fn chat(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let caller = request.extensions().get::<Caller>().cloned();
    let bytes = body::read(&state, request).await?;
    match body::run_blocking(move || prepare(&state, &bytes, caller.as_ref())).await? {
        Prepared::Plain(job) => respond(job).await,
        Prepared::Agent(job) => agent::respond(*job).await,
    }
}

/// An answer about to be made.
enum Prepared {
    /// One turn of the model.
    Plain(Job<ChatForm>),
    /// As many as it takes, with tools of the host between them.
    Agent(Box<AgentJob>),
}

fn prepare(state: &AppState, bytes: &[u8], caller: Option<&Caller>) -> Result<Prepared, ApiError> {
    let object = body::parse(bytes)?;
    let fields = Fields::of_request(&object);
    let delivery = sampling::delivery(&fields)?;
    let form = ChatForm { logprobs: logprobs(&fields)?.is_some() };
    let Some(mut agent) = agent::wanted(state.options().agent.as_ref(), &fields, caller)? else {
        let (stream, head) = submit(state, &fields, ID_PREFIX)?;
        return Ok(Prepared::Plain(Job { stream, head, form, delivery }));
    };
    let generator = state.generator(fields.text("model")?)?;
    agent.limits = agent.limits.within_context(generator.limits().sequence_tokens_max());
    let offered = agent::offered(&agent);
    let mut prompt = chat_prompt_with(&fields, offered.clone())?;
    prompt.tools = Some(agent::shown(&agent, prompt.tools));
    let mut request = request(&generator, &fields, GenerationRequest::default().prompt)?;
    request.tools = tools::tools(&fields, offered)?;
    request.chat = true;
    let head = head(&generator, ID_PREFIX);
    let job = AgentJob { generator, prompt, request, agent, head, form, delivery };
    Ok(Prepared::Agent(Box::new(job)))
}

/// Has a conversation answered; the answer's id begins with `id_prefix`.
pub(crate) fn submit(
    state: &AppState,
    fields: &Fields<'_>,
    id_prefix: &str,
) -> Result<(MergedStream, Head), ApiError> {
    let generator = state.generator(fields.text("model")?)?;
    let text = generator.render_chat(&chat_prompt(fields)?)?;
    // The template writes the special tokens itself.
    let prompt = Prompt::Text { text, add_special: false };
    let tools = tools::tools(fields, Vec::new())?;
    let request = request(&generator, fields, prompt)?;
    let request = GenerationRequest { chat: true, tools, ..request };
    start(&generator, request, id_prefix)
}

/// As [`submit`], for a prompt that is continued as it stands.
pub(crate) fn submit_prompt(
    generator: &Generator,
    fields: &Fields<'_>,
    prompt: Prompt,
    id_prefix: &str,
) -> Result<(MergedStream, Head), ApiError> {
    start(generator, request(generator, fields, prompt)?, id_prefix)
}

fn request(
    generator: &Generator,
    fields: &Fields<'_>,
    prompt: Prompt,
) -> Result<GenerationRequest, ApiError> {
    let mut request = sampling::request(fields, generator.limits().vocab_size)?;
    request.tokens_max = tokens_max(fields)?;
    request.logprobs = logprobs(fields)?;
    request.prompt = prompt;
    Ok(request)
}

fn start(
    generator: &Generator,
    request: GenerationRequest,
    id_prefix: &str,
) -> Result<(MergedStream, Head), ApiError> {
    let choices = request.choices;
    let stream = generator.submit(request)?;
    Ok((MergedStream::new(vec![stream], choices), head(generator, id_prefix)))
}

/// The conversation of a request, with the tools and the variables that it brings.
pub(crate) fn chat_prompt(fields: &Fields<'_>) -> Result<ChatPrompt, ApiError> {
    chat_prompt_with(fields, Vec::new())
}

/// As [`chat_prompt`], where the host adds tools of its own.
fn chat_prompt_with(fields: &Fields<'_>, more: Vec<Tool>) -> Result<ChatPrompt, ApiError> {
    if fields.flag("continue_final_message")? {
        let message = "continue_final_message is not supported";
        return Err(ApiError::unsupported("continue_final_message", message));
    }
    let kwargs = template_variables(fields)?;
    let add_generation_prompt =
        fields.value("add_generation_prompt").is_none() || fields.flag("add_generation_prompt")?;
    let messages = messages::messages(fields)?;
    Ok(ChatPrompt { messages, tools: tools::shown(fields, more)?, add_generation_prompt, kwargs })
}

/// Variables that chat templates may know; how much to think is told to them so.
fn template_variables(fields: &Fields<'_>) -> Result<Map<String, Value>, ApiError> {
    let mut variables = Map::new();
    if let Some(effort) = fields.text("reasoning_effort")? {
        if !EFFORTS.contains(&effort) {
            let (found, expected) = (quote(effort), EFFORTS.join(", "));
            let message = format!("reasoning_effort is {found}, expected one of {expected}");
            return Err(ApiError::wrong_value("reasoning_effort", message));
        }
        variables.insert("reasoning_effort".to_owned(), effort.into());
        variables.insert("enable_thinking".to_owned(), (effort != "none").into());
    }
    if fields.value("enable_thinking").is_some() {
        let thinks = fields.flag("enable_thinking")?;
        variables.insert("enable_thinking".to_owned(), thinks.into());
    }
    // What names a variable itself is meant most.
    variables.extend(fields.object("chat_template_kwargs")?.cloned().unwrap_or_default());
    Ok(variables)
}

/// Tokens of a conversation.
pub(crate) fn chat_tokens(
    generator: &Generator,
    fields: &Fields<'_>,
) -> Result<Vec<u32>, ApiError> {
    let text = generator.render_chat(&chat_prompt(fields)?)?;
    let tokens = generator.tokenizer().encode(&text, false);
    Ok(tokens.map_err(GenerationError::from)?)
}

fn tokens_max(fields: &Fields<'_>) -> Result<Option<usize>, ApiError> {
    let newer = fields.integer("max_completion_tokens", 1..=TOKENS_MAX)?;
    let older = fields.integer("max_tokens", 1..=TOKENS_MAX)?;
    Ok(newer.or(older).map(|count| count as usize))
}

fn logprobs(fields: &Fields<'_>) -> Result<Option<u8>, ApiError> {
    let top = fields.integer("top_logprobs", 0..=i64::from(TOP_LOGPROBS_MAX))?;
    match (fields.flag("logprobs")?, top) {
        (true, top) => Ok(Some(top.unwrap_or(0) as u8)),
        (false, None | Some(0)) => Ok(None),
        (false, Some(_)) => {
            let message = "top_logprobs needs logprobs to be true";
            Err(ApiError::wrong_value("top_logprobs", message))
        }
    }
}

/// The shape of chat answers.
#[derive(Debug)]
pub(crate) struct ChatForm {
    logprobs: bool,
}

impl ChatForm {
    fn logprobs(&self, pieces: Vec<TokenPiece>) -> Option<ChatLogprobs> {
        self.logprobs.then(|| ChatLogprobs::new(pieces))
    }
}

impl Form for ChatForm {
    type Whole = ChatChoice;
    type Chunk = ChatChunkChoice;

    const OBJECT: &'static str = "chat.completion";
    const CHUNK_OBJECT: &'static str = "chat.completion.chunk";

    fn opening(index: usize) -> Option<ChatChunkChoice> {
        let delta = MessageDelta {
            role: Some("assistant"),
            content: Some(String::new()),
            ..MessageDelta::default()
        };
        Some(ChatChunkChoice { index, delta, logprobs: None, finish_reason: None })
    }

    fn delta(&self, index: usize, delta: Delta) -> ChatChunkChoice {
        let Delta { reasoning, text, tool_calls, tokens, .. } = delta;
        let calls: Vec<_> = tool_calls.into_iter().map(wire::ToolCallDelta::new).collect();
        let is_text = !text.is_empty() || calls.is_empty() && reasoning.is_empty();
        let delta = MessageDelta {
            role: None,
            content: is_text.then_some(text),
            reasoning_content: (!reasoning.is_empty()).then_some(reasoning),
            tool_calls: (!calls.is_empty()).then_some(calls),
        };
        ChatChunkChoice { index, delta, logprobs: self.logprobs(tokens), finish_reason: None }
    }

    fn closing(index: usize, reason: FinishReason) -> ChatChunkChoice {
        ChatChunkChoice {
            index,
            delta: MessageDelta::default(),
            logprobs: None,
            finish_reason: Some(finish_reason(reason)),
        }
    }

    fn whole(&self, index: usize, gathered: Gathered) -> ChatChoice {
        let Gathered { reasoning, text, tool_calls, pieces, reason } = gathered;
        let calls: Vec<_> = tool_calls.into_iter().map(wire::ToolCall::new).collect();
        let tool_calls = (!calls.is_empty()).then_some(calls);
        // An answer that is calls and nothing else has no content.
        let content = (!text.is_empty() || tool_calls.is_none()).then_some(text);
        ChatChoice {
            index,
            message: Message {
                role: "assistant",
                content,
                reasoning_content: (!reasoning.is_empty()).then_some(reasoning),
                refusal: None,
                tool_calls,
            },
            logprobs: self.logprobs(pieces),
            finish_reason: finish_reason(reason),
        }
    }
}
