//! Waiting for a condition of another process, bounded and without guessing a duration.

use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a condition may take on a slow machine.
const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until `condition` holds.
///
/// # Panics
/// It does not hold within a minute; the message says what was waited for.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    // Nobody sends: receiving is a pause that a closed channel could end.
    let (_open, pause) = mpsc::sync_channel::<()>(0);
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        let _timeout = pause.recv_timeout(PAUSE);
    }
}
