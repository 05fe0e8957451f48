//! `host run`: answer one prompt, or chat.
//!
//! The answer is the only thing on stdout, so that it can be piped.

use crate::args::RunArgs;
use crate::console::{answer, note};
use crate::{Failure, chat, wiring};
use host_engine::SamplingParams;
use host_generation::{
    ChatPrompt, GenerationEvent, GenerationRequest, GenerationStream, Generator, Prompt,
};
use serde_json::{Value, json};

/// Runs the command.
pub(crate) fn run(args: &RunArgs) -> Result<(), Failure> {
    let generator = wiring::generator(&args.plugins, &args.load, &args.model)?;
    let outcome = match &args.prompt {
        Some(prompt) => once(&generator, args, prompt),
        None => chat::chat(&generator, args),
    };
    generator.shutdown();
    outcome
}

/// Answers one prompt: as a chat message where the model has a chat template, else as plain text.
fn once(generator: &Generator, args: &RunArgs, prompt: &str) -> Result<(), Failure> {
    let request = if args.raw || !generator.has_chat_template() {
        request(args, Prompt::Text { text: prompt.to_owned(), add_special: true })
    } else {
        chat_request(generator, args, &first_messages(args, prompt))?
    };
    let mut stream = generator.submit(request)?;
    print_stream(&mut stream, || false)?;
    answer("\n");
    Ok(())
}

/// The system message, if there is one, and the user's first.
fn first_messages(args: &RunArgs, prompt: &str) -> Vec<Value> {
    let system = args.system.iter().map(|text| json!({"role": "system", "content": text}));
    system.chain([json!({"role": "user", "content": prompt})]).collect()
}

/// A request that continues the messages.
pub(crate) fn chat_request(
    generator: &Generator,
    args: &RunArgs,
    messages: &[Value],
) -> Result<GenerationRequest, Failure> {
    let text = generator.render_chat(&ChatPrompt {
        messages: messages.to_vec(),
        add_generation_prompt: true,
        ..ChatPrompt::default()
    })?;
    // The template writes the special tokens itself.
    Ok(request(args, Prompt::Text { text, add_special: false }))
}

fn request(args: &RunArgs, prompt: Prompt) -> GenerationRequest {
    GenerationRequest {
        prompt,
        tokens_max: args.max_tokens,
        sampling: SamplingParams {
            temperature: args.temperature,
            top_p: args.top_p,
            ..SamplingParams::default()
        },
        seed: args.seed,
        ..GenerationRequest::default()
    }
}

/// Prints an answer as it comes and returns it; stops when `stopped` says so.
pub(crate) fn print_stream(
    stream: &mut GenerationStream,
    stopped: impl Fn() -> bool,
) -> Result<String, Failure> {
    let mut text = String::new();
    while let Some(event) = stream.blocking_next() {
        match event {
            GenerationEvent::Delta { delta, .. } => {
                answer(&delta.text);
                text.push_str(&delta.text);
            }
            GenerationEvent::Finished { .. } => break,
            GenerationEvent::Failed { error, .. } => return Err(error.into()),
        }
        if stopped() {
            note("\n(stopped)");
            break;
        }
    }
    Ok(text)
}
