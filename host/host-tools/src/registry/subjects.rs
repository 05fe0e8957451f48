//! How often each caller may call tools, all of them together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::ToolError;
use crate::rate::Rate;

/// Callers that are remembered.
const SUBJECTS_MAX: usize = 1 << 16;

#[derive(Default)]
pub(super) struct Subjects(Mutex<HashMap<Arc<str>, Rate>>);

impl Subjects {
    /// Takes one call of a caller; 0 a minute is without limit.
    pub(super) fn take(
        &self,
        subject: &Arc<str>,
        per_minute: u32,
        now: Instant,
    ) -> Result<(), ToolError> {
        if per_minute == 0 {
            return Ok(());
        }
        let mut rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if rates.len() >= SUBJECTS_MAX {
            rates.retain(|_, rate| !rate.is_full(now));
        }
        let rate = rates.entry(Arc::clone(subject)).or_default();
        rate.take(per_minute, now).map_err(|retry_after| ToolError::RateLimited { retry_after })
    }
}

#[cfg(test)]
mod tests {
    use super::Subjects;
    use std::time::Instant;

    #[test]
    fn each_caller_has_a_limit_of_their_own() {
        let (subjects, now) = (Subjects::default(), Instant::now());
        let (one, other) = ("one".into(), "other".into());
        assert!(subjects.take(&one, 1, now).is_ok());
        assert!(subjects.take(&one, 1, now).is_err());
        assert!(subjects.take(&other, 1, now).is_ok());
        assert!(subjects.take(&other, 0, now).is_ok());
    }
}
