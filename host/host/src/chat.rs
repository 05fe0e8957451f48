//! The interactive chat of `host run`: a conversation at the terminal, with commands.
//!
//! Answers go to stdout, everything else to stderr. Ctrl-C stops an answer and not the program.

mod command;
pub(crate) mod conversation;
mod input;
pub(crate) mod settings;

use crate::agent::Toolbox;
use crate::args::RunArgs;
use crate::console::{Printable as _, answer, dim, note};
use crate::run::chat_request;
use crate::{Failure, reply, wiring};
use command::{COMMANDS, Command};
use conversation::Conversation;
use host_generation::Generator;
use host_loader::Registry;
use input::{Input, LineReader};
use settings::Settings;
use std::path::Path;
use std::sync::Arc;
use tokio::runtime::Runtime;

const HINT: &str = "/help lists the commands, Ctrl-C stops an answer, Ctrl-D leaves";

const HELP_END: &str = "A line that ends with \\ goes on in the next, and so does a message between \
                        \"\"\" and \"\"\".";

/// Chats until the person leaves.
pub(crate) fn chat(
    args: &RunArgs,
    settings: Settings,
    registry: Arc<Registry>,
    generator: Generator,
    toolbox: Option<&Toolbox>,
    runtime: &Runtime,
) -> Result<(), Failure> {
    check_template(&generator)?;
    let mut reader = LineReader::new()?;
    let conversation = Conversation::new(args.system.as_deref());
    let mut chat = Chat { args, settings, registry, generator, toolbox, conversation, runtime };
    chat.introduce();
    loop {
        let line = match reader.read()? {
            Input::Line(line) => line,
            Input::Interrupted => {
                note(&dim("Ctrl-D leaves"));
                continue;
            }
            Input::End => return Ok(()),
        };
        let outcome = match command::parse(&line) {
            Ok(None) => Ok(()),
            Ok(Some(Command::Exit)) => return Ok(()),
            Ok(Some(command)) => chat.obey(command),
            Err(message) => Err(message.into()),
        };
        if let Err(failure) = outcome {
            note(&format!("error: {}", failure.to_string().printable()));
        }
    }
}

fn check_template(generator: &Generator) -> Result<(), Failure> {
    match generator.has_chat_template() {
        true => Ok(()),
        false => {
            Err("the model has no chat template; give a prompt, with --raw if you like".into())
        }
    }
}

struct Chat<'a> {
    args: &'a RunArgs,
    settings: Settings,
    registry: Arc<Registry>,
    generator: Generator,
    /// Tools that the model may call, if there are any.
    toolbox: Option<&'a Toolbox>,
    conversation: Conversation,
    runtime: &'a Runtime,
}

impl Chat<'_> {
    fn introduce(&self) {
        note(&dim(&format!("{} - {HINT}", self.generator.summary().id.printable())));
        if let Some(toolbox) = self.toolbox {
            note(&dim(&toolbox.describe().printable()));
        }
    }

    fn obey(&mut self, command: Command) -> Result<(), Failure> {
        match command {
            Command::Say(message) => {
                self.conversation.ask(&message);
                // A message that cannot be answered would stand in the way of all after it.
                self.reply().inspect_err(|_| {
                    self.conversation.undo();
                })?;
            }
            Command::Retry => self.retry()?,
            Command::Undo if !self.conversation.undo() => {
                return Err("there is no message to take back".into());
            }
            Command::Undo => self.count_messages(),
            Command::Clear => {
                self.conversation.clear();
                self.count_messages();
            }
            Command::Model(path) => self.change_model(&path)?,
            Command::System(text) => {
                self.conversation.system = Some(text).filter(|text| !text.is_empty());
            }
            Command::Set { name, value } => self.settings.set(&name, &value)?,
            Command::Save(path) => self.conversation.save(&path)?,
            Command::Load(path) => {
                self.conversation = Conversation::load(&path)?;
                self.count_messages();
            }
            Command::Help => help(),
            Command::Show => self.show(),
            Command::Exit => {}
        }
        Ok(())
    }

    fn retry(&mut self) -> Result<(), Failure> {
        let Some(answer) = self.conversation.reopen() else {
            return Err("there is no message to answer again".into());
        };
        self.reply().inspect_err(|_| self.conversation.extend(answer))
    }

    /// Answers the last message.
    fn reply(&mut self) -> Result<(), Failure> {
        if let Some(toolbox) = self.toolbox {
            return self.reply_with_tools(toolbox);
        }
        let request = chat_request(&self.generator, &self.settings, &self.conversation)?;
        let reply = reply::print(&self.generator, request, interrupted());
        let reply = self.runtime.block_on(reply)?;
        answer("\n");
        if reply.reason.is_none() && reply.text.is_empty() {
            return Err("stopped before the first token, so the message is taken back".into());
        }
        note(&dim(&reply.figures(self.generator.limits().sequence_tokens_max())));
        self.conversation.answer(&reply.text);
        Ok(())
    }

    /// As [`Chat::reply`], where tools are called on the way.
    fn reply_with_tools(&mut self, toolbox: &Toolbox) -> Result<(), Failure> {
        let mut messages = self.conversation.messages();
        let known = messages.len();
        let reply = self.runtime.block_on(async {
            tokio::select! {
                reply = toolbox.answer(&self.generator, &self.settings, &mut messages) => reply,
                () = interrupted() => Err("stopped, so the message is taken back".into()),
            }
        });
        answer("\n");
        let figures = reply?.figures(self.generator.limits().sequence_tokens_max());
        note(&dim(&figures));
        self.conversation.extend(messages.split_off(known));
        Ok(())
    }

    /// Goes on with another model; the present one stays until the other is there.
    fn change_model(&mut self, path: &Path) -> Result<(), Failure> {
        let generator = wiring::start(&self.registry, &self.args.load, path)?;
        check_template(&generator)?;
        self.generator = generator;
        self.introduce();
        Ok(())
    }

    fn show(&self) {
        let summary = self.generator.summary();
        let system = self.conversation.system.as_deref().unwrap_or("none");
        let context = self.generator.limits().sequence_tokens_max();
        let lines = format!(
            "model {} ({})\ncontext {context}\n{}\nmessages {}\nsystem {system}",
            summary.id,
            summary.path.display(),
            self.settings.describe(),
            self.conversation.len(),
        );
        note(&lines.printable());
    }

    fn count_messages(&self) {
        note(&dim(&format!("{} messages", self.conversation.len())));
    }
}

/// Ends when the person at the terminal presses Ctrl-C.
async fn interrupted() {
    // Where signals cannot be had, an answer comes to its own end.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

fn help() {
    let width = COMMANDS.iter().map(|(name, what, _)| name.len() + what.len()).max().unwrap_or(0);
    for (name, what, does) in COMMANDS {
        let command = format!("{name} {what}");
        note(&format!("  {command:width$}  {does}", width = width + 1));
    }
    note(HELP_END);
}
