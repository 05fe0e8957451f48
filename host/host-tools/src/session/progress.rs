//! Progress of running calls, from the server's tokens to whoever listens.
//!
//! A notification may arrive before the task that made the call has said who listens: sending is
//! another task's work. Such early ones are kept, a few, until then.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::model::{ProgressNotificationParam, ProgressToken};
use tokio::sync::Notify;

use crate::Notifier;

/// Notifications for which nobody listens yet.
const EARLY_MAX: usize = 16;

/// Who listens to which call.
#[derive(Default)]
pub(super) struct Board {
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    watched: HashMap<ProgressToken, Watched>,
    early: VecDeque<ProgressNotificationParam>,
}

struct Watched {
    notifier: Notifier,
    beat: Arc<Notify>,
    last: f64,
}

impl Watched {
    fn hear(&mut self, progress: &ProgressNotificationParam) {
        self.beat.notify_one();
        // Progress grows; what arrives out of order would confuse a client.
        if progress.progress > self.last {
            self.last = progress.progress;
            let message = progress.message.as_deref();
            self.notifier.progress(progress.progress, progress.total, message);
        }
    }
}

/// A call that is listened to, until this is dropped.
pub(super) struct Watch {
    board: Arc<Board>,
    token: ProgressToken,
    /// Told with each notification.
    pub(super) beat: Arc<Notify>,
}

impl Board {
    /// Listens to a call.
    pub(super) fn watch(self: &Arc<Self>, token: ProgressToken, notifier: Notifier) -> Watch {
        let beat = Arc::new(Notify::new());
        let mut watched = Watched { notifier, beat: Arc::clone(&beat), last: f64::NEG_INFINITY };
        let mut calls = self.lock();
        calls.early.retain(|progress| {
            let own = progress.progress_token == token;
            if own {
                watched.hear(progress);
            }
            !own
        });
        calls.watched.insert(token.clone(), watched);
        drop(calls);
        Watch { board: Arc::clone(self), token, beat }
    }

    /// Takes a notification.
    pub(super) fn hear(&self, progress: ProgressNotificationParam) {
        let mut calls = self.lock();
        if let Some(watched) = calls.watched.get_mut(&progress.progress_token) {
            watched.hear(&progress);
            return;
        }
        if calls.early.len() >= EARLY_MAX {
            calls.early.pop_front();
        }
        calls.early.push_back(progress);
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.board.lock().watched.remove(&self.token);
    }
}
