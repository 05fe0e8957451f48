//! Results that are answered again without asking the server: by opt-in, for tools that change
//! nothing, for a while.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::ToolOutcome;
use crate::registry::size;

/// Results that are kept for one server.
const ENTRIES_MAX: usize = 1000;

/// Largest result that is kept.
const ENTRY_BYTES_MAX: usize = 256 << 10;

/// The kept results of a server, each with its end.
#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<String, (Instant, ToolOutcome)>>);

impl Cache {
    pub(super) fn get(&self, key: &str, now: Instant) -> Option<ToolOutcome> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key).filter(|(until, _)| *until > now).map(|(_, outcome)| outcome.clone())
    }

    /// Keeps a result until a time. When there is no room, those that have ended go, and if there
    /// are none, this one is not kept.
    pub(super) fn put(&self, key: String, outcome: ToolOutcome, until: Instant) {
        if size::of_outcome(&outcome) > ENTRY_BYTES_MAX {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= ENTRIES_MAX {
            let now = Instant::now();
            kept.retain(|_, (until, _)| *until > now);
        }
        if kept.len() < ENTRIES_MAX {
            kept.insert(key, (until, outcome));
        }
    }

    /// Forgets everything: the server changed.
    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::Cache;
    use crate::ToolOutcome;
    use std::time::{Duration, Instant};

    #[test]
    fn a_result_is_kept_until_its_end() {
        let (cache, now) = (Cache::default(), Instant::now());
        let until = now + Duration::from_secs(60);
        cache.put("a".to_owned(), ToolOutcome::text("1"), until);
        assert_eq!(cache.get("a", now), Some(ToolOutcome::text("1")));
        assert_eq!(cache.get("a", until), None);
        assert_eq!(cache.get("b", now), None);
        cache.put("big".to_owned(), ToolOutcome::text("x".repeat(1 << 20)), until);
        assert_eq!(cache.get("big", now), None);
        cache.clear();
        assert_eq!(cache.get("a", now), None);
    }
}
