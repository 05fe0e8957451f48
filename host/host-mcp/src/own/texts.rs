//! `chat`, `generate` and `tokenize`.

use host_engine::SamplingParams;
use host_generation::{
    ChatPrompt, GenerationError, GenerationRequest, Generator, Grammar, Prompt, Rule,
};
use host_tools::{Context, Map};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::arguments::Arguments;
use super::failure::Failure;
use super::writing::write;
use super::{Called, HostTools};

impl HostTools {
    /// Answers a conversation.
    pub(super) async fn chat(&self, arguments: &Map, context: &Context) -> Called {
        let arguments = Arguments(arguments);
        let messages = arguments.list("messages").to_vec();
        let prompt = ChatPrompt { messages, add_generation_prompt: true, ..ChatPrompt::default() };
        let render = move |generator: &Generator| {
            let text = generator.render_chat(&prompt)?;
            // The template writes the special tokens itself.
            Ok((Prompt::Text { text, add_special: false }, true))
        };
        self.answer(arguments, context, render).await
    }

    /// Continues a text.
    pub(super) async fn generate(&self, arguments: &Map, context: &Context) -> Called {
        let arguments = Arguments(arguments);
        let text = arguments.text("prompt").to_owned();
        let prompt = |_: &Generator| Ok((Prompt::Text { text, add_special: true }, false));
        self.answer(arguments, context, prompt).await
    }

    async fn answer(
        &self,
        arguments: Arguments<'_>,
        context: &Context,
        prompt: impl FnOnce(&Generator) -> Result<(Prompt, bool), GenerationError> + Send + 'static,
    ) -> Called {
        let request = request(arguments)?;
        let generator = self.generator(arguments.optional_text("model")).await?;
        let make = move |generator: &Generator| {
            let (prompt, chat) = prompt(generator)?;
            Ok(GenerationRequest { prompt, chat, ..request })
        };
        let notifier = &context.notifier;
        let told = |tokens: usize, text: &str| notifier.progress(tokens as f64, None, Some(text));
        Ok(write(generator, make, told).await?.shown())
    }

    /// The tokens of a text.
    pub(super) async fn tokenize(&self, arguments: &Map) -> Called {
        let arguments = Arguments(arguments);
        let model = self.model(arguments.optional_text("model")).await?;
        let text = arguments.text("text").to_owned();
        let add_special = arguments.flag("add_special").unwrap_or(true);
        let id = model.summary().id.clone();
        let tokenize = move || model.tokenize(&text, add_special);
        let tokens = spawn_blocking(tokenize).await.map_err(|_| Failure::new("a bug of the host"));
        let tokens = tokens??;
        Ok(json!({"model": id, "tokens": tokens, "count": tokens.len()}))
    }
}

/// The request that the arguments make, but for its prompt.
fn request(arguments: Arguments<'_>) -> Result<GenerationRequest, Failure> {
    // As over HTTP, an answer varies unless the client says otherwise.
    let temperature = arguments.number("temperature").unwrap_or(1.0);
    let mut sampling = SamplingParams { temperature, ..SamplingParams::default() };
    if let Some(top_p) = arguments.number("top_p") {
        sampling.top_p = top_p;
    }
    Ok(GenerationRequest {
        tokens_max: arguments.count("max_tokens"),
        sampling,
        seed: arguments.count("seed").map(|seed| seed as u64),
        stop: arguments.texts("stop"),
        grammar: grammar(arguments.0.get("response_format"))?,
        ..GenerationRequest::default()
    })
}

/// What the answer must match, in the words of OpenAI's API.
fn grammar(format: Option<&Value>) -> Result<Option<Grammar>, Failure> {
    let Some(format) = format else { return Ok(None) };
    let rule = match format["type"].as_str() {
        Some("json_object") => Rule::json_object(),
        Some("json_schema") => match &format["json_schema"]["schema"] {
            schema @ Value::Object(_) => Rule::JsonSchema(schema.clone()),
            _ => {
                let message = "response_format.json_schema.schema is missing, expected an object";
                return Err(Failure::arguments(message));
            }
        },
        _ => return Ok(None),
    };
    Ok(Some(Grammar { param: "response_format", rule }))
}
