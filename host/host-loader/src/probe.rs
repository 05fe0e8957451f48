//! The first load of an unknown file happens in a child process.
//!
//! Constructors of a library run before anything of it can be checked; they may crash, hang or end
//! the process. So the host runs `PROGRAM probe-plugin FILE` first, and what strikes there is a
//! reason in a list here. The child does all that the host would do later, so the host's own load
//! holds no surprise.

use crate::{Refusal, open};
use serde::{Deserialize, Serialize};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Most bytes of a report that are read.
const REPORT_BYTES_MAX: u64 = 64 << 10;
/// How often a probing child is looked at.
const LOOK_EVERY: Duration = Duration::from_micros(500);

/// What the child says on its last line.
#[derive(Debug, Serialize, Deserialize)]
struct ProbeReport {
    loaded: Option<String>,
    refused: Option<String>,
}

/// The child's side: loads the file and reports. Standard output is kept for the report; what the
/// plugin prints goes nowhere.
#[must_use]
pub fn probe_main(path: &Path) -> ExitCode {
    let mut report_to = report_stream();
    let (report, code) = match open::open(path) {
        Ok(plugin) => {
            let loaded = format!("{} {}", plugin.manifest.name, plugin.manifest.version);
            (ProbeReport { loaded: Some(loaded), refused: None }, ExitCode::SUCCESS)
        }
        Err(refusal) => {
            let reason = refusal.to_string();
            let _nobody_listens = writeln!(std::io::stderr(), "{}: {reason}", path.display());
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
fn report_stream() -> std::fs::File {
    use std::os::fd::{AsRawFd as _, FromRawFd as _};
    // SAFETY: duplicates a descriptor of this process.
    let own = unsafe { libc::dup(1) };
    if let Ok(nothing) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
        // SAFETY: both descriptors are open; 1 becomes another name of `nothing`.
        unsafe { libc::dup2(nothing.as_raw_fd(), 1) };
    }
    // SAFETY: nobody else owns the duplicate. A failed one is -1 and every write to it fails.
    unsafe { std::fs::File::from_raw_fd(own.max(2)) }
}

#[cfg(not(unix))]
fn report_stream() -> std::io::Stdout {
    std::io::stdout()
}

/// The host's side: tries `file` in a child of `program`.
pub(crate) fn probe(program: &Path, file: &Path, timeout: Duration) -> Result<(), Refusal> {
    let failed = |what: &str, error: std::io::Error| Refusal::Open(format!("{what}: {error}"));
    let mut command = Command::new(program);
    command.arg("probe-plugin").arg(std::path::absolute(file).unwrap_or_else(|_| file.to_owned()));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    limit(&mut command);
    let mut child = command.spawn().map_err(|e| failed("the probing process", e))?;
    let Some(status) = wait(&mut child, timeout).map_err(|e| failed("waiting", e))? else {
        end(&mut child);
        return Err(Refusal::Hung(timeout.as_secs()));
    };
    let mut text = String::new();
    if let Some(stdout) = child.stdout.take() {
        let _a_report_that_is_not_text_is_none =
            stdout.take(REPORT_BYTES_MAX).read_to_string(&mut text);
    }
    judge(status, &text)
}

fn judge(status: ExitStatus, text: &str) -> Result<(), Refusal> {
    if let Some(signal) = signal(status) {
        return Err(Refusal::Crashed(signal));
    }
    let last = text.lines().next_back().unwrap_or_default();
    match serde_json::from_str(last) {
        Ok(ProbeReport { loaded: Some(_), .. }) if status.success() => Ok(()),
        Ok(ProbeReport { refused: Some(reason), .. }) => Err(Refusal::Probed(reason)),
        _ => Err(Refusal::Vanished(status.code().unwrap_or(-1))),
    }
}

/// Waits for the child, at most `timeout`. Looking at it in short turns needs no signal handler,
/// which a plugin could replace.
fn wait(child: &mut Child, timeout: Duration) -> std::io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() > timeout {
            return Ok(None);
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
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
        libc::SIGKILL => "SIGKILL",
        _ => return Some(format!("signal {number}")),
    };
    Some(name.to_owned())
}

#[cfg(not(unix))]
fn signal(_: ExitStatus) -> Option<String> {
    None
}

/// A group of its own, no core file, a cap on memory.
#[cfg(unix)]
fn limit(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    const MEMORY_BYTES_MAX: libc::rlim_t = 4 << 30;
    command.process_group(0);
    let limits = || {
        for (resource, most) in [(libc::RLIMIT_CORE, 0), (libc::RLIMIT_AS, MEMORY_BYTES_MAX)] {
            let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
            // SAFETY: lowers a limit of the calling process; allowed between fork and exec.
            unsafe { libc::setrlimit(resource, &raw const limit) };
        }
        Ok(())
    };
    // SAFETY: the closure only makes system calls, as is demanded between fork and exec.
    unsafe { command.pre_exec(limits) };
}

#[cfg(not(unix))]
fn limit(_: &mut Command) {}

/// Ends the child and whatever it has started.
fn end(child: &mut Child) {
    #[cfg(unix)]
    if let Ok(group) = i32::try_from(child.id()) {
        // SAFETY: signals the group that `limit` made for this child, which is not yet reaped.
        unsafe { libc::killpg(group, libc::SIGKILL) };
    }
    let _already_gone = child.kill();
    let _already_reaped = child.wait();
}
