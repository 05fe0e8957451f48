//! `host run`: answer one prompt, or chat where a person sits at the terminal.
//!
//! The answer is the only thing on stdout, so that it can be piped.

use crate::agent::Toolbox;
use crate::args::RunArgs;
use crate::chat::conversation::Conversation;
use crate::chat::settings::Settings;
use crate::console::{answer, note};
use crate::{Failure, chat, folders, reply, wiring};
use host_generation::{ChatPrompt, GenerationRequest, Generator, Prompt};
use std::io::{IsTerminal as _, Read as _, stdin, stdout};
use tokio::runtime::{Builder, Runtime};

/// Most bytes of a prompt that are read from stdin.
const PROMPT_BYTES_MAX: u64 = 16 << 20;

/// What to do where there is nothing to run.
const NO_MODEL: &str = "no model: name a file or folder, as in `host run MODEL PROMPT`; there is no \
                        starter model beside the program";

/// Runs the command.
pub(crate) fn run(args: &RunArgs) -> Result<(), Failure> {
    let settings = Settings::of(args)?;
    let prompt = match &args.prompt {
        Some(prompt) => Some(prompt.clone()),
        None if stdin().is_terminal() && stdout().is_terminal() => None,
        None => Some(read_prompt()?),
    };
    let runtime = runtime(args)?;
    let registry = wiring::registry(&args.plugins)?;
    // What is wrong with it is told before the model takes its time.
    let toolbox = match args.agent {
        true => Some(runtime.block_on(Toolbox::open(args, &registry))?),
        false => None,
    };
    let model = args.model.clone().or_else(folders::starter).ok_or(NO_MODEL)?;
    let generator = wiring::start(&registry, &args.load, &model)?;
    let done = match prompt {
        Some(prompt) => once(&runtime, &generator, &settings, args, toolbox.as_ref(), prompt),
        None => chat::chat(args, settings, registry, generator, toolbox.as_ref(), &runtime),
    };
    if let Some(toolbox) = toolbox {
        runtime.block_on(toolbox.close());
    }
    done
}

/// Servers are looked after while the terminal's thread waits for a person, so they need threads of
/// their own.
fn runtime(args: &RunArgs) -> Result<Runtime, Failure> {
    let mut builder = match args.agent {
        true => Builder::new_multi_thread(),
        false => Builder::new_current_thread(),
    };
    Ok(builder.worker_threads(2).enable_all().build()?)
}

/// Answers one prompt: as a chat message where the model has a chat template, else as plain text.
fn once(
    runtime: &Runtime,
    generator: &Generator,
    settings: &Settings,
    args: &RunArgs,
    toolbox: Option<&Toolbox>,
    prompt: String,
) -> Result<(), Failure> {
    let mut conversation = Conversation::new(args.system.as_deref());
    conversation.ask(&prompt);
    // Ctrl-C ends the program, as it does any other.
    if let Some(toolbox) = toolbox {
        let mut messages = conversation.messages();
        runtime.block_on(toolbox.answer(generator, settings, &mut messages))?;
    } else {
        let request = match args.raw || !generator.has_chat_template() {
            true => settings.request(Prompt::Text { text: prompt, add_special: true }),
            false => chat_request(generator, settings, &conversation)?,
        };
        runtime.block_on(reply::print(generator, request, std::future::pending()))?;
    }
    answer("\n");
    Ok(())
}

/// A request that continues a conversation.
pub(crate) fn chat_request(
    generator: &Generator,
    settings: &Settings,
    conversation: &Conversation,
) -> Result<GenerationRequest, Failure> {
    let text = generator.render_chat(&ChatPrompt {
        messages: conversation.messages(),
        add_generation_prompt: true,
        ..ChatPrompt::default()
    })?;
    // The template writes the special tokens itself.
    Ok(settings.request(Prompt::Text { text, add_special: false }))
}

/// The whole of stdin without its last line end.
fn read_prompt() -> Result<String, Failure> {
    if stdin().is_terminal() {
        note("reading the prompt from the terminal, Ctrl-D ends it");
    }
    let mut text = String::new();
    stdin()
        .take(PROMPT_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| format!("the prompt cannot be read from stdin: {error}"))?;
    if text.len() as u64 > PROMPT_BYTES_MAX {
        let message = format!("the prompt on stdin has more than {PROMPT_BYTES_MAX} bytes");
        return Err(message.into());
    }
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        let message = "the prompt on stdin is empty; give one there or as an argument, or chat at \
                       a terminal";
        return Err(message.into());
    }
    Ok(text.to_owned())
}
