//! The engine thread: steps the engine and carries its events to the readers.
//!
//! One thread for each model, because a step is the only thing that takes long, and nothing may
//! delay it: events go into bounded channels without waiting, and the text is made by the readers.
//! A reader whose channel is full has its sequences paused until it has caught up. The thread knows
//! tokens only.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use host_engine::{
    Engine, Event, FinishReason, SequenceError, SequenceId, SequenceRequest, SequenceUsage,
    StepModel, StepStats, SubmitError, TokenId, TokenLogprobs,
};
use host_metrics::{Finish, InFlight, Metrics, ModelMetrics, Occupancy, StepFigures};
use tokio::sync::mpsc;

use crate::error::GenerationError;
use crate::mailbox::{Cancellation, Letters};
use crate::request::invalid;
use crate::shared::Shared;

/// Bits of a sequence id that hold the choice; the rest is the request.
const CHOICE_BITS: u32 = 8;

/// What the engine thread and a reader tell each other.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// The reader has no room for more.
    pub(crate) blocked: AtomicBool,
    /// It had none for too long.
    pub(crate) given_up: AtomicBool,
}

/// A request on its way to the engine thread.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) request: u64,
    /// One for each choice; their ids are set by the thread.
    pub(crate) sequences: Vec<SequenceRequest>,
    pub(crate) sender: mpsc::Sender<(usize, ChoiceEvent)>,
    /// Set while the reader is to say when it has caught up.
    pub(crate) pace: Arc<Pace>,
    pub(crate) in_flight: InFlight,
    pub(crate) submitted: Instant,
}

/// What a reader hears of one choice.
#[derive(Debug)]
pub(crate) enum ChoiceEvent {
    Token {
        token: TokenId,
        logprobs: Option<TokenLogprobs>,
    },
    /// Prompt tokens that were cached, told before the first token if there are any.
    Cached(usize),
    PromptLogprobs(Vec<TokenLogprobs>),
    Finished {
        reason: FinishReason,
        usage: SequenceUsage,
    },
    Failed(GenerationError),
}

/// A request that the engine works on.
#[derive(Debug)]
struct Active {
    sender: mpsc::Sender<(usize, ChoiceEvent)>,
    pace: Arc<Pace>,
    /// Choices that have not ended.
    live: Vec<usize>,
    /// Events that found the channel full, in order.
    overflow: VecDeque<(usize, ChoiceEvent)>,
    submitted: Instant,
    first_token: Option<Instant>,
    tokens: usize,
    /// When the last token of each choice came.
    last_token: Vec<Option<Instant>>,
    /// Whether its reader has gone.
    is_left: bool,
    /// Since when its reader has had no room for more.
    blocked_since: Option<Instant>,
    /// Held until the engine has let go of all its sequences.
    _in_flight: InFlight,
}

/// The thread's state.
pub(crate) struct Worker<M> {
    engine: Engine<M>,
    shared: Arc<Shared<Submission>>,
    metrics: Metrics,
    model_metrics: ModelMetrics,
    active: BTreeMap<u64, Active>,
    /// How long a reader may have no room.
    reader_patience: Duration,
}

impl<M: StepModel> Worker<M> {
    pub(crate) fn new(
        engine: Engine<M>,
        shared: Arc<Shared<Submission>>,
        metrics: Metrics,
        reader_patience: Duration,
    ) -> Self {
        let model_metrics = shared.metrics.clone();
        let active = BTreeMap::new();
        Self { engine, shared, metrics, model_metrics, active, reader_patience }
    }

