//! Runs a tool that works on code, on a model of this host or elsewhere.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use host_engine::SamplingParams;
use host_generation::{
    ChatPrompt, FinishReason, GenerationError, GenerationRequest, Generator, Grammar, Prompt, Rule,
};
use host_tools::{Context, Map, Notifier};
use serde_json::{Value, json};

use super::{CodeTool, schemas, templates};
use crate::own::{Arguments, Failure, HostTools, write};

/// Most tokens of an answer.
pub(super) const TOKENS_MAX: usize = 4096;

/// Time between two words on how far it is.
const PROGRESS_PAUSE: Duration = Duration::from_secs(1);

impl HostTools {
    /// Calls a tool that works on code. Its answer fits the schema or is a failure.
    pub(crate) async fn call_code(
        &self,
        tool: CodeTool,
        arguments: &Map,
        context: &Context,
    ) -> Result<Value, Failure> {
        let arguments = Arguments(arguments);
        let messages = templates::fill(tool, arguments);
        let model = arguments.optional_text("model");
        let [_, schema] = tool.schemas();
        let is_local = model.is_some_and(|id| self.parts.models.entry(id).is_some());
        let tokens = AtomicUsize::new(0);
        let work = async {
            match self.parts.endpoints.of(tool).filter(|_| !is_local) {
                Some(endpoint) => endpoint.ask(tool.name(), messages, &schema, model).await,
                None => {
                    let generator = self.generator(model).await?;
                    let told = |count, _: &str| tokens.store(count, Ordering::Relaxed);
                    local(generator, messages, schema, told).await
                }
            }
        };
        with_progress(&context.notifier, &tokens, work).await
    }
}

/// Has a model of this host answer: its tokens cannot leave the schema, but may be cut off.
async fn local(
    generator: Generator,
    messages: [String; 2],
    schema: Value,
    told: impl FnMut(usize, &str),
) -> Result<Value, Failure> {
    let make = move |generator: &Generator| request(generator, messages, schema);
    let written = write(generator, make, told).await?;
    if written.reason == FinishReason::Length {
        let message = "the answer was cut off: the model's tokens or its context were used up";
        let partial = Some(written.text);
        return Err(Failure::Failed { message: message.to_owned(), partial });
    }
    serde_json::from_str(&written.text).map_err(|error| Failure::Failed {
        message: format!("the answer is not JSON, which is a bug of the host: {error}"),
        partial: Some(written.text),
    })
}

fn request(
    generator: &Generator,
    [system, user]: [String; 2],
    schema: Value,
) -> Result<GenerationRequest, GenerationError> {
    let chat = generator.has_chat_template();
    let text = if chat {
        let message = |role: &str, content: String| json!({"role": role, "content": content});
        let messages = vec![message("system", system), message("user", user)];
        let prompt = ChatPrompt { messages, add_generation_prompt: true, ..ChatPrompt::default() };
        generator.render_chat(&prompt)?
    } else {
        format!("{system}\n\n{user}\n\n")
    };
    let rule = Rule::JsonSchema(schemas::bounded(schema));
    Ok(GenerationRequest {
        prompt: Prompt::Text { text, add_special: !chat },
        chat,
        tokens_max: Some(TOKENS_MAX),
        sampling: SamplingParams { temperature: 0.0, ..SamplingParams::default() },
        seed: Some(0),
        grammar: Some(Grammar { param: "model", rule }),
        ..GenerationRequest::default()
    })
}

/// Tells each second how long it has run, and how many tokens there are.
async fn with_progress<T>(
    notifier: &Notifier,
    tokens: &AtomicUsize,
    work: impl Future<Output = T>,
) -> T {
    let started = Instant::now();
    let tell = || {
        let message = format!("{} tokens", tokens.load(Ordering::Relaxed));
        notifier.progress(started.elapsed().as_secs_f64(), None, Some(&message));
    };
    let mut pause = tokio::time::interval(PROGRESS_PAUSE);
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => {
                tell();
                return done;
            }
            _ = pause.tick() => tell(),
        }
    }
}
