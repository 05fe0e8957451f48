//! How a server is, for an operator.

use std::fmt;

/// What a server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerState {
    /// Its program was started and does not answer yet.
    Starting,
    /// It answers.
    Ready,
    /// It answers, and something about it is not right.
    Degraded,
    /// It failed and is started again later.
    Backoff,
    /// It is not to be started, or cannot be.
    Disabled,
}

impl ServerState {
    /// Every state.
    pub const ALL: [Self; 5] =
        [Self::Starting, Self::Ready, Self::Degraded, Self::Backoff, Self::Disabled];

    /// The word for logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Backoff => "backoff",
            Self::Disabled => "disabled",
        }
    }
}

impl fmt::Display for ServerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How far the last start of a server came; each level needs the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Its entry in the configuration can be read.
    Lint,
    /// Its program runs.
    Start,
    /// It answered the handshake and gave its lists.
    Handshake,
    /// A call succeeded.
    Call,
}

/// How a server is.
#[derive(Debug, Clone)]
pub struct ServerStatus {
    /// Its name in the configuration.
    pub name: String,
    /// What it is doing.
    pub state: ServerState,
    /// How far the last start came.
    pub level: Level,
    /// Why it is not ready.
    pub reason: Option<String>,
    /// The revision of MCP that it speaks.
    pub revision: Option<String>,
    /// Its own name and version.
    pub software: Option<String>,
    /// Tools that it offers here.
    pub tool_count: usize,
    /// What of its list is not offered, a line each.
    pub problems: Vec<String>,
    /// SHA-256 of its list of tools, for a pin.
    pub fingerprint: Option<String>,
    /// Starts after the first.
    pub restart_count: u64,
    /// Its process.
    pub pid: Option<u32>,
    /// The last lines of its standard error.
    pub stderr: Vec<String>,
}

impl ServerStatus {
    /// One that is about to start.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            state: ServerState::Starting,
            level: Level::Lint,
            reason: None,
            revision: None,
            software: None,
            tool_count: 0,
            problems: Vec::new(),
            fingerprint: None,
            restart_count: 0,
            pid: None,
            stderr: Vec::new(),
        }
    }
}