    /// Runs until the mailbox drains or the model is out of service.
    pub(crate) fn run(mut self) {
        let mut events = Vec::new();
        self.show_occupancy();
        loop {
            let deadline = self.next_look_at_readers();
            let (is_idle, is_unused) = (self.engine.is_idle(), self.active.is_empty());
            let Some(letters) = self.shared.mailbox.collect(is_idle, is_unused, deadline) else {
                return;
            };
            self.read(letters);
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                self.leave_stuck_readers();
            }
            let started = Instant::now();
            let stats = self.engine.step(&mut events);
            self.record(&stats, started);
            // Before the readers hear of it, so that whoever does finds the model's state changed.
            let faulted =
                stats.fault.and_then(|fault| self.shared.note_fault(&self.metrics, fault));
            for event in events.drain(..) {
                self.handle(event);
            }
            self.show_occupancy();
            if let Some(error) = faulted {
                return self.fail_rest(&error);
            }
        }
    }

    fn read(&mut self, letters: Letters<Submission>) {
        for submission in letters.submissions {
            self.start(submission);
        }
        for cancellation in letters.cancellations {
            self.cancel(cancellation);
        }
        for request in letters.caught_up {
            self.resume(request);
        }
    }

    fn start(&mut self, submission: Submission) {
        let request = submission.request;
        let active = Active {
            sender: submission.sender,
            pace: submission.pace,
            live: (0..submission.sequences.len()).collect(),
            overflow: VecDeque::new(),
            submitted: submission.submitted,
            first_token: None,
            tokens: 0,
            last_token: vec![None; submission.sequences.len()],
            is_left: false,
            blocked_since: None,
            _in_flight: submission.in_flight,
        };
        self.active.insert(request, active);
        for (choice, mut sequence) in submission.sequences.into_iter().enumerate() {
            sequence.id = sequence_id(request, choice);
            if let Err(error) = self.engine.submit(sequence) {
                self.end(request, choice, ChoiceEvent::Failed(refusal(error)));
            }
        }
    }

    fn cancel(&mut self, cancellation: Cancellation) {
        let request = cancellation.request;
        let Some(active) = self.active.get_mut(&request) else { return };
        for &choice in &active.live {
            if cancellation.choice.is_none_or(|only| only == choice) {
                self.engine.cancel(sequence_id(request, choice));
            }
        }
        if cancellation.choice.is_none() {
            active.is_left = true;
            active.overflow.clear();
        }
        self.forget_if_done(request);
    }

    /// When some reader may have been stuck for too long.
    fn next_look_at_readers(&self) -> Option<Instant> {
        let blocked = self.active.values().filter_map(|active| active.blocked_since);
        blocked.min().map(|since| since + self.reader_patience)
    }

    /// Lets go of requests whose readers have taken nothing for too long: they hold places and KV
    /// blocks that others wait for.
    fn leave_stuck_readers(&mut self) {
        let is_stuck = |active: &Active| {
            active.blocked_since.is_some_and(|since| since.elapsed() >= self.reader_patience)
        };
        let stuck = self.active.iter().filter(|(_, active)| is_stuck(active));
        let stuck: Vec<u64> = stuck.map(|(request, _)| *request).collect();
        for request in stuck {
            tracing::warn!(request, "its reader takes nothing; the answer is given up");
            self.cancel(Cancellation { request, choice: None });
            if let Some(active) = self.active.get_mut(&request) {
                active.pace.given_up.store(true, Ordering::SeqCst);
                // What it would still have to hear is not kept for it.
                (active.sender, _) = mpsc::channel(1);
                active.blocked_since = None;
            }
        }
    }

    /// A reader has room again: gives it what it missed and lets its sequences run.
    fn resume(&mut self, request: u64) {
        let Some(active) = self.active.get_mut(&request) else { return };
        if active.flush() {
            active.blocked_since = None;
            for &choice in &active.live {
                self.engine.resume(sequence_id(request, choice));
            }
        }
        self.forget_if_done(request);
    }

    fn handle(&mut self, event: Event) {
        let (request, choice) = request_and_choice(event.id());
        match event {
            Event::Token { token, logprobs, .. } => {
                self.count_token(request, choice);
                self.deliver(request, choice, ChoiceEvent::Token { token, logprobs });
            }
            Event::Prefilled { cached_tokens, .. } => {
                self.deliver(request, choice, ChoiceEvent::Cached(cached_tokens));
            }
            Event::PromptLogprobs { logprobs, .. } => {
                self.deliver(request, choice, ChoiceEvent::PromptLogprobs(logprobs));
            }
            Event::Finished { reason, usage, .. } => {
                self.model_metrics.count_finished(self.finish(request, reason));
                self.end(request, choice, ChoiceEvent::Finished { reason, usage });
            }
            Event::Failed { error, .. } => {
                self.model_metrics.count_finished(Finish::Abort);
                self.end(request, choice, ChoiceEvent::Failed(failure(error)));
            }
        }
    }

    /// Why an answer ended, for the figures: one that a stop sequence ended was cancelled here.
    fn finish(&self, request: u64, reason: FinishReason) -> Finish {
        let has_reader = self.active.get(&request).is_some_and(|active| !active.is_left);
        match reason {
            FinishReason::Length => Finish::Length,
            FinishReason::Cancelled if !has_reader => Finish::Abort,
            FinishReason::Stop | FinishReason::Cancelled => Finish::Stop,
        }
    }

    fn deliver(&mut self, request: u64, choice: usize, event: ChoiceEvent) {
        let Some(active) = self.active.get_mut(&request) else { return };
        if !active.send(choice, event) {
            active.blocked_since.get_or_insert_with(Instant::now);
            for &choice in &active.live {
                self.engine.pause(sequence_id(request, choice));
            }
        }
    }

    fn end(&mut self, request: u64, choice: usize, event: ChoiceEvent) {
        self.deliver(request, choice, event);
        let Some(active) = self.active.get_mut(&request) else { return };
        active.live.retain(|live| *live != choice);
        self.shared.mailbox.free_places(1);
        if active.live.is_empty() {
            self.observe_end(request);
        }
    }

    /// Books the end of a request.
    fn observe_end(&mut self, request: u64) {
        let Some(active) = self.active.get(&request) else { return };
        self.model_metrics.observe_request_duration(active.submitted.elapsed());
        if let Some(first) = active.first_token
            && active.tokens > 1
        {
            let later = u32::try_from(active.tokens - 1).unwrap_or(u32::MAX);
            self.model_metrics.observe_time_per_output_token(first.elapsed() / later);
        }
        self.forget_if_done(request);
    }

    /// A request that has ended goes once its reader has heard all of it, or left.
    fn forget_if_done(&mut self, request: u64) {
        let is_done = |active: &Active| active.live.is_empty() && active.overflow.is_empty();
        if self.active.get(&request).is_some_and(is_done) {
            self.active.remove(&request);
        }
    }

    fn count_token(&mut self, request: u64, choice: usize) {
        self.model_metrics.add_completion_tokens(1);
        let Some(active) = self.active.get_mut(&request) else { return };
        active.tokens += 1;
        let now = Instant::now();
        if active.first_token.is_none() {
            active.first_token = Some(now);
            self.model_metrics.observe_time_to_first_token(now - active.submitted);
        }
        if let Some(last) = active.last_token[choice].replace(now) {
            self.model_metrics.observe_inter_token_latency(now - last);
        }
    }

    fn record(&self, stats: &StepStats, started: Instant) {
        if stats.sequences > 0 {
            let figures = StepFigures {
                preemptions: stats.preemptions,
                restarts: stats.restarts,
                prefix_queries: stats.prefix_queries,
                prefix_hits: stats.prefix_hits,
                draft_tokens: stats.draft_tokens,
                accepted_tokens: stats.accepted_tokens,
            };
            self.model_metrics.record_step(started.elapsed(), figures);
        }
    }

    fn show_occupancy(&self) {
        let counts = self.engine.counts();
        self.model_metrics.set_occupancy(Occupancy {
            waiting: counts.waiting,
            running: counts.running,
            kv_blocks_used: counts.blocks_used,
            kv_blocks_cached: counts.blocks_cached,
            kv_blocks_total: counts.blocks_total,
        });
    }

    fn fail_rest(&mut self, error: &GenerationError) {
        let live: Vec<(u64, usize)> = self
            .active
            .iter()
            .flat_map(|(request, active)| active.live.iter().map(|choice| (*request, *choice)))
            .collect();
        for (request, choice) in live {
            self.end(request, choice, ChoiceEvent::Failed(error.clone()));
        }
    }
}

