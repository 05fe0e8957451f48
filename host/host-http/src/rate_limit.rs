//! How many requests and tokens a minute each caller may take.
//!
//! A caller is an API key or, where nobody needs one, an address. Requests are counted before they
//! run and tokens when they are known, so an answer may cost more than was left: the next request
//! then waits. The number of callers that are remembered is bounded. Nothing here waits itself.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::bucket::Bucket;
use crate::error::ApiError;

/// Most callers that are remembered, each in its own right.
const CALLERS_MAX: usize = 1 << 16;

/// Least time between two looks for callers that may be forgotten.
const FORGET_PAUSE: Duration = Duration::from_secs(1);

/// Headers of an answer about requests: the limit, what remains, when all is there again.
const REQUEST_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];

/// The same about tokens.
const TOKEN_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];

/// What each caller may take; 0 is without limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Requests a minute, and at once.
    pub requests_per_minute: u32,
    /// Tokens of prompts and completions a minute, and at once.
    pub tokens_per_minute: u32,
}

/// Who is asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Caller {
    /// The owner of a key, by its index.
    Key(usize),
    /// Whoever is at an address.
    Address(IpAddr),
    /// All those who cannot be told apart.
    Others,
}

impl Caller {
    /// The caller at an address. A network of IPv6 addresses is one: whoever has it, has them all.
    pub(crate) fn at(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => {
                Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
            }
            address @ IpAddr::V4(_) => address,
        })
    }
}

/// The accounts of all callers.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: RateLimits,
    accounts: Mutex<Accounts>,
}

#[derive(Debug)]
struct Accounts {
    buckets: HashMap<Caller, Buckets>,
    forgot_at: Option<Instant>,
}

/// What a caller has left, of what is limited.
#[derive(Debug, Clone, Copy)]
struct Buckets {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
}

/// One caller's account.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    limiter: Arc<Limiter>,
    caller: Caller,
}

impl Limiter {
    /// A limiter, if anything is limited.
    pub(crate) fn new(limits: RateLimits) -> Option<Arc<Self>> {
        let accounts = Mutex::new(Accounts { buckets: HashMap::new(), forgot_at: None });
        (limits != RateLimits::default()).then(|| Arc::new(Self { limits, accounts }))
    }

    /// A caller's account.
    pub(crate) fn account(self: &Arc<Self>, caller: Caller) -> Account {
        Account { limiter: Arc::clone(self), caller }
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        // Numbers are whole after each line, so a panic elsewhere spoils nothing.
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn full(&self, now: Instant) -> Buckets {
        let full = |limit: u32| (limit > 0).then(|| Bucket::full(limit, now));
        Buckets {
            requests: full(self.limits.requests_per_minute),
            tokens: full(self.limits.tokens_per_minute),
        }
    }

    fn with<T>(&self, caller: Caller, now: Instant, work: impl FnOnce(&mut Buckets) -> T) -> T {
        let mut accounts = self.accounts();
        let caller = if accounts.has_place_for(caller, now) { caller } else { Caller::Others };
        work(accounts.buckets.entry(caller).or_insert_with(|| self.full(now)))
    }
}

impl Accounts {
    /// Whether a caller is known, or may become so once those with full buckets are forgotten: they
    /// are as good as new.
    fn has_place_for(&mut self, caller: Caller, now: Instant) -> bool {
        if self.buckets.len() < CALLERS_MAX || self.buckets.contains_key(&caller) {
            return true;
        }
        let is_due = |forgot: Instant| now.saturating_duration_since(forgot) >= FORGET_PAUSE;
        if self.forgot_at.is_none_or(is_due) {
            self.forgot_at = Some(now);
            self.buckets.retain(|_, buckets| !buckets.are_full(now));
        }
        self.buckets.len() < CALLERS_MAX
    }
}

impl Buckets {
    fn are_full(&mut self, now: Instant) -> bool {
        let is_full = |bucket: &mut Bucket| bucket.until_full(now).is_zero();
        self.requests.as_mut().is_none_or(is_full) && self.tokens.as_mut().is_none_or(is_full)
    }

