//! The configuration file: settings that hold unless the environment or a flag says otherwise.
//!
//! A setting is a flag with an environment twin; its key is the flag's name. Which there are is read
//! from the command line's own declaration, and a file's values take the place of the defaults
//! there, so no flag is named here.

mod file;
mod show;

use crate::args::{Cli, ConfigCommand};
use crate::console::{answer, note};
use crate::{Failure, folders};
use clap::error::ContextKind;
use clap::{Arg, Command, CommandFactory as _, FromArgMatches as _, Parser as _};
use file::ConfigFile;
use serde_json::Value;
use std::path::Path;

/// Runs `host config`.
pub(crate) fn config(command: &ConfigCommand, path: Option<&Path>) -> Result<(), Failure> {
    match command {
        ConfigCommand::Show { origin, json, words } => {
            let file = find(path)?;
            let settings = show::settings(Cli::command(), file.as_ref(), words)?;
            answer(&if *json {
                show::as_json(&settings)
            } else {
                show::as_toml(&settings, *origin)
            });
        }
        ConfigCommand::Check { file: path } => {
            let file = ConfigFile::read(path, &Cli::command())?;
            answer(&format!("{}: {} settings, all valid\n", path.display(), file.len()));
        }
    }
    Ok(())
}

/// The settings of this process as a JSON object, without secrets.
pub(crate) fn in_effect(path: Option<&Path>) -> Result<Value, Failure> {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let settings = show::settings(Cli::command(), find(path)?.as_ref(), &words)?;
    Ok(show::as_object(&settings))
}

/// The command line of this process. Where a variable is what is wrong with it, it is named.
pub(crate) fn command_line() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| {
        let mut program = Cli::command();
        // Only then do its flags know how they are written.
        program.build();
        if let Some(variable) = blamed_variable(&error, &program) {
            note(&format!("the environment sets {variable}:"));
        }
        error.exit()
    })
}

/// The variable that holds the value which an error is about.
fn blamed_variable(error: &clap::Error, program: &Command) -> Option<String> {
    let said = |kind| error.get(kind).map(ToString::to_string);
    let (flag, value) = (said(ContextKind::InvalidArg)?, said(ContextKind::InvalidValue)?);
    let is_meant = |arg: &&Arg| {
        let set = arg.get_env().and_then(std::env::var_os).unwrap_or_default();
        let set = set.to_string_lossy();
        arg.to_string() == flag && (set == value || set.split([',', ':']).any(|it| it == value))
    };
    let found = program.get_arguments().find(is_meant).and_then(Arg::get_env);
    let found = found.map(|name| name.to_string_lossy().into_owned());
    found.or_else(|| program.get_subcommands().find_map(|it| blamed_variable(error, it)))
}

/// The command line with what the configuration file says, if there is one.
pub(crate) fn with_file(cli: Cli) -> Result<Cli, Failure> {
    let Some(file) = find(cli.config.as_deref())? else { return Ok(cli) };
    Ok(Cli::from_arg_matches(&file.apply(Cli::command()).get_matches())?)
}

/// The file that was named, or else the user's own if it is there.
fn find(path: Option<&Path>) -> Result<Option<ConfigFile>, Failure> {
    let own = || folders::configuration().map(|folder| folder.join("host.toml"));
    let path = path.map(Path::to_owned).or_else(|| own().filter(|path| path.exists()));
    path.map(|path| ConfigFile::read(&path, &Cli::command())).transpose()
}

/// The flags of a command that are settings.
fn flags(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| {
        arg.get_long().is_some() && arg.get_env().is_some() && arg.get_id() != "config"
    })
}

#[cfg(test)]
mod tests;
