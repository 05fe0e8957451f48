//! Reads a configuration file and puts its values in the place of defaults.
//!
//! Keys above all tables hold for every command that has such a flag, those of `[serve]` and the
//! like for that command alone. Each value is judged by the flag's own parser, here and now, so that
//! an error names the line.

use super::flags;
use crate::Failure;
use clap::builder::ArgAction;
use clap::{Arg, Command};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Most bytes of a file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// How alike two names are when one may be meant by the other, from 0 to 1.
const LIKENESS_MIN: f64 = 0.75;

/// A file that was read, all of it valid.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    settings: Vec<Setting>,
}

/// A key with its values.
#[derive(Debug)]
struct Setting {
    /// The command it is for; none: all.
    command: Option<String>,
    flag: String,
    values: Vec<String>,
    line: usize,
}

impl ConfigFile {
    /// Reads a file for the commands of a program. Everything that is wrong with it is said at once.
    pub(crate) fn read(path: &Path, program: &Command) -> Result<Self, Failure> {
        let text = read_text(path)
            .map_err(|error| format!("the configuration file {}: {error}", path.display()))?;
        Self::parse(path, &text, program)
    }

    /// As [`ConfigFile::read`], of a text.
    pub(crate) fn parse(path: &Path, text: &str, program: &Command) -> Result<Self, Failure> {
        let (settings, problems) = (Vec::new(), Vec::new());
        let mut reader = Reader { program, text, settings, problems };
        match DeTable::parse(text) {
            Ok(table) => reader.read(table.get_ref()),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                reader.refuse(at, error.message());
            }
        }
        if reader.problems.is_empty() {
            return Ok(Self { path: path.to_owned(), settings: reader.settings });
        }
        reader.problems.sort();
        let problems = reader.problems.iter();
        let problems: Vec<_> = problems
            .map(|(line, problem)| format!("{}:{line}: {problem}", path.display()))
            .collect();
        Err(problems.join("\n").into())
    }

    /// How many settings it has.
    pub(crate) fn len(&self) -> usize {
        self.settings.len()
    }

    /// A program whose flags have the file's values for defaults.
    pub(crate) fn apply(&self, program: Command) -> Command {
        let name = program.get_name().to_owned();
        let set = |arg: Arg| match self.setting(&name, &arg) {
            Some(setting) => arg.default_values(&setting.values),
            None => arg,
        };
        program.mut_args(set).mut_subcommands(|command| self.apply(command))
    }

    /// Where the file sets a flag of a command, as `FILE:LINE`.
    pub(crate) fn place(&self, command: &str, arg: &Arg) -> Option<String> {
        let setting = self.setting(command, arg)?;
        Some(format!("{}:{}", self.path.display(), setting.line))
    }

    /// The command's own setting of a flag, else that of all.
    fn setting(&self, command: &str, arg: &Arg) -> Option<&Setting> {
        let is_meant = |setting: &&Setting| arg.get_long() == Some(&setting.flag);
        let all = || self.settings.iter().filter(is_meant);
        let own = all().find(|setting| setting.command.as_deref() == Some(command));
        own.or_else(|| all().find(|setting| setting.command.is_none()))
    }
}

/// Collects settings, and what is wrong.
struct Reader<'a> {
    program: &'a Command,
    text: &'a str,
    settings: Vec<Setting>,
    /// Each with its line.
    problems: Vec<(usize, String)>,
}