    /// Takes a request, or says what there is none of and for how long.
    fn admit(&mut self, now: Instant) -> Result<(), (&'static str, Duration)> {
        let limited = [("requests", &mut self.requests), ("tokens", &mut self.tokens)];
        for (what, bucket) in limited {
            let wait = bucket.as_mut().map_or(Duration::ZERO, |bucket| bucket.until_one(now));
            if !wait.is_zero() {
                return Err((what, wait));
            }
        }
        if let Some(requests) = &mut self.requests {
            requests.take(1.0, now);
        }
        Ok(())
    }
}

impl Account {
    /// Takes a request.
    ///
    /// # Errors
    /// The caller has used up its requests or tokens.
    pub(crate) fn admit(&self) -> Result<(), ApiError> {
        let now = Instant::now();
        self.limiter.with(self.caller, now, |buckets| buckets.admit(now)).map_err(|(what, wait)| {
            let limit = match what {
                "requests" => self.limiter.limits.requests_per_minute,
                _ => self.limiter.limits.tokens_per_minute,
            };
            let seconds = whole_seconds(wait);
            let message = format!("over the limit of {limit} {what} a minute; wait {seconds} s");
            ApiError::rate_limited(message, seconds)
        })
    }

    /// Takes tokens, which may be more than are left.
    pub(crate) fn charge(&self, tokens: usize) {
        let now = Instant::now();
        self.limiter.with(self.caller, now, |buckets| {
            if let Some(bucket) = &mut buckets.tokens {
                bucket.take(tokens as f64, now);
            }
        });
    }

    /// Writes what is left into an answer's head, in the words of OpenAI's API.
    pub(crate) fn write_headers(&self, headers: &mut HeaderMap) {
        let (now, limits) = (Instant::now(), self.limiter.limits);
        let buckets = self.limiter.with(self.caller, now, |buckets| *buckets);
        let limited = [
            (REQUEST_HEADERS, limits.requests_per_minute, buckets.requests),
            (TOKEN_HEADERS, limits.tokens_per_minute, buckets.tokens),
        ];
        for ([limit, remaining, reset], per_minute, bucket) in limited {
            let Some(mut bucket) = bucket else { continue };
            headers.insert(limit, HeaderValue::from(per_minute));
            headers.insert(remaining, HeaderValue::from(bucket.left(now)));
            headers.insert(reset, words(bucket.until_full(now)));
        }
    }
}

/// The header's whole seconds, never too few.
fn whole_seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}

/// A time as OpenAI's API writes it: `6m0s`, `1s`, `20ms`.
fn words(time: Duration) -> HeaderValue {
    let text = match time.as_secs() {
        0 => format!("{}ms", time.as_millis()),
        seconds @ 1..60 => format!("{seconds}s"),
        seconds => format!("{}m{}s", seconds / 60, seconds % 60),
    };
    HeaderValue::from_str(&text).expect("digits and letters are a header value")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{CALLERS_MAX, Caller, Limiter, RateLimits, words};

    #[test]
    fn times_are_written_as_clients_read_them() {
        let check = |milliseconds, expected: &str| {
            assert_eq!(words(Duration::from_millis(milliseconds)), expected);
        };
        check(0, "0ms");
        check(999, "999ms");
        check(1500, "1s");
        check(60_000, "1m0s");
        check(3_725_000, "62m5s");
    }

    #[test]
    fn an_ipv6_network_is_one_caller() {
        let at = |address: &str| Caller::at(address.parse().expect("an address"));
        assert_eq!(at("2001:db8:1:2::1"), at("2001:db8:1:2:ffff::9"));
        assert_ne!(at("2001:db8:1:2::1"), at("2001:db8:1:3::1"));
        assert_eq!(at("::ffff:10.0.0.1"), at("10.0.0.1"));
        assert_ne!(at("10.0.0.1"), at("10.0.0.2"));
    }

    #[test]
    fn the_number_of_accounts_is_bounded() {
        let limits = RateLimits { requests_per_minute: 60, tokens_per_minute: 0 };
        let limiter = Limiter::new(limits).expect("requests are limited");
        let start = Instant::now();
        let admit = |caller, now| limiter.with(caller, now, |buckets| buckets.admit(now).is_ok());
        for caller in 0..CALLERS_MAX {
            assert!(admit(Caller::Key(caller), start));
        }
        // Nobody's bucket is full again, so newcomers share one.
        let late = |index| Caller::Key(CALLERS_MAX + index);
        assert_eq!((0..61).filter(|index| admit(late(*index), start)).count(), 60);
        // The known keep theirs.
        assert!(admit(Caller::Key(7), start));
        let later = start + Duration::from_secs(90);
        assert!(admit(late(0), later) && limiter.accounts().buckets.contains_key(&late(0)));
        assert_eq!(limiter.accounts().buckets.len(), 1);
    }
}