impl Active {
    /// Passes an event on; false if the reader has no room and is to be waited for.
    fn send(&mut self, choice: usize, event: ChoiceEvent) -> bool {
        self.overflow.push_back((choice, event));
        self.flush()
    }

    /// Passes on what found no room before; false if there still is not enough.
    fn flush(&mut self) -> bool {
        if self.flush_some() {
            return true;
        }
        // The reader may have emptied the channel before it could see that it is waited for.
        self.pace.blocked.store(true, Ordering::SeqCst);
        if self.flush_some() {
            self.pace.blocked.store(false, Ordering::SeqCst);
            return true;
        }
        false
    }

    fn flush_some(&mut self) -> bool {
        while let Some(event) = self.overflow.pop_front() {
            match self.sender.try_send(event) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(event)) => {
                    self.overflow.push_front(event);
                    return false;
                }
                // Nobody listens; the cancellation is on its way.
                Err(mpsc::error::TrySendError::Closed(_)) => self.overflow.clear(),
            }
        }
        true
    }
}

fn sequence_id(request: u64, choice: usize) -> SequenceId {
    SequenceId(request << CHOICE_BITS | choice as u64)
}

fn request_and_choice(id: SequenceId) -> (u64, usize) {
    (id.0 >> CHOICE_BITS, (id.0 & ((1 << CHOICE_BITS) - 1)) as usize)
}

/// Why the engine did not take a sequence, in the words of a request.
fn refusal(error: SubmitError) -> GenerationError {
    match error {
        SubmitError::QueueFull { live, limit } => {
            GenerationError::QueueFull { live, limit, retry_after_s: 1 }
        }
        SubmitError::PromptTooLong { tokens, limit }
        | SubmitError::KvTooSmall { tokens, slots: limit } => {
            GenerationError::PromptTooLong { tokens, limit }
        }
        SubmitError::Sampling(error) => invalid(error.name, error.to_string()),
        SubmitError::TokenOutOfRange { place: "logit_bias", .. }
        | SubmitError::TooMany { place: "logit_bias", .. } => {
            invalid("logit_bias", error.to_string())
        }
        SubmitError::EmptyPrompt
        | SubmitError::TokenOutOfRange { .. }
        | SubmitError::TooMany { .. }
        | SubmitError::DuplicateId { .. } => invalid("prompt", error.to_string()),
    }
}

fn failure(error: SequenceError) -> GenerationError {
    match error {
        SequenceError::Step(error) => error.into(),
        SequenceError::NoFiniteLogits { .. } => {
            GenerationError::NoFiniteLogits { message: error.to_string() }
        }
        SequenceError::Constraint(_) => GenerationError::Grammar { message: error.to_string() },
    }
}
