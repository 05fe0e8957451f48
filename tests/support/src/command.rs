//! Programs that must come to an end: run with a time limit, output collected.

use crate::host_program;
use std::io::Read;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);
/// A cold build on a small machine.
const BUILD_LIMIT: Duration = Duration::from_secs(1800);

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

/// Runs a command to its end.
///
/// # Panics
/// It cannot be started, or is killed for running longer than two minutes.
pub fn run(command: &mut Command) -> Finished {
    run_within(command, Stdio::null(), LIMIT)
}

/// As [`run`], with what the command finds on stdin.
///
/// # Panics
/// As [`run`].
pub fn run_reading(command: &mut Command, stdin: impl Into<Stdio>) -> Finished {
    run_within(command, stdin.into(), LIMIT)
}

/// Runs the host with these arguments and without flags from the environment.
///
/// # Panics
/// As [`run`].
pub fn run_host<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Finished {
    run(without_flags(&mut Command::new(host_program())).args(arguments))
}

/// As [`run_host`], with what the host finds on stdin.
///
/// # Panics
/// As [`run`].
pub fn run_host_reading<'a>(
    arguments: impl IntoIterator<Item = &'a str>,
    stdin: impl Into<Stdio>,
) -> Finished {
    let mut command = Command::new(host_program());
    run_reading(without_flags(&mut command).args(arguments), stdin)
}

/// Runs cargo in a folder, building into `target`.
///
/// # Panics
/// The command fails; its output is shown.
pub fn cargo(folder: &Path, target: &Path, arguments: &[&str]) {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).env("CARGO_TARGET_DIR", target);
    // What cargo sets for the package under test must not reach the packages it builds.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST") {
            command.env_remove(&name);
        }
    }
    let done = run_within(&mut command, Stdio::null(), BUILD_LIMIT);
    assert!(done.status.success(), "cargo {} failed:\n{}", arguments.join(" "), done.stderr);
}

/// Removes the host's environment flags, so that a developer's settings do not reach a test.
pub(crate) fn without_flags(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HOST_") {
            command.env_remove(&name);
        }
    }
    // Nor does a file of settings.
    command.env("XDG_CONFIG_HOME", std::env::temp_dir().join("host-e2e-no-settings"))
}

fn run_within(command: &mut Command, stdin: Stdio, limit: Duration) -> Finished {
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| unreachable!("{command:?} does not start: {error}"));
    let (closed, both_closed) = mpsc::sync_channel(2);
    let stdout = collect(child.stdout.take(), closed.clone());
    let stderr = collect(child.stderr.take(), closed);
    // A pipe closes when the last process that holds it ends.
    let ended = (0..2).all(|_| both_closed.recv_timeout(limit).is_ok());
    if !ended {
        let _gone = child.kill();
    }
    let status = child.wait().expect("the child was started by us");
    assert!(ended, "{command:?} ran longer than {limit:?} and was killed");
    let text = |thread: thread::JoinHandle<Vec<u8>>| {
        let bytes = thread.join().expect("a reader does not panic");
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Finished { status, stdout: text(stdout), stderr: text(stderr) }
}

fn collect(
    pipe: Option<impl Read + Send + 'static>,
    closed: mpsc::SyncSender<()>,
) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _what_came = pipe.read_to_end(&mut bytes);
        }
        let _nobody_waits = closed.send(());
        bytes
    })
}
