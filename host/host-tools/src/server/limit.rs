//! How often the tools of a server may be called, whoever calls.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::rate::Rate;
use crate::{Glob, ToolError};

/// The limits of a server, each for all tools whose name fits.
pub(super) struct Limits(Vec<(Glob, u32, Mutex<Rate>)>);

impl Limits {
    pub(super) fn new(limits: &[(Glob, u32)]) -> Self {
        let limits = limits.iter();
        Self(limits.map(|(names, most)| (names.clone(), *most, Mutex::default())).collect())
    }

    /// Takes one call of each limit that is about a tool.
    pub(super) fn take(&self, tool: &str, now: Instant) -> Result<(), ToolError> {
        for (_, per_minute, rate) in self.0.iter().filter(|(names, ..)| names.matches(tool)) {
            let mut rate = rate.lock().unwrap_or_else(PoisonError::into_inner);
            rate.take(*per_minute, now).map_err(|retry_after| match retry_after {
                Duration::MAX => {
                    ToolError::Forbidden("the configuration allows no call of it".to_owned())
                }
                retry_after => ToolError::RateLimited { retry_after },
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Limits;
    use crate::{Glob, ToolError};
    use std::time::Instant;

    #[test]
    fn a_limit_is_about_the_tools_whose_name_fits() {
        let limits = Limits::new(&[(Glob::new("write_*"), 1), (Glob::new("drop"), 0)]);
        let now = Instant::now();
        assert_eq!(limits.take("write_a", now), Ok(()));
        assert!(matches!(limits.take("write_b", now), Err(ToolError::RateLimited { .. })));
        assert_eq!(limits.take("read", now), Ok(()));
        assert!(matches!(limits.take("drop", now), Err(ToolError::Forbidden(_))));
    }
}
