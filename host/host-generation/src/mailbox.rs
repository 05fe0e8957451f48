//! Letters to an engine thread: requests, cancellations, readers that caught up.
//!
//! A mailbox and not a channel, because a cancellation must never wait for room: letters are bounded
//! by the places of the engine, which a request of any kind takes before it writes. The thread sleeps here when
//! it has nothing to run. No letter is read here.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use host_metrics::{Condvar, LockMetrics, Mutex};

use crate::error::GenerationError;

/// Seconds after which a client may try again when the queue is full.
const RETRY_AFTER_S: u32 = 1;

/// What an engine thread has to do before its next step.
#[derive(Debug)]
pub(crate) struct Letters<S> {
    pub(crate) submissions: VecDeque<S>,
    pub(crate) cancellations: Vec<Cancellation>,
    /// Requests whose readers have room again.
    pub(crate) caught_up: Vec<u64>,
}

impl<S> Default for Letters<S> {
    fn default() -> Self {
        let submissions = VecDeque::new();
        Self { submissions, cancellations: Vec::new(), caught_up: Vec::new() }
    }
}

/// A reader that wants no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cancellation {
    pub(crate) request: u64,
    /// One choice of it, or all.
    pub(crate) choice: Option<usize>,
}

/// Whether the engine thread takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Open,
    /// What was taken is finished, then the thread ends.
    Draining,
    /// The thread has ended.
    Closed,
}

#[derive(Debug)]
pub(crate) struct Mailbox<S> {
    letters: Mutex<(Letters<S>, Phase)>,
    wake: Condvar,
    /// Places of the engine that are taken.
    places: AtomicUsize,
}

impl<S> Mailbox<S> {
    pub(crate) fn new(lock: LockMetrics) -> Self {
        let letters = Mutex::new((Letters::default(), Phase::default()), lock);
        Self { letters, wake: Condvar::new(), places: AtomicUsize::new(0) }
    }

    /// Takes `count` places for a request.
    pub(crate) fn take_places(&self, count: usize, limit: usize) -> Result<(), GenerationError> {
        let add = |taken: usize| taken.checked_add(count).filter(|sum| *sum <= limit);
        let taken = self.places.fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
        let retry_after_s = RETRY_AFTER_S;
        taken.map(|_| ()).map_err(|live| GenerationError::QueueFull { live, limit, retry_after_s })
    }

    /// Gives places back.
    pub(crate) fn free_places(&self, count: usize) {
        self.places.fetch_sub(count, Ordering::AcqRel);
    }

    /// Hands a request over; false if the thread takes none any more.
    pub(crate) fn submit(&self, submission: S) -> bool {
        let mut guard = self.letters.lock();
        if guard.1 != Phase::Open {
            return false;
        }
        guard.0.submissions.push_back(submission);
        drop(guard);
        self.wake.notify_one();
        true
    }

    pub(crate) fn cancel(&self, cancellation: Cancellation) {
        self.write(|letters| letters.cancellations.push(cancellation));
    }

    pub(crate) fn caught_up(&self, request: u64) {
        self.write(|letters| letters.caught_up.push(request));
    }

    /// Lets the thread finish what it has, and no more.
    pub(crate) fn drain(&self) {
        let mut guard = self.letters.lock();
        if guard.1 == Phase::Open {
            guard.1 = Phase::Draining;
        }
        drop(guard);
        self.wake.notify_one();
    }

    /// The thread's last act: letters that came too late are dropped, which ends their streams.
    pub(crate) fn close(&self) {
        let mut guard = self.letters.lock();
        guard.1 = Phase::Closed;
        let letters = std::mem::take(&mut guard.0);
        drop(guard);
        drop(letters);
    }

    /// All letters. Sleeps until there is one, or until `deadline`, if the engine is `idle`; none
    /// once the mailbox drains and the thread is `unused`.
    pub(crate) fn collect(
        &self,
        idle: bool,
        unused: bool,
        deadline: Option<Instant>,
    ) -> Option<Letters<S>> {
        let mut guard = self.letters.lock();
        loop {
            let letters = &mut guard.0;
            let is_empty = letters.submissions.is_empty()
                && letters.cancellations.is_empty()
                && letters.caught_up.is_empty();
            if !idle || !is_empty {
                return Some(std::mem::take(letters));
            }
            if unused && guard.1 != Phase::Open {
                return None;
            }
            match deadline {
                None => self.wake.wait(&mut guard),
                Some(deadline) if self.wake.wait_until(&mut guard, deadline).timed_out() => {
                    return Some(std::mem::take(&mut guard.0));
                }
                Some(_) => {}
            }
        }
    }

    fn write(&self, edit: impl FnOnce(&mut Letters<S>)) {
        let mut guard = self.letters.lock();
        if guard.1 != Phase::Closed {
            edit(&mut guard.0);
        }
        drop(guard);
        self.wake.notify_one();
    }
}
