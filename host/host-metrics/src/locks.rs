//! Locks that say how long they were waited for.
//!
//! A lock that is free is taken with one more atomic addition; a clock is read only where somebody
//! has to wait. Each lock has a name out of a small set, so that a page shows where requests queue.
//! Without the feature `lock-metrics`, or with metrics made without them, they are plain locks.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{MutexGuard, RwLockReadGuard, RwLockWriteGuard};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Upper bounds in seconds: 1 us to 100 ms.
const BOUNDS: [f64; 11] = [1e-6, 5e-6, 1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1];

/// The locks of a host. KV blocks and adapters belong to one thread and need none; their series
/// stay at zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// What requests hand to the thread of a model.
    RequestQueue,
    /// Nothing is locked.
    KvCache,
    /// Which models there are.
    ModelRouter,
    /// Nothing is locked.
    Adapters,
    /// Compiled grammars.
    Sampler,
}

/// How a lock is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Alone,
    Read,
    Write,
}

/// Every series.
const SERIES: [(Lock, Mode); 6] = [
    (Lock::RequestQueue, Mode::Alone),
    (Lock::KvCache, Mode::Alone),
    (Lock::ModelRouter, Mode::Read),
    (Lock::ModelRouter, Mode::Write),
    (Lock::Adapters, Mode::Alone),
    (Lock::Sampler, Mode::Alone),
];

/// What is counted of all locks.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    series: [Waits; SERIES.len()],
}

/// What is counted of one lock in one mode.
#[derive(Debug, Default)]
struct Waits {
    acquisitions: AtomicU64,
    contended: AtomicU64,
    nanoseconds: AtomicU64,
    /// Waits of at most each bound, and longer ones.
    buckets: [AtomicU64; BOUNDS.len() + 1],
}

impl Waits {
    fn waited(&self, time: Duration) {
        let bucket = BOUNDS.iter().position(|bound| time.as_secs_f64() <= *bound);
        self.buckets[bucket.unwrap_or(BOUNDS.len())].fetch_add(1, Ordering::Relaxed);
        self.contended.fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

/// Where the locks of one name are counted; nowhere if nobody asks.
#[derive(Debug, Clone, Default)]
pub struct LockMetrics {
    counted: Option<(Arc<Locks>, Lock)>,
}

impl LockMetrics {
    pub(crate) fn new(locks: Option<Arc<Locks>>, lock: Lock) -> Self {
        let locks = locks.filter(|_| cfg!(feature = "lock-metrics"));
        Self { counted: locks.map(|locks| (locks, lock)) }
    }

    /// Takes a lock at once, or measures how long it took.
    fn take<G>(
        &self,
        mode: Mode,
        at_once: impl FnOnce() -> Option<G>,
        wait: impl FnOnce() -> G,
    ) -> G {
        let Some((locks, lock)) = &self.counted else { return wait() };
        let index = SERIES.iter().position(|series| *series == (*lock, mode));
        let Some(waits) = index.map(|index| &locks.series[index]) else { return wait() };
        waits.acquisitions.fetch_add(1, Ordering::Relaxed);
        if let Some(guard) = at_once() {
            return guard;
        }
        let started = Instant::now();
        let guard = wait();
        waits.waited(started.elapsed());
        guard
    }
}

/// A mutex that is counted.
pub struct Mutex<T> {
    inner: parking_lot::Mutex<T>,
    metrics: LockMetrics,
}

impl<T> Mutex<T> {
    /// A mutex around `value`.
    pub const fn new(value: T, metrics: LockMetrics) -> Self {
        Self { inner: parking_lot::Mutex::new(value), metrics }
    }

    /// Waits for the lock. A panic elsewhere does not poison it.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.metrics.take(Mode::Alone, || self.inner.try_lock(), || self.inner.lock())
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// A lock of readers and writers that is counted.
pub struct RwLock<T> {
    inner: parking_lot::RwLock<T>,
    metrics: LockMetrics,
}

impl<T> RwLock<T> {
    /// A lock around `value`.
    pub const fn new(value: T, metrics: LockMetrics) -> Self {
        Self { inner: parking_lot::RwLock::new(value), metrics }
    }

    /// Waits until nobody writes.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.metrics.take(Mode::Read, || self.inner.try_read(), || self.inner.read())
    }

    /// Waits until nobody reads or writes.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.metrics.take(Mode::Write, || self.inner.try_write(), || self.inner.write())
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// Shows the locks on the page.
#[derive(Debug)]
pub(crate) struct LockCollector(pub(crate) Arc<Locks>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LockLabels {
    lock: &'static str,
    mode: &'static str,
}

impl LockLabels {
    fn new((lock, mode): (Lock, Mode)) -> Self {
        let lock = match lock {
            Lock::RequestQueue => "request_queue",
            Lock::KvCache => "kv_cache",
            Lock::ModelRouter => "model_router",
            Lock::Adapters => "adapters",
            Lock::Sampler => "sampler",
        };
        let mode = match mode {
            Mode::Alone => "alone",
            Mode::Read => "read",
            Mode::Write => "write",
        };
        Self { lock, mode }
    }
}

impl Collector for LockCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let series = || SERIES.into_iter().map(LockLabels::new).zip(&self.0.series);
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut family = encoder.encode_descriptor(
            "host_lock_wait_seconds",
            "Time that a lock was waited for, each time it was taken.",
            None,
            MetricType::Histogram,
        )?;
        for (labels, waits) in series() {
            let (acquisitions, contended) = (load(&waits.acquisitions), load(&waits.contended));
            let mut buckets: Vec<(f64, u64)> = BOUNDS
                .into_iter()
                .chain([f64::INFINITY])
                .zip(waits.buckets.iter().map(load))
                .collect();
            // Who did not wait is below the first bound.
            buckets[0].1 += acquisitions.saturating_sub(contended);
            let count = buckets.iter().map(|(_, count)| count).sum();
            let seconds = Duration::from_nanos(load(&waits.nanoseconds)).as_secs_f64();
            family
                .encode_family(&labels)?
                .encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)?;
        }
        let mut family = encoder.encode_descriptor(
            "host_lock_contended",
            "Times that somebody had to wait for a lock.",
            None,
            MetricType::Counter,
        )?;
        for (labels, waits) in series() {
            let contended = load(&waits.contended);
            family
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, _, u64>(&contended, None)?;
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "lock-metrics"))]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    use super::{Lock, Mutex, RwLock};
    use crate::Metrics;

