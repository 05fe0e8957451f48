//! The first load of an unknown file happens in a child process.
//!
//! Constructors of a library run before anything of it can be checked; they may crash, hang or end
//! the process. So the host runs `PROGRAM probe-plugin FILE` first, and what strikes there is a
//! reason in a list here. The child does all that the host would do later, so the host's own load
//! holds no surprise.

use crate::report::{one_line, printable};
use crate::{Refusal, open};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Most bytes that are kept of a report, and of what a plugin says beside it.
const KEPT_BYTES_MAX: usize = 16 << 10;
/// How often a probing child is looked at.
const LOOK_EVERY: Duration = Duration::from_micros(500);

/// What the child says on its last line.
#[derive(Debug, Serialize, Deserialize)]
struct ProbeReport {
    loaded: Option<String>,
    refused: Option<String>,
}

/// The child's side: loads the file and reports. Standard output is kept for the report; what the
/// plugin prints there goes nowhere.
#[must_use]
pub fn probe_main(path: &Path) -> ExitCode {
    let Ok(mut report_to) = report_stream() else { return ExitCode::FAILURE };
    let (report, code) = match open::open(path) {
        Ok(plugin) => {
            let loaded = format!("{} {}", plugin.manifest.name, plugin.manifest.version);
            (ProbeReport { loaded: Some(loaded), refused: None }, ExitCode::SUCCESS)
        }
        Err(refusal) => {
            let reason = one_line(&refusal.to_string());
            let _nobody_listens = writeln!(std::io::stderr(), "{}: {reason}", printable(path));
            (ProbeReport { loaded: None, refused: Some(reason) }, ExitCode::FAILURE)
        }
    };
    let line = serde_json::to_string(&report).unwrap_or_default();
    match writeln!(report_to, "{line}") {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Standard output as a stream of its own; descriptor 1 points to nothing afterwards.
#[cfg(unix)]
fn report_stream() -> std::io::Result<std::fs::File> {
    use std::os::fd::{AsFd as _, AsRawFd as _};
    let own = std::io::stdout().as_fd().try_clone_to_owned()?;
    let nothing = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    // SAFETY: both descriptors are open; 1 becomes another name of `nothing`.
    match unsafe { libc::dup2(nothing.as_raw_fd(), 1) } {
        -1 => Err(std::io::Error::last_os_error()),
        _ => Ok(own.into()),
    }
}

#[cfg(not(unix))]
fn report_stream() -> std::io::Result<std::io::Stdout> {
    Ok(std::io::stdout())
}

/// The host's side: tries `file` in a child of `program`.
pub(crate) fn probe(program: &Path, file: &Path, timeout: Duration) -> Result<(), Refusal> {
    let untried = |error: std::io::Error| {
        Refusal::Untried(format!("{} probe-plugin: {error}", printable(program)))
    };
    let mut command = Command::new(program);
    command.arg("probe-plugin").arg(std::path::absolute(file).unwrap_or_else(|_| file.to_owned()));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A crash is told in one line; collecting a backtrace for it takes long and may crash again.
    command.env("RUST_BACKTRACE", "0");
    limit(&mut command);
    let mut child = command.spawn().map_err(untried)?;
    let mut report = Heard::new(child.stdout.take()).map_err(untried)?;
    let mut said = Heard::new(child.stderr.take()).map_err(untried)?;
    let started = Instant::now();
    let ended = loop {
        // The order matters: what was said before the end is there to be read after it.
        let ended = has_ended(&mut child).map_err(untried)?;
        // Only where listening does not wait may it be done before the end.
        if cfg!(unix) || ended {
            report.listen();
            said.listen();
        }
        if ended || started.elapsed() > timeout {
            break ended;
        }
        std::thread::park_timeout(LOOK_EVERY);
    };
    end_group(&mut child);
    let status = child.wait().map_err(untried)?;
    if !ended {
        return Err(Refusal::Hung(timeout.as_millis()));
    }
    judge(status, &report.text(), &last_words(&said.text()))
}

fn judge(status: ExitStatus, report: &str, said: &str) -> Result<(), Refusal> {
    let told =
        |what: String| if said.is_empty() { what } else { format!("{what}; it said: {said}") };
    if let Some(signal) = signal(status) {
        return Err(Refusal::Crashed(told(signal)));
    }
    let last = report.lines().next_back().unwrap_or_default();
    match serde_json::from_str(last) {
        Ok(ProbeReport { loaded: Some(_), .. }) if status.success() => Ok(()),
        Ok(ProbeReport { refused: Some(reason), .. }) => Err(Refusal::Probed(reason)),
        _ => Err(Refusal::Vanished(told(status.to_string()))),
    }
}

/// What tells most of a plugin's output: a panic's place and message, else the last line.
fn last_words(said: &str) -> String {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let panic = said.lines().skip_while(|line| !line.contains("panicked at"));
    let panic: Vec<_> = panic.take(2).map(str::trim).collect();
    match panic.is_empty() {
        false => panic.join(" "),
        true => lines.next_back().unwrap_or_default().to_owned(),
    }
}

/// The beginning of a stream that must never make us wait: a process that a plugin started may
/// hold it open for ever.
struct Heard<R> {
    stream: Option<R>,
    kept: Vec<u8>,
}

impl<R: Read + Stream> Heard<R> {
    fn new(stream: Option<R>) -> std::io::Result<Self> {
        if let Some(stream) = &stream {
            stream.stop_waiting()?;
        }
        Ok(Self { stream, kept: Vec::new() })
    }

    /// Takes what is there, keeps its beginning and forgets the rest.
    fn listen(&mut self) {
        let mut piece = [0; 8 << 10];
        // A pipe holds a few pieces; a plugin that writes without end must not keep us here.
        for _ in 0..64 {
            let Some(Ok(length @ 1..)) = self.stream.as_mut().map(|s| s.read(&mut piece)) else {
                return;
            };
            let room = KEPT_BYTES_MAX - self.kept.len();
            self.kept.extend_from_slice(&piece[..length.min(room)]);
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept).into_owned()
    }
}

/// A stream that can be told to answer at once when it has nothing.
trait Stream {
    fn stop_waiting(&self) -> std::io::Result<()>;
}

#[cfg(unix)]
impl<T: std::os::fd::AsRawFd> Stream for T {
    fn stop_waiting(&self) -> std::io::Result<()> {
        // SAFETY: sets a flag of an open descriptor that we own.
        match unsafe { libc::fcntl(self.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) } {
            -1 => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}

/// Here a read waits until the child says something or ends.
#[cfg(not(unix))]
impl<T> Stream for T {
    fn stop_waiting(&self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Whether the child has ended. It is not yet reaped, so that its group's number is still its own.
#[cfg(unix)]
fn has_ended(child: &mut Child) -> std::io::Result<bool> {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let how = libc::WEXITED | libc::WNOWAIT | libc::WNOHANG;
    // SAFETY: asks about a child of ours that is not yet reaped, into a place for the answer.
    match unsafe { libc::waitid(libc::P_PID, child.id(), info.as_mut_ptr(), how) } {
        -1 => Err(std::io::Error::last_os_error()),
        // SAFETY: written by the call, or still zero.
        _ => Ok(unsafe { info.assume_init() }.si_signo != 0),
    }
}

#[cfg(not(unix))]
fn has_ended(child: &mut Child) -> std::io::Result<bool> {
    child.try_wait().map(|status| status.is_some())
}

/// Ends the child and whatever it has started.
#[cfg(unix)]
fn end_group(child: &mut Child) {
    if let Ok(group) = i32::try_from(child.id()) {
        // SAFETY: signals the group that `limit` made for this child, which is not yet reaped.
        unsafe { libc::killpg(group, libc::SIGKILL) };
    }
}

#[cfg(not(unix))]
fn end_group(child: &mut Child) {
    let _already_gone = child.kill();
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<String> {
    use std::os::unix::process::ExitStatusExt as _;
    let number = status.signal()?;
    let name = match number {
        libc::SIGABRT => "SIGABRT (abort, or a panic that left an extern function)",
        libc::SIGSEGV => "SIGSEGV (bad memory access or stack overflow)",
        libc::SIGBUS => "SIGBUS (bad memory access, or a file that was cut)",
        libc::SIGILL => "SIGILL (an instruction this CPU does not have)",
        libc::SIGFPE => "SIGFPE (integer division by zero)",
        libc::SIGKILL => "SIGKILL (killed, perhaps for want of memory)",
        _ => return Some(format!("signal {number}")),
    };
    Some(name.to_owned())
}

#[cfg(not(unix))]
fn signal(_: ExitStatus) -> Option<String> {
    None
}

/// A group of its own, no core file, a cap on memory, and no life after the host's.
#[cfg(unix)]
fn limit(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    // Room for thread stacks on a large machine; address space itself is not capped, because
    // drivers reserve much of it.
    const MEMORY_BYTES_MAX: libc::rlim_t = 4 << 30;
    command.process_group(0);
    let limits = || {
        for (resource, most) in [(libc::RLIMIT_CORE, 0), (libc::RLIMIT_DATA, MEMORY_BYTES_MAX)] {
            let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
            // SAFETY: lowers a limit of the calling process; allowed between fork and exec.
            unsafe { libc::setrlimit(resource, &raw const limit) };
        }
        #[cfg(target_os = "linux")]
        // SAFETY: a system call on the calling process.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL)
        };
        Ok(())
    };
    // SAFETY: the closure only makes system calls, as is demanded between fork and exec.
    unsafe { command.pre_exec(limits) };
}

#[cfg(not(unix))]
fn limit(_: &mut Command) {}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(said: &str, expected: &str) {
        assert_eq!(last_words(said), expected);
    }

    #[test]
    fn the_telling_line_is_found() {
        check("", "");
        check("one\ntwo\n\n", "two");
        let panic = "\nthread '<unnamed>' panicked at src/lib.rs:3:5:\nboom\nnote: run with\nbye\n";
        check(panic, "thread '<unnamed>' panicked at src/lib.rs:3:5: boom");
    }
}
