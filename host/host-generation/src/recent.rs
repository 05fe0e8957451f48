//! What was made last, kept for the next request that wants the same: clients send their grammars and
//! their lists of breakers with each request.

use std::fmt;

use host_metrics::{LockMetrics, Mutex};

/// The values that were used last, latest last.
pub(crate) struct Recent<K, V> {
    kept: Mutex<Vec<(K, V)>>,
    count_max: usize,
}

impl<K, V: Clone> Recent<K, V> {
    pub(crate) fn new(count_max: usize, lock: LockMetrics) -> Self {
        Self { kept: Mutex::new(Vec::new(), lock), count_max }
    }

    /// The value that is kept, or the one that `make` makes, with the key to keep it under. It is
    /// made outside of the lock, since that may take its time.
    pub(crate) fn find_or_make<E>(
        &self,
        is_wanted: impl Fn(&K) -> bool,
        key: impl FnOnce() -> K,
        make: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, E> {
        let (key, value) = match self.take(is_wanted) {
            Some(kept) => kept,
            None => (key(), make()?),
        };
        let mut kept = self.kept.lock();
        if kept.len() >= self.count_max {
            kept.remove(0);
        }
        kept.push((key, value.clone()));
        Ok(value)
    }

    fn take(&self, is_wanted: impl Fn(&K) -> bool) -> Option<(K, V)> {
        let mut kept = self.kept.lock();
        let index = kept.iter().position(|(key, _)| is_wanted(key))?;
        Some(kept.remove(index))
    }
}

impl<K, V> fmt::Debug for Recent<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").field("count_max", &self.count_max).finish_non_exhaustive()
    }
}
