//! Keeps a server running: starts it, reads its lists, looks after it, starts it again.
//!
//! One task a server, so that one that hangs holds up nobody. The list of a server that failed is
//! kept while it is started again, and withdrawn when the circuit opens.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::backoff::{Backoff, jitter};
use super::process::Process;
use super::screen::{Accepted, screen};
use super::{Level, Line, Offer, Server, ServerState, lists};
use crate::config::Start;
use crate::session::{Introduction, Session};

/// How long a start may take, the lists included.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How often the lists are read again without being asked to.
const REFRESH: Duration = Duration::from_secs(60);

/// How long announced changes are gathered.
const CHANGE_DEBOUNCE: Duration = Duration::from_millis(100);

/// After how long without a call a server is asked whether it is there, and how long it may take.
const HEALTH_EVERY: Duration = Duration::from_secs(30);
const HEALTH_LIMIT: Duration = Duration::from_secs(10);

/// Questions about its health that may go unanswered in a row.
const UNANSWERED_MAX: u32 = 2;

/// After how long without a call a lazy server ends.
const LAZY_IDLE: Duration = Duration::from_secs(60);

/// How long what a dead process wrote is still read.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Room in a line beside a result.
const ENVELOPE_BYTES: usize = 4 << 10;

/// Why a conversation is over.
enum End {
    /// The host wants it.
    Stopped,
    /// Nobody uses it.
    Unused,
    /// It failed.
    Failed(String),
}

impl Server {
    /// Keeps the server running until it is told to stop.
    pub(crate) async fn supervise(self: Arc<Self>) {
        if self.config.start == Start::Never {
            self.enter(ServerState::Disabled, Some("switched off in the configuration"));
            self.session.send_replace(Line::Down("switched off".to_owned()));
            return;
        }
        let mut backoff = Backoff::default();
        let mut accepted = Accepted::default();
        loop {
            let end = self.live(&mut accepted).await;
            if self.served.swap(false, Ordering::Relaxed) {
                backoff.succeeded();
            }
            match end {
                End::Stopped => break,
                End::Unused => {
                    self.session.send_replace(Line::Asleep);
                    tokio::select! {
                        () = self.wake.notified() => {}
                        () = self.stop.cancelled() => break,
                    }
                    self.session.send_replace(Line::Coming);
                    continue;
                }
                End::Failed(reason) => {
                    let pause = backoff.failed(jitter());
                    self.fail(&reason, pause.open);
                    tokio::select! {
                        () = tokio::time::sleep(pause.wait) => {}
                        () = self.stop.cancelled() => break,
                    }
                }
            }
            self.session.send_replace(Line::Coming);
            self.lock_status().restart_count += 1;
            self.metrics.count_restart(&self.name);
        }
        self.session.send_replace(Line::Down("the host is stopping".to_owned()));
        self.withdraw();
        self.enter(ServerState::Disabled, Some("stopped"));
    }

