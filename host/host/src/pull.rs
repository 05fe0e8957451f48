//! `host pull`: runs the program beside this one that fetches checkpoints.
//!
//! It is a program of its own, so that this one holds no TLS and opens no connection to anywhere.

use std::env::consts::EXE_SUFFIX;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::console;

/// Runs the command.
pub(crate) fn pull(arguments: &[OsString]) -> ExitCode {
    let program = program();
    match Command::new(&program).args(arguments).status() {
        // Ended by a signal it has no code.
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1).into(),
        Err(error) => {
            let program = program.display();
            let failure = format!("{program} does not run: {error}; it comes with `make build`");
            console::complain(&failure.into());
            ExitCode::FAILURE
        }
    }
}

fn program() -> PathBuf {
    let this = std::env::current_exe().unwrap_or_default();
    this.parent().unwrap_or(Path::new(".")).join(format!("host-pull{EXE_SUFFIX}"))
}
