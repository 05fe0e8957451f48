//! A running host on a port of its own.

use crate::command::without_flags;
use crate::{Client, Scratch, eventually, host_program};
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

/// Loading a model on a slow machine.
const START_LIMIT: Duration = Duration::from_secs(120);
/// Lines of the log that are kept.
const LOG_LINES_MAX: usize = 10_000;
const GREETING: &str = "listening on http://";

/// A host that serves until it is dropped.
#[derive(Debug)]
pub struct TestHost {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    _scratch: Scratch,
}

impl TestHost {
    /// Starts `host serve` with this plugin folder and these further arguments, and waits until it
    /// listens.
    ///
    /// # Panics
    /// It ends, or does not listen within two minutes; its log is shown.
    #[must_use]
    pub fn serve(plugins: &Path, arguments: &[&str]) -> Self {
        Self::serve_with(plugins, arguments, &[])
    }

    /// As [`Self::serve`], with further variables in its environment.
    ///
    /// # Panics
    /// As [`Self::serve`].
    #[must_use]
    pub fn serve_with(plugins: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let scratch = Scratch::new();
        let mut command = Command::new(host_program());
        command.args(["serve", "--port", "0", "--plugins"]).arg(plugins);
        command.arg("--cache-dir").arg(scratch.path()).args(arguments);
        let mut child = without_flags(&mut command)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the host program starts");
        let log = Arc::new(Mutex::new(Vec::new()));
        let (found, listening) = mpsc::sync_channel(1);
        let pipe = child.stderr.take().expect("stderr is piped");
        let lines = Arc::clone(&log);
        thread::spawn(move || read_log(pipe, &lines, &found));
        let address = listening.recv_timeout(START_LIMIT).ok();
        let mut host = Self { child, address: ([127, 0, 0, 1], 0).into(), log, _scratch: scratch };
        let Some(address) = address else {
            let _gone = host.child.kill();
            unreachable!("the host does not listen; it said:\n{}", host.log());
        };
        host.address = address;
        host
    }

    /// A client of this host.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// What it wrote to stderr so far.
    ///
    /// # Panics
    /// The reader of the log panicked.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().expect("the reader does not panic").join("\n")
    }

    /// Bytes of memory that are its own and resident, as Linux counts them.
    ///
    /// # Panics
    /// The process is gone.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the host runs");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.expect("Linux tells the resident memory of a process") << 10
    }

    /// Asks it to stop, as a service manager does.
    ///
    /// # Panics
    /// The process is gone.
    #[cfg(unix)]
    pub fn ask_to_stop(&self) {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status().expect("`kill` runs");
        assert!(asked.success(), "the process is gone");
    }

    /// Asks it to stop and waits until it has.
    ///
    /// # Panics
    /// It does not end within a minute.
    #[cfg(unix)]
    pub fn stop(&mut self) -> ExitStatus {
        self.ask_to_stop();
        let mut ended = None;
        eventually("the host ends after SIGTERM", || {
            ended = self.child.try_wait().expect("the child was started by us");
            ended.is_some()
        });
        ended.expect("it has ended")
    }
}

impl Drop for TestHost {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Reads the log to its end, so that the host never waits for a reader.
fn read_log(pipe: impl Read, log: &Mutex<Vec<String>>, found: &mpsc::SyncSender<SocketAddr>) {
    for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        if let Some((_, rest)) = line.split_once(GREETING)
            && let Ok(address) = rest.trim().trim_end_matches('/').parse()
        {
            let _only_the_first = found.try_send(address);
        }
        let mut lines = log.lock().expect("no reader panics");
        if lines.len() < LOG_LINES_MAX {
            lines.push(line);
        }
    }
}
