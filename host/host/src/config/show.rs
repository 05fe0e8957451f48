//! The settings of a command as they take effect, each with where it comes from.
//!
//! As text it is a configuration file that says the same. Secrets are masked.

use super::{ConfigFile, flags};
use crate::Failure;
use clap::builder::ArgAction;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use serde_json::{Value, json};
use std::ffi::OsString;

/// What stands for a secret.
const MASK: &str = "***";

/// A setting in effect.
#[derive(Debug, PartialEq)]
pub(crate) struct Effective {
    pub(crate) key: String,
    /// None: not set, and there is no default.
    pub(crate) values: Option<Vec<String>>,
    is_list: bool,
    pub(crate) origin: Origin,
}

/// Where a value comes from.
#[derive(Debug, PartialEq)]
pub(crate) enum Origin {
    Flag,
    /// A variable.
    Environment(String),
    /// `FILE:LINE`.
    File(String),
    Default,
}

/// The settings of the command that the words are, `serve` if there are none.
pub(crate) fn settings(
    program: Command,
    file: Option<&ConfigFile>,
    words: &[OsString],
) -> Result<Vec<Effective>, Failure> {
    let program = match file {
        Some(file) => file.apply(program),
        None => program,
    };
    let serve = [OsString::from("serve")];
    let words = if words.is_empty() { &serve } else { words };
    let line = [OsString::from("host")].into_iter().chain(words.iter().cloned());
    let matches = program.clone().try_get_matches_from(line).map_err(|error| {
        let said = error.to_string();
        said.trim_start_matches("error: ").to_owned()
    })?;
    let (mut command, mut matches, mut settings) = (&program, &matches, Vec::new());
    loop {
        settings
            .extend(flags(command).map(|arg| effective(command.get_name(), arg, matches, file)));
        let Some((name, below)) = matches.subcommand() else { return Ok(settings) };
        let Some(next) = command.find_subcommand(name) else { return Ok(settings) };
        (command, matches) = (next, below);
    }
}

fn effective(
    command: &str,
    arg: &Arg,
    matches: &ArgMatches,
    file: Option<&ConfigFile>,
) -> Effective {
    let id = arg.get_id().as_str();
    let origin = match matches.value_source(id) {
        Some(ValueSource::CommandLine) => Origin::Flag,
        Some(ValueSource::EnvVariable) => {
            let name = arg.get_env().unwrap_or_default();
            Origin::Environment(name.to_string_lossy().into_owned())
        }
        // A file's values stand where the defaults stood.
        _ => file.and_then(|file| file.place(command, arg)).map_or(Origin::Default, Origin::File),
    };
    let is_secret = arg.is_hide_env_values_set();
    let text = |value: &std::ffi::OsStr| {
        if is_secret { MASK.to_owned() } else { value.to_string_lossy().into_owned() }
    };
    Effective {
        key: arg.get_long().unwrap_or(id).to_owned(),
        values: matches.get_raw(id).map(|values| values.map(text).collect()),
        is_list: matches!(arg.get_action(), ArgAction::Append),
        origin,
    }
}

/// As a configuration file.
pub(crate) fn as_toml(settings: &[Effective], with_origin: bool) -> String {
    let line = |setting: &Effective| {
        let mut line = match &setting.values {
            None => format!("# {} =", setting.key),
            Some(values) => format!("{} = {}", setting.key, toml_value(setting, values)),
        };
        if with_origin {
            line = format!("{line:<48} # {}", setting.origin.words());
        }
        line + "\n"
    };
    settings.iter().map(line).collect()
}

/// As one object of names and values.
pub(crate) fn as_object(settings: &[Effective]) -> Value {
    settings.iter().map(|setting| (setting.key.clone(), json_value(setting))).collect()
}

fn json_value(setting: &Effective) -> Value {
    match (&setting.values, setting.is_list) {
        (None, _) => Value::Null,
        (Some(values), true) => json!(values),
        (Some(values), false) => json!(values.first()),
    }
}

/// As a list of objects.
pub(crate) fn as_json(settings: &[Effective]) -> String {
    let object = |setting: &Effective| {
        let value = json_value(setting);
        let from = match &setting.origin {
            Origin::Environment(place) | Origin::File(place) => Some(place),
            Origin::Flag | Origin::Default => None,
        };
        json!({"key": setting.key, "value": value, "origin": setting.origin.kind(), "from": from})
    };
    let list: Vec<Value> = settings.iter().map(object).collect();
    format!("{:#}\n", Value::from(list))
}

fn toml_value(setting: &Effective, values: &[String]) -> String {
    let words: Vec<String> = values.iter().map(|value| toml_word(value)).collect();
    if setting.is_list { format!("[{}]", words.join(", ")) } else { words.concat() }
}

/// Switches and whole numbers bare, the rest as a string, whose escapes are those of JSON.
fn toml_word(value: &str) -> String {
    let is_number = value.parse::<i64>().is_ok_and(|number| number.to_string() == value);
    if is_number || matches!(value, "true" | "false") {
        return value.to_owned();
    }
    Value::from(value).to_string()
}

impl Origin {
    fn kind(&self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Environment(_) => "env",
            Self::File(_) => "file",
            Self::Default => "default",
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Environment(place) | Self::File(place) => format!("{} {place}", self.kind()),
            Self::Flag | Self::Default => self.kind().to_owned(),
        }
    }
}
