//! The interactive chat of `host run`: history, line editing, and Ctrl-C that stops the answer and
//! not the program.

use crate::Failure;
use crate::args::RunArgs;
use crate::console::{answer, note};
use crate::run::{chat_request, print_stream};
use host_generation::Generator;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const HELP: &str =
    "/clear forgets the conversation, /exit (or Ctrl-D) leaves, Ctrl-C stops an answer";

/// Chats until the person leaves.
pub(crate) fn chat(generator: &Generator, args: &RunArgs) -> Result<(), Failure> {
    if !generator.has_chat_template() {
        return Err("the model has no chat template; give a prompt, with --raw if you like".into());
    }
    let interrupted = watch_interrupts()?;
    let mut editor = DefaultEditor::new()?;
    let mut messages = opening(args);
    note(&format!("{} - {HELP}", generator.summary().id));
    loop {
        let line = match editor.readline("> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(failure) => return Err(failure.into()),
        };
        match line.trim() {
            "" => continue,
            "/exit" | "/quit" => return Ok(()),
            "/help" => note(HELP),
            "/clear" => messages = opening(args),
            _ => {
                editor.add_history_entry(&line)?;
                messages.push(json!({"role": "user", "content": line}));
                interrupted.store(false, Ordering::Relaxed);
                match reply(generator, args, &messages, &interrupted) {
                    Ok(text) => messages.push(json!({"role": "assistant", "content": text})),
                    Err(failure) => {
                        // The question stays out of the history, or every later one would fail too.
                        messages.pop();
                        note(&format!("error: {failure}"));
                    }
                }
            }
        }
    }
}

fn opening(args: &RunArgs) -> Vec<Value> {
    args.system.iter().map(|text| json!({"role": "system", "content": text})).collect()
}

fn reply(
    generator: &Generator,
    args: &RunArgs,
    messages: &[Value],
    interrupted: &AtomicBool,
) -> Result<String, Failure> {
    let mut stream = generator.submit(chat_request(generator, args, messages)?)?;
    let text = print_stream(&mut stream, || interrupted.load(Ordering::Relaxed))?;
    answer("\n");
    Ok(text)
}

/// A flag that Ctrl-C raises while an answer is printed; at the prompt the line editor has it.
fn watch_interrupts() -> Result<Arc<AtomicBool>, Failure> {
    let raised = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&raised);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("interrupts".to_owned()).spawn(move || {
        runtime.block_on(async {
            while tokio::signal::ctrl_c().await.is_ok() {
                flag.store(true, Ordering::Relaxed);
            }
        });
    })?;
    Ok(raised)
}
