//! `host`: loads language-model backends as plugins and serves them.
//!
//! This file only chooses the command; every command is a file of its own. The program contains no
//! model, kernel or device: those are met at run time, in the plugin folder.

mod agent;
mod args;
mod bench;
mod calibrate;
mod chat;
mod completions;
mod config;
mod console;
mod doctor;
mod embed;
mod folders;
mod house;
mod logging;
mod mcp;
mod model;
mod models;
mod operator;
mod plugins;
mod progress;
mod pull;
mod quantize;
mod reply;
mod run;
mod serve;
mod servers;
mod wiring;

use args::{Cli, Command};
use std::process::ExitCode;

/// What a command can fail with: one line for people.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let cli = config::command_line();
    if let Command::ProbePlugin { file } = &cli.command {
        return host_loader::probe_main(file);
    }
    if let Command::Pull { arguments } = &cli.command {
        return pull::pull(arguments);
    }
    match run_command(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            console::complain(&failure);
            ExitCode::FAILURE
        }
    }
}

fn run_command(cli: Cli) -> Result<(), Failure> {
    if let Command::Config(command) = &cli.command {
        return config::config(command, cli.config.as_deref());
    }
    let cli = config::with_file(cli)?;
    let _logs = logging::start(&cli.log)?;
    match cli.command {
        Command::Serve(args) => serve::serve(&args, &cli.log, cli.config.as_deref()),
        Command::Mcp(args) => mcp::mcp(&args, cli.config.as_deref()),
        Command::Run(args) => run::run(&args),
        Command::Embed(args) => embed::embed(&args),
        Command::Plugins(command) => plugins::plugins(&command),
        Command::Model(command) => model::model(&command),
        Command::Models(command) => models::models(&command),
        Command::Quantize(args) => quantize::quantize(&args),
        Command::Calibrate(args) => calibrate::calibrate(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Doctor(args) => doctor::doctor(&args, cli.config.as_deref()),
        Command::Completions { shell } => {
            completions::completions(shell);
            Ok(())
        }
        Command::Man { folder } => completions::manual(&folder),
        // They were done above: none wants logs or settings.
        Command::Config(_) | Command::ProbePlugin { .. } | Command::Pull { .. } => Ok(()),
    }
}
