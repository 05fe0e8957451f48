//! How long to wait before a server is started again.
//!
//! Half a second, and twice as long after each further failure, up to a minute. After some failures
//! in a row nobody waits for the server any more: the circuit is open for a while.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);

/// Failures in a row that open the circuit, and for how long at least.
const OPEN_AFTER: u32 = 5;
const OPEN: Duration = Duration::from_secs(30);

/// Failures in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

/// What follows a failure.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) wait: Duration,
    /// Calls are refused until then.
    pub(super) open: bool,
}

impl Backoff {
    /// It worked.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// It failed. `jitter`, from 0 to 1, keeps servers that failed together from starting together.
    pub(super) fn failed(&mut self, jitter: f64) -> Pause {
        let doublings = self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        let wait = (FIRST * 2_u32.pow(doublings)).min(LONGEST).mul_f64(0.8 + 0.2 * jitter);
        let open = self.failures >= OPEN_AFTER;
        Pause { wait: if open { wait.max(OPEN) } else { wait }, open }
    }
}

/// A number from 0 to 1 that differs from process to process and from call to call.
pub(super) fn jitter() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    (random >> 32) as f64 / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Backoff, LONGEST, OPEN, jitter};
    use std::time::Duration;

    #[test]
    fn waits_double_until_the_circuit_opens() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..9).map(|_| backoff.failed(1.0)).collect();
        let waits: Vec<_> = pauses.iter().map(|pause| pause.wait.as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 30_000, 30_000, 32_000, 60_000, 60_000]);
        assert_eq!(pauses.iter().position(|pause| pause.open), Some(4));
        backoff.succeeded();
        assert_eq!(backoff.failed(0.0).wait, Duration::from_millis(400));
        assert!(OPEN < LONGEST);
    }

    #[test]
    fn jitter_is_a_part() {
        let drawn: Vec<_> = (0..100).map(|_| jitter()).collect();
        assert!(drawn.iter().all(|part| (0.0..=1.0).contains(part)));
        assert!(drawn.iter().any(|part| *part != drawn[0]));
    }
}
