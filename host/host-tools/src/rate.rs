//! How often something may be done: so many times a minute, and no more than that at once.

use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// What was taken and not yet given back. It has no clock: its callers bring the time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rate {
    /// When all that was taken will have been given back.
    full_at: Option<Instant>,
}

impl Rate {
    /// Takes one, or says when there is one again. With none a minute there never is.
    pub(crate) fn take(&mut self, per_minute: u32, now: Instant) -> Result<(), Duration> {
        if per_minute == 0 {
            return Err(Duration::MAX);
        }
        let taken = self.taken(now) + MINUTE / per_minute;
        if taken > MINUTE {
            return Err(taken - MINUTE);
        }
        self.full_at = Some(now + taken);
        Ok(())
    }

    /// Whether everything was given back.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.taken(now).is_zero()
    }

    fn taken(&self, now: Instant) -> Duration {
        self.full_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::Rate;
    use std::time::{Duration, Instant};

    #[test]
    fn a_minutes_worth_at_once_and_then_one_by_one() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut rate = Rate::default();
        assert_eq!(rate.take(2, start), Ok(()));
        assert_eq!(rate.take(2, start), Ok(()));
        assert_eq!(rate.take(2, start), Err(Duration::from_secs(30)));
        assert_eq!(rate.take(2, at(31)), Ok(()));
        assert!(rate.take(2, at(32)).is_err());
        assert!(!rate.is_full(at(32)));
        assert!(rate.is_full(at(120)));
        assert_eq!(Rate::default().take(0, start), Err(Duration::MAX));
    }
}
