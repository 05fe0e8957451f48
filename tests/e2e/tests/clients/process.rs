//! A program that must come to an end, with what it says in a file for whoever looks into it.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(100);
/// Lines of a log that are shown.
const SHOWN_MAX: usize = 30;

/// A program that has ended by itself.
pub(crate) struct Ended {
    pub(crate) is_success: bool,
    /// The end of what it said, and where the rest stands.
    pub(crate) log: String,
}

/// Runs a command, or says why it did not run to its end.
pub(crate) fn run(command: &mut Command, log: &Path, limit: Duration) -> Result<Ended, String> {
    let out = File::create(log).expect("the target folder is writable");
    let err = out.try_clone().expect("a file can be held twice");
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .map_err(|error| format!("{program} does not start: {error}"))?;
    let status = wait(&mut child, limit);
    let shown = last_lines(log);
    match status {
        Some(status) => Ok(Ended { is_success: status.success(), log: shown }),
        None => Err(format!("{program} was stopped after {limit:?}; it said:\n{shown}")),
    }
}

fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    let (_open, pause) = mpsc::sync_channel::<()>(0);
    while start.elapsed() < limit {
        if let Some(status) = child.try_wait().expect("the child was started by us") {
            return Some(status);
        }
        let _timeout = pause.recv_timeout(PAUSE);
    }
    let _gone = child.kill();
    let _reaped = child.wait();
    None
}

fn last_lines(log: &Path) -> String {
    let text = fs::read(log).expect("the log was made by us");
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let shown = lines[lines.len().saturating_sub(SHOWN_MAX)..].join("\n");
    format!("{shown}\n(all of it: {})", log.display())
}
