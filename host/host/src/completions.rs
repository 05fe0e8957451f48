//! `host completions` and `host man`: what shells and manuals know of the command line, written from
//! its declaration.

use crate::Failure;
use crate::args::Cli;
use clap::CommandFactory as _;
use std::path::Path;

/// Prints the completions of a shell.
pub(crate) fn completions(shell: clap_complete::Shell) {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "host", &mut text);
    crate::console::answer(&String::from_utf8_lossy(&text));
}

/// Writes a manual page for the program and for each of its commands into a folder.
pub(crate) fn manual(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(())
}
