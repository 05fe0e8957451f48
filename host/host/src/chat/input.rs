//! The line editor of the chat: history in a file, messages of several lines, completion.
//!
//! It reads; what was typed means nothing here.

use super::command::{COMMANDS, is_open};
use super::settings;
use crate::{Failure, console, folders};
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use std::borrow::Cow;
use std::path::PathBuf;

/// Most lines that the history keeps.
const HISTORY_MAX: usize = 1000;

const PROMPT: &str = "> ";

/// What came from the terminal.
pub(super) enum Input {
    Line(String),
    /// Ctrl-C: the line is given up.
    Interrupted,
    /// Ctrl-D: there is no more.
    End,
}

/// Reads lines from the terminal.
pub(super) struct LineReader {
    editor: Editor<Assistant, FileHistory>,
    history: Option<PathBuf>,
}

impl LineReader {
    pub(super) fn new() -> Result<Self, Failure> {
        let config = Config::builder()
            .max_history_size(HISTORY_MAX)?
            .completion_type(CompletionType::List)
            .build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(Assistant { files: FilenameCompleter::new() }));
        let history = history_file();
        if let Some(path) = &history {
            // There is none before the first chat.
            let _none = editor.load_history(path);
        }
        Ok(Self { editor, history })
    }

    pub(super) fn read(&mut self) -> Result<Input, Failure> {
        match self.editor.readline(PROMPT) {
            Ok(line) => {
                self.remember(&line);
                Ok(Input::Line(line))
            }
            Err(ReadlineError::Interrupted) => Ok(Input::Interrupted),
            Err(ReadlineError::Eof) => Ok(Input::End),
            Err(failure) => Err(failure.into()),
        }
    }

    fn remember(&mut self, line: &str) {
        let added = self.editor.add_history_entry(line);
        if let (Ok(true), Some(path)) = (added, &self.history) {
            // A chat without a history is better than none.
            let _lost = self.editor.append_history(path);
        }
    }
}

/// The file of the history, in a folder that is made for it.
fn history_file() -> Option<PathBuf> {
    let folder = folders::data()?;
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("chat_history"))
}

/// Helps the editor: where a message ends, what completes a word, how the prompt looks.
struct Assistant {
    files: FilenameCompleter,
}

impl Helper for Assistant {}

impl Hinter for Assistant {
    type Hint = String;
}

impl Highlighter for Assistant {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        console::bold(prompt)
    }
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match is_open(context.input()) {
            true => ValidationResult::Incomplete,
            false => ValidationResult::Valid(None),
        })
    }
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = &line[..pos];
        if ["/model ", "/save ", "/load "].iter().any(|command| typed.starts_with(command)) {
            return self.files.complete_path(line, pos);
        }
        let (start, words) = match typed.starts_with("/set ") {
            true => ("/set ".len(), settings::NAMES.to_vec()),
            false => (0, COMMANDS.iter().map(|(name, ..)| *name).collect()),
        };
        let fits = |word: &&str| typed.starts_with('/') && word.starts_with(&typed[start..]);
        let pair = |word: &str| Pair { display: word.to_owned(), replacement: format!("{word} ") };
        Ok((start, words.into_iter().filter(fits).map(pair).collect()))
    }
}