    fn value(metrics: &Metrics, series: &str) -> f64 {
        let page = metrics.encode();
        let line = page.lines().find(|line| line.starts_with(series)).expect("the series");
        line.rsplit_once(' ').expect("a value").1.parse().expect("a number")
    }

    #[test]
    fn a_lock_that_is_free_is_counted_and_not_waited_for() {
        let metrics = Metrics::new();
        let queue = Mutex::new(0, metrics.lock(Lock::RequestQueue));
        let models = RwLock::new(0, metrics.lock(Lock::ModelRouter));
        for _ in 0..5 {
            *queue.lock() += 1;
            assert!(*models.read() >= 0);
        }
        *models.write() += 1;
        let wait = |of: &str| format!("host_lock_wait_seconds_{of}");
        let labels = r#"{lock="request_queue",mode="alone"}"#;
        assert_eq!(value(&metrics, &format!("{}{labels}", wait("count"))), 5.0);
        assert_eq!(value(&metrics, &format!("{}{labels}", wait("sum"))), 0.0);
        assert_eq!(value(&metrics, &format!("host_lock_contended_total{labels}")), 0.0);
        for (mode, count) in [("read", 5.0), ("write", 1.0)] {
            let labels = format!("{{lock=\"model_router\",mode=\"{mode}\"}}");
            assert_eq!(value(&metrics, &format!("{}{labels}", wait("count"))), count);
        }
    }

    #[test]
    fn who_waits_is_measured() {
        let metrics = Metrics::new();
        let lock = Arc::new(Mutex::new((), metrics.lock(Lock::Sampler)));
        let guard = lock.lock();
        let other = thread::spawn({
            let lock = Arc::clone(&lock);
            move || drop(lock.lock())
        });
        let labels = r#"{lock="sampler",mode="alone"}"#;
        // The other is counted before it waits.
        while value(&metrics, &format!("host_lock_wait_seconds_count{labels}")) < 2.0 {
            thread::yield_now();
        }
        thread::park_timeout(Duration::from_millis(5));
        drop(guard);
        other.join().expect("the other thread");
        assert_eq!(value(&metrics, &format!("host_lock_contended_total{labels}")), 1.0);
        assert!(value(&metrics, &format!("host_lock_wait_seconds_sum{labels}")) > 0.0);
    }

    #[test]
    fn they_can_be_left_out() {
        let metrics = Metrics::without_locks();
        drop(Mutex::new((), metrics.lock(Lock::Sampler)).lock());
        assert!(!metrics.encode().contains("host_lock"));
    }
}