    /// One life of the process, from its start to its end.
    async fn live(&self, accepted: &mut Accepted) -> End {
        self.enter(ServerState::Starting, None);
        let started = Process::start(&self.name, &self.config.source);
        let (mut process, stdout, stdin) = match started {
            Ok(started) => started,
            Err(error) => return End::Failed(format!("it cannot be started: {error}")),
        };
        let stderr = process.stderr();
        {
            let mut status = self.lock_status();
            status.level = Level::Start;
            status.pid = process.id();
        }
        let line_bytes_max = self.config.result_bytes_max.saturating_add(ENVELOPE_BYTES);
        let talk = async {
            let asked = self.client.clone();
            let opening = Session::open(&self.name, stdout, stdin, line_bytes_max, asked);
            let session = match tokio::time::timeout(START_LIMIT, opening).await {
                Ok(Ok(session)) => Arc::new(session),
                Ok(Err(reason)) => return End::Failed(reason),
                Err(_) => return End::Failed(no_answer("the handshake")),
            };
            let end = self.converse(&session, accepted).await;
            session.close();
            end
        };
        let last_words = async {
            let _status = process.ended().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        let end = tokio::select! {
            end = talk => end,
            () = last_words => End::Failed("it ended".to_owned()),
            () = self.stop.cancelled() => End::Stopped,
        };
        // Calls that come now wait for the next conversation.
        if let Line::Open(session) = self.session.send_replace(Line::Coming) {
            session.close();
        }
        let status = process.end().await;
        let mut own = self.lock_status();
        own.pid = None;
        own.stderr = stderr.lines();
        drop(own);
        match (end, status) {
            (End::Failed(reason), Some(status)) => End::Failed(format!("{reason} ({status})")),
            (end, _) => end,
        }
    }

    /// Reads the lists, opens the line, and looks after the server while it is used.
    async fn converse(&self, session: &Arc<Session>, accepted: &mut Accepted) -> End {
        let introduction = session.introduction();
        {
            let mut status = self.lock_status();
            status.revision = Some(introduction.revision.clone());
            status.software.clone_from(&introduction.software);
        }
        let first = self.refresh(session, &introduction, accepted);
        match tokio::time::timeout(START_LIMIT, first).await {
            Ok(None) => {}
            Ok(Some(reason)) => return End::Failed(reason),
            Err(_) => return End::Failed(no_answer("the list of tools")),
        }
        self.cache.clear();
        self.touch();
        self.session.send_replace(Line::Open(Arc::clone(session)));
        let watched = self.look_after(session, &introduction, accepted);
        let changes = session.changes();
        tokio::select! {
            end = watched => end,
            // Never done: whoever does not tell its changes is asked.
            () = async {
                if introduction.stateless {
                    session.listen(&introduction.capabilities, &changes).await;
                }
                std::future::pending::<()>().await;
            } => End::Stopped,
        }
    }

    async fn look_after(
        &self,
        session: &Arc<Session>,
        introduction: &Introduction,
        accepted: &mut Accepted,
    ) -> End {
        let changes = session.changes();
        let mut refresh = tokio::time::interval_at(tokio::time::Instant::now() + REFRESH, REFRESH);
        let mut health = tokio::time::interval(HEALTH_EVERY / 6);
        let mut unanswered = 0;
        loop {
            tokio::select! {
                () = session.ended() => return End::Failed("it ended".to_owned()),
                () = changes.notified() => {
                    tokio::time::sleep(CHANGE_DEBOUNCE).await;
                    if let Some(reason) = self.refresh(session, introduction, accepted).await {
                        self.enter(ServerState::Degraded, Some(&reason));
                    }
                }
                _ = refresh.tick() => {
                    if let Some(reason) = self.refresh(session, introduction, accepted).await {
                        self.enter(ServerState::Degraded, Some(&reason));
                    }
                }
                _ = health.tick() => {
                    if self.config.start == Start::Lazy && self.idle() >= LAZY_IDLE {
                        return End::Unused;
                    }
                    if self.idle() < HEALTH_EVERY {
                        continue;
                    }
                    if session.ping(introduction.stateless, HEALTH_LIMIT).await.is_ok() {
                        self.touch();
                        if std::mem::take(&mut unanswered) > 0 {
                            self.enter(ServerState::Ready, None);
                        }
                    } else {
                        unanswered += 1;
                        self.enter(ServerState::Degraded, Some("it does not answer"));
                        if unanswered > UNANSWERED_MAX {
                            return End::Failed("it did not answer for too long".to_owned());
                        }
                    }
                }
            }
        }
    }

    /// Reads the lists and offers what may be offered. Returns why it could not.
    async fn refresh(
        &self,
        session: &Session,
        introduction: &Introduction,
        accepted: &mut Accepted,
    ) -> Option<String> {
        let lists = match lists::read(session, introduction, self.config.tools_max).await {
            Ok(lists) => lists,
            Err(error) => return Some(format!("its lists cannot be read: {error}")),
        };
        let screened = screen(&self.config, &self.owner(), lists, accepted);
        for tool in &screened.changed {
            tracing::warn!(target: "audit", server = %self.name, tool, "a tool changed");
            self.metrics.count_tool_change(&self.name);
        }
        let mut status = self.lock_status();
        status.level = status.level.max(Level::Handshake);
        status.tool_count = screened.offer.catalog.tools.len();
        if status.problems != screened.problems {
            for problem in &screened.problems {
                tracing::warn!(server = %self.name, %problem, "not offered");
            }
        }
        status.problems = screened.problems;
        status.fingerprint = Some(screened.fingerprint);
        drop(status);
        self.publish(screened.offer);
        self.enter(ServerState::Ready, None);
        None
    }

    fn publish(&self, offer: Offer) {
        if self.offer.load().catalog != offer.catalog {
            self.cache.clear();
            self.offer.store(Arc::new(offer));
            self.version.send_modify(|version| *version += 1);
        }
    }

    fn withdraw(&self) {
        self.publish(Offer::default());
        self.lock_status().tool_count = 0;
    }

    fn fail(&self, reason: &str, open: bool) {
        self.enter(ServerState::Backoff, Some(reason));
        if open {
            self.withdraw();
            self.session.send_replace(Line::Down(format!("it fails again and again: {reason}")));
        }
    }

    fn enter(&self, state: ServerState, reason: Option<&str>) {
        let mut status = self.lock_status();
        let changed = status.state != state || status.reason.as_deref() != reason;
        status.state = state;
        status.reason = reason.map(str::to_owned);
        drop(status);
        if changed {
            let reason = reason.unwrap_or_default();
            if matches!(state, ServerState::Degraded | ServerState::Backoff) {
                tracing::warn!(server = %self.name, %state, reason, "server");
            } else {
                tracing::info!(server = %self.name, %state, reason, "server");
            }
        }
        self.metrics.set_server_state(
            &self.name,
            state.word(),
            ServerState::ALL.map(ServerState::word),
        );
    }
}

fn no_answer(to: &str) -> String {
    format!("no answer to {to} within {} s", START_LIMIT.as_secs())
}
