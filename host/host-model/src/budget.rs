//! How much memory all models together may take, and how much of it is taken.
//!
//! A model holds a [`MemoryLease`] for as long as its compute session lives, so what is counted is
//! what is there: a model that was told to go and still answers counts until it has answered.
//! Nothing is allocated here.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Where Linux says how much memory the processes of a container may have.
const CONTAINER_LIMIT: &str = "/sys/fs/cgroup/memory.max";

/// The memory of all models; clones share it.
#[derive(Debug, Clone)]
pub struct MemoryBudget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    limit: u64,
    used: Mutex<u64>,
    freed: Condvar,
}

/// Memory that a model may take until this is dropped.
#[derive(Debug)]
pub struct MemoryLease {
    budget: MemoryBudget,
    bytes: u64,
}

impl MemoryBudget {
    /// A budget of that many bytes.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        let inner = Inner { limit, used: Mutex::new(0), freed: Condvar::new() };
        Self { inner: Arc::new(inner) }
    }

    /// Nine tenths of what the machine has, or the container the host runs in if that is less; no
    /// limit where the system does not say.
    #[must_use]
    pub fn of_machine() -> Self {
        let machine = meminfo_bytes("MemTotal:");
        let container = std::fs::read_to_string(CONTAINER_LIMIT).ok();
        let container = container.and_then(|text| text.trim().parse::<u64>().ok());
        let least = machine.into_iter().chain(container).min();
        Self::new(least.map_or(u64::MAX, |bytes| bytes / 10 * 9))
    }

    /// Bytes that all models may take.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.inner.limit
    }

    /// Bytes that are taken.
    #[must_use]
    pub fn used(&self) -> u64 {
        *self.lock()
    }

    /// Takes memory for a model, if there is as much.
    #[must_use]
    pub fn take(&self, bytes: u64) -> Option<MemoryLease> {
        let mut used = self.lock();
        *used = used.checked_add(bytes).filter(|sum| *sum <= self.inner.limit)?;
        drop(used);
        Some(MemoryLease { budget: self.clone(), bytes })
    }

    /// Waits until less is taken than `bytes`, or the time is over.
    pub fn wait_below(&self, bytes: u64, timeout: Duration) {
        let freed = &self.inner.freed;
        let waited = freed.wait_timeout_while(self.lock(), timeout, |used| *used >= bytes);
        drop(waited);
    }

    /// A sum is never half written.
    fn lock(&self) -> MutexGuard<'_, u64> {
        self.inner.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for MemoryLease {
    fn drop(&mut self) {
        *self.budget.lock() -= self.bytes;
        self.budget.inner.freed.notify_all();
    }
}

/// Memory the system could still give, where it says so.
#[must_use]
pub fn available_bytes() -> Option<u64> {
    meminfo_bytes("MemAvailable:")
}

fn meminfo_bytes(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_taken_while_a_lease_lives() {
        let budget = MemoryBudget::new(10);
        let six = budget.take(6).expect("there is as much");
        assert!(budget.take(5).is_none() && budget.take(u64::MAX).is_none());
        let four = budget.take(4).expect("there is as much");
        assert_eq!(budget.used(), 10);
        drop(six);
        assert_eq!(budget.used(), 4);
        drop(four);
        assert_eq!((budget.used(), budget.limit()), (0, 10));
    }

    #[test]
    fn waiting_ends_when_memory_comes_back_or_time_is_over() {
        let budget = MemoryBudget::new(10);
        let lease = budget.take(10).expect("there is as much");
        budget.wait_below(10, Duration::from_millis(1));
        assert_eq!(budget.used(), 10);
        let back = std::thread::spawn(move || drop(lease));
        budget.wait_below(10, Duration::from_secs(60));
        assert_eq!(budget.used(), 0);
        back.join().expect("it does not panic");
    }
}
