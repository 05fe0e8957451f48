//! The sessions of clients of older revisions: whose each one is, and since when nobody uses it.
//!
//! A session belongs to the subject who opened it: for anybody else it does not exist. There is room
//! for a fixed number; a newcomer takes the place of the one that was used longest ago, as long as
//! one is idle. What a session is made of is the protocol library's; this only keeps the books.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a use of a session waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// An answer: the session must not go away meanwhile.
    Answer,
    /// Whatever may come: the session stays, unless its place is needed.
    Stream,
}

/// The books of all sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    sessions_max: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    open: HashMap<Box<str>, Session>,
    /// Places that are taken before their session has a name.
    reserved: usize,
}

#[derive(Debug)]
struct Session {
    subject: Arc<str>,
    used: Instant,
    answers: usize,
    streams: usize,
}

impl Session {
    fn is_idle(&self) -> bool {
        self.answers == 0 && self.streams == 0
    }
}

/// A place for a session that is being opened; dropped, it is free again.
#[derive(Debug)]
pub(crate) struct Place {
    sessions: Arc<Sessions>,
    /// The session that had to make room, if one had to.
    pub(crate) evicted: Option<Box<str>>,
}

/// A use of a session; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Use {
    sessions: Arc<Sessions>,
    id: Box<str>,
    purpose: Purpose,
}

impl Sessions {
    pub(crate) fn new(sessions_max: usize) -> Arc<Self> {
        Arc::new(Self { sessions_max, table: Mutex::default() })
    }

    /// Takes a place for a new session. None: all are in use.
    pub(crate) fn reserve(self: &Arc<Self>) -> Option<Place> {
        let mut table = self.table();
        let mut evicted = None;
        if table.open.len() + table.reserved >= self.sessions_max {
            // Those whose client listens go last.
            let free = table.open.iter().filter(|(_, session)| session.answers == 0);
            let (id, _) = free.min_by_key(|(_, session)| (session.streams > 0, session.used))?;
            let id = id.clone();
            table.open.remove(&id);
            evicted = Some(id);
        }
        table.reserved += 1;
        Some(Place { sessions: Arc::clone(self), evicted })
    }

    /// Begins to use a session. None: the subject has no such session.
    pub(crate) fn enter(
        self: &Arc<Self>,
        id: &str,
        subject: &str,
        purpose: Purpose,
    ) -> Option<Use> {
        let mut table = self.table();
        let session = table.open.get_mut(id).filter(|session| *session.subject == *subject)?;
        session.used = Instant::now();
        *session.count(purpose) += 1;
        Some(Use { sessions: Arc::clone(self), id: id.into(), purpose })
    }

    /// Strikes a session off.
    pub(crate) fn forget(&self, id: &str) {
        self.table().open.remove(id);
    }

    /// Strikes off those that nobody has used for that long; their names.
    pub(crate) fn take_idle(&self, at_least: Duration, now: Instant) -> Vec<Box<str>> {
        let is_over = |session: &Session| {
            session.is_idle() && now.saturating_duration_since(session.used) >= at_least
        };
        let mut table = self.table();
        table.open.extract_if(|_, session| is_over(session)).map(|(id, _)| id).collect()
    }

    /// Sessions that are open.
    pub(crate) fn count(&self) -> usize {
        self.table().open.len()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // The books are right after each line, so a panic elsewhere spoils nothing.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn count(&mut self, purpose: Purpose) -> &mut usize {
        match purpose {
            Purpose::Answer => &mut self.answers,
            Purpose::Stream => &mut self.streams,
        }
    }
}

impl Place {
    /// Enters the session that takes the place.
    pub(crate) fn open(self, id: &str, subject: Arc<str>) {
        let session = Session { subject, used: Instant::now(), answers: 0, streams: 0 };
        self.sessions.table().open.insert(id.into(), session);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.sessions.table().reserved -= 1;
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        if let Some(session) = self.sessions.table().open.get_mut(&self.id) {
            session.used = Instant::now();
            *session.count(self.purpose) -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::{Purpose, Sessions};

    fn with(sessions_max: usize, ids: &[&str]) -> Arc<Sessions> {
        let sessions = Sessions::new(sessions_max);
        for id in ids {
            sessions.reserve().expect("a place").open(id, "alice".into());
        }
        sessions
    }

    #[test]
    fn a_session_is_its_subjects_own() {
        let sessions = with(2, &["a"]);
        assert!(sessions.enter("a", "alice", Purpose::Answer).is_some());
        assert!(sessions.enter("a", "bob", Purpose::Answer).is_none());
        assert!(sessions.enter("b", "alice", Purpose::Answer).is_none());
        sessions.forget("a");
        assert!(sessions.enter("a", "alice", Purpose::Answer).is_none());
    }

    #[test]
    fn the_one_used_longest_ago_makes_room_and_busy_ones_stay() {
        let sessions = with(3, &["a", "b", "c"]);
        let _stream = sessions.enter("a", "alice", Purpose::Stream);
        let answer = sessions.enter("b", "alice", Purpose::Answer);
        let place = sessions.reserve().expect("c is idle");
        assert_eq!(place.evicted.as_deref(), Some("c"));
        place.open("d", "alice".into());
        let busy = sessions.enter("d", "alice", Purpose::Answer);
        let place = sessions.reserve().expect("a only listens");
        assert_eq!(place.evicted.as_deref(), Some("a"));
        assert!(sessions.reserve().is_none(), "the rest is busy or reserved");
        drop((place, answer));
        assert!(sessions.reserve().expect("a free place").evicted.is_none());
        drop(busy);
        assert_eq!(sessions.count(), 2);
    }

    #[test]
    fn what_nobody_uses_is_taken_after_a_while() {
        let sessions = with(3, &["a", "b", "c"]);
        let _stream = sessions.enter("a", "alice", Purpose::Stream);
        let now = Instant::now();
        let while_ = Duration::from_secs(300);
        assert!(sessions.take_idle(while_, now).is_empty());
        let mut taken = sessions.take_idle(while_, now + while_);
        taken.sort();
        assert_eq!(taken, ["b".into(), "c".into()] as [Box<str>; 2]);
        assert_eq!(sessions.count(), 1);
    }
}
