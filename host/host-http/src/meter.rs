//! What one request has used so far: its model, its tokens, the time of its first token.
//!
//! The front makes a meter for each request and the code that answers it finds it as the current
//! one, so that no handler has to pass it on and none can forget to. Tokens are charged to the
//! caller's account as they come. What is done with the figures is decided by those who read them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::rate_limit::Account;

tokio::task_local! {
    static CURRENT: Arc<Meter>;
}

/// The figures of a request.
#[derive(Debug)]
pub(crate) struct Meter {
    started: Instant,
    account: Option<Account>,
    model: OnceLock<String>,
    first_token: OnceLock<Duration>,
    prompt_tokens: AtomicUsize,
    completion_tokens: AtomicUsize,
}

impl Meter {
    /// A meter that stands at nothing.
    pub(crate) fn new(started: Instant, account: Option<Account>) -> Arc<Self> {
        Arc::new(Self {
            started,
            account,
            model: OnceLock::new(),
            first_token: OnceLock::new(),
            prompt_tokens: AtomicUsize::new(0),
            completion_tokens: AtomicUsize::new(0),
        })
    }

    /// That of the request that is being answered; outside of one, a meter that nobody reads.
    pub(crate) fn current() -> Arc<Self> {
        CURRENT.try_with(Arc::clone).unwrap_or_else(|_| Self::new(Instant::now(), None))
    }

    /// Answers a request with this as the current meter.
    pub(crate) async fn measure<T>(self: Arc<Self>, answer: impl Future<Output = T>) -> T {
        CURRENT.scope(self, answer).await
    }

    /// As [`Meter::measure`], for work on a thread of its own.
    pub(crate) fn count<T>(self: Arc<Self>, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self, work)
    }

    /// The model that answers.
    pub(crate) fn set_model(&self, id: &str) {
        self.model.get_or_init(|| id.to_owned());
    }

    pub(crate) fn add_prompt_tokens(&self, count: usize) {
        self.prompt_tokens.fetch_add(count, Ordering::Relaxed);
        self.charge(count);
    }

    pub(crate) fn add_completion_tokens(&self, count: usize) {
        if count > 0 {
            self.first_token.get_or_init(|| self.started.elapsed());
        }
        self.completion_tokens.fetch_add(count, Ordering::Relaxed);
        self.charge(count);
    }

    /// Time since the request's head came.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn model(&self) -> Option<&str> {
        self.model.get().map(String::as_str)
    }

    /// Time to the first token, if one has come.
    pub(crate) fn time_to_first_token(&self) -> Option<Duration> {
        self.first_token.get().copied()
    }

    pub(crate) fn prompt_tokens(&self) -> usize {
        self.prompt_tokens.load(Ordering::Relaxed)
    }

    pub(crate) fn completion_tokens(&self) -> usize {
        self.completion_tokens.load(Ordering::Relaxed)
    }

    fn charge(&self, tokens: usize) {
        if let Some(account) = self.account.as_ref().filter(|_| tokens > 0) {
            account.charge(tokens);
        }
    }
}
