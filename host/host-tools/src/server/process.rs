//! The process of a server: what it sees of the host, what it says on standard error, and its end.
//!
//! It starts with an environment of a few harmless variables and those of the configuration, so
//! that the host's own secrets stay the host's. It is the head of a process group of its own, which
//! ends as a whole; on Linux the kernel ends it too if the host dies without a chance to.

use std::collections::VecDeque;
use std::io;
use std::process::{Command as StdCommand, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use crate::config::{Grant, ServerConfig, Source};

/// Variables of the host that every server sees.
#[cfg(not(windows))]
const SHARED: &[&str] = &["PATH", "HOME", "LANG", "TMPDIR"];
#[cfg(windows)]
const SHARED: &[&str] = &[
    "PATH",
    "PATHEXT",
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "COMSPEC",
    "TEMP",
    "TMP",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
    "PROGRAMFILES",
    "PROGRAMDATA",
];

/// How long a server may take to end, first after its input was closed, then after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);

/// Lines of standard error that are kept, and bytes of each.
const STDERR_LINES: usize = 50;
const STDERR_LINE_BYTES: u64 = 2048;

/// Lines of standard error a second that are logged.
const LOGGED_A_SECOND: u32 = 20;

/// A running server.
pub(super) struct Process {
    child: Child,
    group: Option<u32>,
    stderr: Arc<Stderr>,
}

/// The last lines of a server's standard error.
#[derive(Debug, Default)]
pub(super) struct Stderr(Mutex<VecDeque<String>>);

impl Stderr {
    pub(super) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= STDERR_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

impl Process {
    /// Starts a server, with the ends of its output and input.
    pub(super) fn start(
        name: &Arc<str>,
        source: &Source,
    ) -> io::Result<(Self, ChildStdout, ChildStdin)> {
        let mut command = Command::from(command(name, source, false)?);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        isolate(&mut command);
        let mut child = command.spawn()?;
        let missing = || io::Error::other("a pipe is missing");
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stderr = Arc::<Stderr>::default();
        if let Some(pipe) = child.stderr.take() {
            tokio::spawn(read_stderr(Arc::clone(name), pipe, Arc::clone(&stderr)));
        }
        let group = child.id();
        Ok((Self { child, group, stderr }, stdout, stdin))
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    pub(super) fn stderr(&self) -> Arc<Stderr> {
        Arc::clone(&self.stderr)
    }

    /// Waits for its end.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Ends it, after its input was closed: by itself, then by SIGTERM, then by SIGKILL, and what
    /// it started with it.
    pub(super) async fn end(mut self) -> Option<ExitStatus> {
        for signal in [Signal::Terminate, Signal::Kill] {
            if let Ok(status) = tokio::time::timeout(GRACE, self.child.wait()).await {
                self.signal(Signal::Kill);
                self.group = None;
                return status.ok();
            }
            self.signal(signal);
        }
        let status = self.child.wait().await.ok();
        self.group = None;
        status
    }

    #[cfg(unix)]
    fn signal(&self, signal: Signal) {
        use nix::sys::signal::{Signal as Unix, killpg};
        let Some(group) = self.group.and_then(|group| i32::try_from(group).ok()) else { return };
        let signal = match signal {
            Signal::Terminate => Unix::SIGTERM,
            Signal::Kill => Unix::SIGKILL,
        };
        // It fails if nobody of the group is left, which is what was wanted.
        let _gone = killpg(nix::unistd::Pid::from_raw(group), signal);
    }

    #[cfg(not(unix))]
    fn signal(&mut self, _: Signal) {
        let _gone = self.child.start_kill();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.group.is_some() {
            self.signal(Signal::Kill);
        }
    }
}

#[derive(Clone, Copy)]
enum Signal {
    Terminate,
    Kill,
}

/// The program that logs a person in to a server with an address. It prints the address to open in
/// a browser, and ends when that is done.
///
/// # Errors
///
/// The server has no address, nobody can log in to it, or the program is missing.
pub fn login_command(server: &ServerConfig) -> io::Result<StdCommand> {
    let name = &server.name;
    let refused = match &server.source {
        Source::Http { headers, auth, .. } => {
            let given = headers.keys().any(|name| name.eq_ignore_ascii_case("authorization"));
            match (given, auth.grant) {
                (false, Grant::AuthorizationCode) => return command(name, &server.source, true),
                _ => "its entry says who asks",
            }
        }
        Source::Process { .. } => "it is a program on this machine",
    };
    Err(io::Error::other(format!("nobody logs in to {name}: {refused}")))
}

/// The program of a server, or the one that logs in to it.
fn command(name: &str, source: &Source, login: bool) -> io::Result<StdCommand> {
    let mut command;
    let passed: &[String];
    let data = ["XDG_DATA_HOME".to_owned()];
    match source {
        Source::Process { command: program, args, env, env_pass, cwd } => {
            command = StdCommand::new(program);
            command.args(args).env_clear().envs(env);
            if let Some(folder) = cwd {
                command.current_dir(folder);
            }
            passed = env_pass;
        }
        Source::Http { url, headers, auth } => {
            command = StdCommand::new(beside("host-join")?);
            command.args(login.then_some("login")).arg(url).env_clear();
            // Both hold secrets, and everybody may read the arguments of a process.
            let mut auth = auth.entry();
            auth["server"] = Value::from(name);
            command.env("HOST_JOIN_HEADERS", json!(headers).to_string());
            command.env("HOST_JOIN_AUTH", auth.to_string());
            // Where the tokens of a person are.
            passed = &data;
        }
    }
    for name in SHARED.iter().copied().chain(passed.iter().map(String::as_str)) {
        if let Some(value) = std::env::var_os(name)
            && !matches!(source, Source::Process { env, .. } if env.contains_key(name))
        {
            command.env(name, value);
        }
    }
    Ok(command)
}

/// A program that is shipped beside this one.
fn beside(name: &str) -> io::Result<std::path::PathBuf> {
    let own = std::env::current_exe()?;
    let program = own.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !program.exists() {
        let shown = program.display();
        let why = "it carries what is said to servers with an address";
        return Err(io::Error::other(format!("{shown} is missing: {why}")));
    }
    Ok(program)
}

#[cfg(not(unix))]
fn isolate(_: &mut Command) {}

#[cfg(all(unix, not(target_os = "linux")))]
fn isolate(command: &mut Command) {
    command.process_group(0);
}

/// A group of its own, and the end with the host.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "what runs between fork and exec must be async-signal-safe")]
fn isolate(command: &mut Command) {
    use nix::sys::{prctl::set_pdeathsig, signal::Signal as Unix};
    use nix::unistd::{Pid, getppid};
    command.process_group(0);
    let host = Pid::this();
    // SAFETY: the closure makes two system calls and allocates nothing.
    unsafe {
        command.pre_exec(move || {
            set_pdeathsig(Unix::SIGKILL)?;
            // The host may have died before the kernel was asked.
            if getppid() == host { Ok(()) } else { Err(io::ErrorKind::Interrupted.into()) }
        });
    }
}

async fn read_stderr(name: Arc<str>, pipe: ChildStderr, stderr: Arc<Stderr>) {
    use tokio::io::AsyncReadExt as _;
    let mut pipe = BufReader::new(pipe);
    let (mut second, mut logged, mut unlogged) = (Instant::now(), 0, 0_u64);
    loop {
        let mut line = Vec::new();
        // A longer line becomes several.
        match (&mut pipe).take(STDERR_LINE_BYTES).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = String::from_utf8_lossy(&line);
        let line: String = line.trim_end().chars().filter(|c| !c.is_control()).collect();
        if second.elapsed() >= Duration::from_secs(1) {
            (second, logged) = (Instant::now(), 0);
        }
        if logged < LOGGED_A_SECOND {
            logged += 1;
            tracing::info!(server = %name, unlogged, "{line}");
            unlogged = 0;
        } else {
            unlogged += 1;
        }
        stderr.push(line);
    }
}
