//! A token bucket: so much a minute, and no more than that at once.
//!
//! What is left may fall below nothing, because an answer's cost is known only when it has been
//! given; nothing is let through until the debt is paid. It has no clock: its callers bring the time.

use std::time::{Duration, Instant};

const MINUTE_S: f64 = 60.0;

/// What one caller has left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    per_minute: f64,
    left: f64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub(crate) fn full(per_minute: u32, now: Instant) -> Self {
        let per_minute = f64::from(per_minute);
        Self { per_minute, left: per_minute, at: now }
    }

    /// What is left, in whole units.
    pub(crate) fn left(&mut self, now: Instant) -> u64 {
        self.refill(now);
        self.left.max(0.0) as u64
    }

    /// Takes an amount, which may be more than is left.
    pub(crate) fn take(&mut self, amount: f64, now: Instant) {
        self.refill(now);
        self.left -= amount;
    }

    /// Time until there is one again.
    pub(crate) fn until_one(&mut self, now: Instant) -> Duration {
        self.until(1.0, now)
    }

    /// Time until it is full.
    pub(crate) fn until_full(&mut self, now: Instant) -> Duration {
        self.until(self.per_minute, now)
    }

    fn until(&mut self, level: f64, now: Instant) -> Duration {
        self.refill(now);
        let missing = (level - self.left).max(0.0);
        Duration::try_from_secs_f64(missing * MINUTE_S / self.per_minute).unwrap_or(Duration::MAX)
    }

    fn refill(&mut self, now: Instant) {
        let time = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + time * self.per_minute / MINUTE_S).min(self.per_minute);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Bucket;

    #[test]
    fn a_bucket_fills_evenly_up_to_a_minutes_worth() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut bucket = Bucket::full(30, start);
        bucket.take(30.0, start);
        assert_eq!((bucket.left(start), bucket.until_one(start)), (0, Duration::from_secs(2)));
        assert_eq!(bucket.left(after(1)), 0);
        assert_eq!(bucket.left(after(2)), 1);
        assert_eq!(bucket.until_one(after(2)), Duration::ZERO);
        assert_eq!(bucket.until_full(after(2)), Duration::from_secs(58));
        assert_eq!(bucket.left(after(1000)), 30);
    }

    #[test]
    fn a_debt_is_paid_before_anything_is_left() {
        let start = Instant::now();
        let mut bucket = Bucket::full(60, start);
        bucket.take(180.0, start);
        assert_eq!(bucket.until_one(start), Duration::from_secs(121));
        assert_eq!(bucket.left(start + Duration::from_secs(120)), 0);
        assert_eq!(bucket.left(start + Duration::from_secs(125)), 5);
    }
}