impl Reader<'_> {
    /// The line of a place in the text, from 1.
    fn line(&self, at: usize) -> usize {
        1 + self.text.bytes().take(at).filter(|byte| *byte == b'\n').count()
    }

    fn refuse(&mut self, at: usize, problem: impl Into<String>) {
        self.problems.push((self.line(at), problem.into()));
    }

    fn read(&mut self, table: &DeTable<'_>) {
        let program = self.program;
        let commands: Vec<&Command> =
            program.get_subcommands().filter(|it| has_table(it)).collect();
        for (key, value) in table {
            let name = key.get_ref();
            match (value.get_ref(), commands.iter().find(|it| it.get_name() == name)) {
                (DeValue::Table(entries), Some(command)) => {
                    for (key, value) in entries {
                        self.take(Some(command), key, value);
                    }
                }
                _ => self.take(None, key, value),
            }
        }
    }

    fn take(
        &mut self,
        command: Option<&Command>,
        key: &Spanned<impl AsRef<str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let flag = key.get_ref().as_ref().replace('_', "-");
        let known = match command {
            Some(command) => flags(command).collect(),
            None => all_flags(self.program),
        };
        let meant: Vec<&Arg> =
            known.iter().copied().filter(|arg| arg.get_long() == Some(&flag)).collect();
        if meant.is_empty() {
            let names = known.iter().filter_map(|arg| arg.get_long());
            let problem = unknown(key.get_ref().as_ref(), command, names);
            return self.refuse(key.span().start, problem);
        }
        let judge = |arg: &&Arg| values(arg, value.get_ref()).and_then(|it| check(arg, it));
        match meant.iter().map(judge).collect::<Result<Vec<_>, String>>() {
            Ok(values) => {
                let values = values.into_iter().next().unwrap_or_default();
                let command = command.map(|command| command.get_name().to_owned());
                let line = self.line(key.span().start);
                self.settings.push(Setting { command, flag, values, line });
            }
            Err(problem) => self.refuse(value.span().start, format!("{flag}: {problem}")),
        }
    }
}

/// Whether a command may have a table: those that have commands of their own share names with flags.
fn has_table(command: &Command) -> bool {
    !command.is_hide_set() && !command.has_subcommands()
}

/// The settings of a program and of all its commands.
fn all_flags(program: &Command) -> Vec<&Arg> {
    flags(program).chain(program.get_subcommands().flat_map(all_flags)).collect()
}

fn unknown<'a>(
    key: &str,
    command: Option<&Command>,
    names: impl Iterator<Item = &'a str>,
) -> String {
    let whose = match command {
        Some(command) => format!("of `host {}`", command.get_name()),
        None => "of any command".to_owned(),
    };
    let likeness = |name: &str| strsim::jaro_winkler(&key.replace('_', "-"), name);
    let nearest = names.max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
    let meant = nearest.filter(|name| likeness(name) >= LIKENESS_MIN);
    let hint = meant.map_or_else(
        || "`host config show` lists them".to_owned(),
        |name| format!("did you mean `{name}`?"),
    );
    format!("`{key}` is no setting {whose}; {hint}")
}

/// A value in the words that the flag would take.
fn values(arg: &Arg, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let is_list = matches!(arg.get_action(), ArgAction::Append);
    match value {
        DeValue::Boolean(value) if is_switch => Ok(vec![value.to_string()]),
        value if is_switch => Err(format!("found {}, expected true or false", value.type_str())),
        DeValue::Array(entries) if is_list => {
            entries.iter().map(|entry| word(entry.get_ref())).collect()
        }
        value => Ok(vec![word(value)?]),
    }
}

fn word(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        // The decimal number, however it is written.
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|error| error.to_string()),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        other => Err(format!("found {}, expected a string or a number", other.type_str())),
    }
}

/// Lets the flag's own parser judge the values.
fn check(arg: &Arg, values: Vec<String>) -> Result<Vec<String>, String> {
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return Ok(values);
    }
    let name = arg.get_long().unwrap_or_default();
    let words = values.iter().map(|value| format!("--{name}={value}"));
    let alone = Command::new("setting").no_binary_name(true).disable_help_flag(true);
    match alone.arg(arg.clone()).try_get_matches_from(words) {
        Ok(_) => Ok(values),
        Err(error) => {
            let text = error.to_string();
            let said = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
            Err(said.to_owned())
        }
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let length = File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if length as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}
