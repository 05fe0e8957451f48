//! What a client hears while its request runs: how far it is, and log messages.
//!
//! Tools tell without waiting; a queue keeps their words in order until they are written. All that
//! was said is written before the result, and nothing after it.

#![expect(
    deprecated,
    reason = "older revisions have log messages, and clients of them expect some"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use host_tools::{Listener, LogLevel, Notifier};
use rmcp::RoleServer;
use rmcp::model::{
    LoggingLevel, LoggingMessageNotification, LoggingMessageNotificationParam,
    ProgressNotification, ProgressNotificationParam, ProgressToken, ServerNotification,
};
use rmcp::service::{Peer, RequestContext};
use serde_json::Value;
use tokio::sync::mpsc;

/// Notifications that wait to be written; more are dropped.
const QUEUE_MAX: usize = 1024;

/// The notifications of a request.
pub(super) struct Hearing {
    peer: Peer<RoleServer>,
    listener: Arc<Queue>,
    queued: mpsc::Receiver<ServerNotification>,
    is_wanted: bool,
}

struct Queue {
    sender: mpsc::Sender<ServerNotification>,
    token: Option<ProgressToken>,
    /// The greatest progress told so far, as bits: a client may count on it to grow.
    told: AtomicU64,
    level: Option<u8>,
}

impl Hearing {
    /// For the client of a request that wants log messages from a level on.
    pub(super) fn new(context: &RequestContext<RoleServer>, level: Option<u8>) -> Self {
        let (sender, queued) = mpsc::channel(QUEUE_MAX);
        let token = context.meta.get_progress_token();
        let is_wanted = token.is_some() || level.is_some();
        let told = AtomicU64::new(f64::NEG_INFINITY.to_bits());
        let listener = Arc::new(Queue { sender, token, told, level });
        Self { peer: context.peer.clone(), listener, queued, is_wanted }
    }

    /// What tools tell it through.
    pub(super) fn notifier(&self) -> Notifier {
        if !self.is_wanted {
            return Notifier::default();
        }
        Notifier::new(Arc::<Queue>::clone(&self.listener))
    }

    /// Writes what is told until the work is done, and what was told until then.
    pub(super) async fn until<T>(mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let done = loop {
            tokio::select! {
                biased;
                done = &mut work => break done,
                Some(notification) = self.queued.recv() => self.write(notification).await,
            }
        };
        self.queued.close();
        while let Some(notification) = self.queued.recv().await {
            self.write(notification).await;
        }
        done
    }

    async fn write(&self, notification: ServerNotification) {
        if let Err(error) = self.peer.send_notification(notification).await {
            // A client that has left hears no more; its request is cancelled elsewhere.
            tracing::debug!(%error, "a notification was not sent");
        }
    }
}

impl Queue {
    fn push(&self, notification: ServerNotification) {
        // A client that reads too slowly misses some; the result has it all.
        self.sender.try_send(notification).ok();
    }
}

impl Listener for Queue {
    fn progress(&self, value: f64, total: Option<f64>, message: Option<&str>) {
        let Some(token) = self.token.clone() else { return };
        let grows = |told: u64| (value > f64::from_bits(told)).then(|| value.to_bits());
        if self.told.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grows).is_err() {
            return;
        }
        let mut params = ProgressNotificationParam::new(token, value);
        params.total = total;
        params.message = message.map(str::to_owned);
        self.push(ServerNotification::ProgressNotification(ProgressNotification::new(params)));
    }

    fn log(&self, level: LogLevel, data: Value) {
        if self.level.is_some_and(|least| level as u8 >= least) {
            let params = LoggingMessageNotificationParam::new(level_as_sent(level), data);
            let notification = LoggingMessageNotification::new(params);
            self.push(ServerNotification::LoggingMessageNotification(notification));
        }
    }
}

/// A level as a number that grows with it.
pub(super) fn level_of(level: LoggingLevel) -> u8 {
    let level = match level {
        LoggingLevel::Debug => LogLevel::Debug,
        LoggingLevel::Info => LogLevel::Info,
        LoggingLevel::Notice => LogLevel::Notice,
        LoggingLevel::Warning => LogLevel::Warning,
        LoggingLevel::Error => LogLevel::Error,
        LoggingLevel::Critical => LogLevel::Critical,
        LoggingLevel::Alert => LogLevel::Alert,
        LoggingLevel::Emergency => LogLevel::Emergency,
    };
    level as u8
}

fn level_as_sent(level: LogLevel) -> LoggingLevel {
    match level {
        LogLevel::Debug => LoggingLevel::Debug,
        LogLevel::Info => LoggingLevel::Info,
        LogLevel::Notice => LoggingLevel::Notice,
        LogLevel::Warning => LoggingLevel::Warning,
        LogLevel::Error => LoggingLevel::Error,
        LogLevel::Critical => LoggingLevel::Critical,
        LogLevel::Alert => LoggingLevel::Alert,
        LogLevel::Emergency => LoggingLevel::Emergency,
    }
}
