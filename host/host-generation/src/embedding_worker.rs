//! The thread of an embedding model: feeds texts to the engine and gathers their vectors.
//!
//! Requests take turns, text by text, so that a short one does not wait for the end of a long one;
//! what waits together runs together. A request whose reader has left is dropped before the next
//! step. The thread knows tokens only.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use host_engine::{Embedded, EmbeddingEngine, EmbeddingError, SequenceId, StepModel};
use host_metrics::{InFlight, Metrics, Occupancy, StepFigures};
use tokio::sync::oneshot;

use crate::error::GenerationError;
use crate::request::invalid;
use crate::shared::Shared;

/// Bits of a text's id that hold its place in the request; the rest is the request.
const TEXT_BITS: u32 = 16;

/// A request on its way to the thread.
#[derive(Debug)]
pub(crate) struct Texts {
    /// The tokens of each text.
    pub(crate) texts: Vec<Vec<u32>>,
    pub(crate) sender: oneshot::Sender<Result<Vec<Vec<f32>>, GenerationError>>,
    pub(crate) in_flight: InFlight,
    pub(crate) submitted: Instant,
}

/// A request that the thread works on.
#[derive(Debug)]
struct Active {
    /// Texts that the engine has not got, with their places.
    waiting: VecDeque<(usize, Vec<u32>)>,
    /// Empty where a vector is still to come.
    vectors: Vec<Vec<f32>>,
    /// Vectors still to come.
    missing: usize,
    sender: oneshot::Sender<Result<Vec<Vec<f32>>, GenerationError>>,
    in_flight: InFlight,
    submitted: Instant,
}

/// The thread's state.
pub(crate) struct EmbeddingWorker<M> {
    engine: EmbeddingEngine<M>,
    shared: Arc<Shared<Texts>>,
    metrics: Metrics,
    active: BTreeMap<u64, Active>,
    /// Requests with texts that wait, in the order of their turns.
    turns: VecDeque<u64>,
    requests: u64,
}

impl<M: StepModel> EmbeddingWorker<M> {
    pub(crate) fn new(
        engine: EmbeddingEngine<M>,
        shared: Arc<Shared<Texts>>,
        metrics: Metrics,
    ) -> Self {
        let (active, turns) = (BTreeMap::new(), VecDeque::new());
        Self { engine, shared, metrics, active, turns, requests: 0 }
    }

    /// Runs until the mailbox drains or the model is out of service.
    pub(crate) fn run(mut self) {
        let mut done = Vec::new();
        self.show_occupancy();
        while let Some(letters) =
            self.shared.mailbox.collect(self.active.is_empty(), self.active.is_empty(), None)
        {
            for texts in letters.submissions {
                self.start(texts);
            }
            self.drop_unread();
            self.feed();
            let started = Instant::now();
            let stats = self.engine.step(&mut done);
            if stats.sequences > 0 {
                self.shared.metrics.record_step(started.elapsed(), StepFigures::default());
            }
            // Before the readers hear of it, so that whoever does finds the model's state changed.
            let faulted = stats.fault.and_then(|it| self.shared.note_fault(&self.metrics, it));
            for embedded in done.drain(..) {
                self.deliver(embedded);
            }
            self.show_occupancy();
            if let Some(error) = faulted {
                return self.fail_rest(&error);
            }
        }
    }

    fn start(&mut self, texts: Texts) {
        let request = self.requests;
        self.requests += 1;
        let Texts { texts, sender, in_flight, submitted } = texts;
        let missing = texts.len();
        let active = Active {
            waiting: texts.into_iter().enumerate().collect(),
            vectors: vec![Vec::new(); missing],
            missing,
            sender,
            in_flight,
            submitted,
        };
        self.active.insert(request, active);
        self.turns.push_back(request);
    }

    /// Forgets the requests that nobody waits for any more.
    fn drop_unread(&mut self) {
        let unread = self.active.iter().filter(|(_, active)| active.sender.is_closed());
        let unread: Vec<u64> = unread.map(|(request, _)| *request).collect();
        for request in unread {
            self.finish(request, None);
        }
    }

    /// Gives the engine as many texts as a step can have.
    fn feed(&mut self) {
        while self.engine.text_count() < self.engine.limits().sequences_max
            && let Some(request) = self.turns.pop_front()
        {
            let Some(active) = self.active.get_mut(&request) else { continue };
            let Some((place, tokens)) = active.waiting.pop_front() else { continue };
            match self.engine.submit(text_id(request, place), tokens) {
                Ok(()) => self.turns.push_back(request),
                Err(error) => self.finish(request, Some(invalid("input", error.to_string()))),
            }
        }
    }

    fn deliver(&mut self, embedded: Embedded) {
        let (request, place) = request_and_place(embedded.id);
        // Another text may have ended the request.
        let Some(active) = self.active.get_mut(&request) else { return };
        match embedded.vector {
            Ok(vector) => {
                active.vectors[place] = vector;
                active.missing -= 1;
                if active.missing == 0 {
                    self.finish(request, None);
                }
            }
            Err(EmbeddingError::Step(error)) => self.finish(request, Some(error.into())),
            Err(error @ EmbeddingError::NotFinite) => {
                let message = error.to_string();
                self.finish(request, Some(GenerationError::NotFinite { message }));
            }
        }
    }

    /// Ends a request with its vectors or an error; the reader may have left.
    fn finish(&mut self, request: u64, error: Option<GenerationError>) {
        let Some(active) = self.active.remove(&request) else { return };
        self.turns.retain(|turn| *turn != request);
        self.engine.cancel(|id| request_and_place(id).0 == request);
        self.shared.mailbox.free_places(1);
        self.shared.metrics.observe_request_duration(active.submitted.elapsed());
        drop(active.in_flight);
        let answer = error.map_or(Ok(active.vectors), Err);
        // Nobody listens if the reader has left.
        active.sender.send(answer).ok();
    }

    fn fail_rest(&mut self, error: &GenerationError) {
        let rest: Vec<u64> = self.active.keys().copied().collect();
        for request in rest {
            self.finish(request, Some(error.clone()));
        }
    }

    fn show_occupancy(&self) {
        let counts = self.engine.counts();
        let unfed: usize = self.active.values().map(|active| active.waiting.len()).sum();
        self.shared.metrics.set_occupancy(Occupancy {
            waiting: counts.waiting + unfed,
            running: counts.running,
            kv_blocks_used: counts.blocks_used,
            kv_blocks_cached: counts.blocks_cached,
            kv_blocks_total: counts.blocks_total,
        });
    }
}

fn text_id(request: u64, place: usize) -> SequenceId {
    SequenceId(request << TEXT_BITS | place as u64)
}

fn request_and_place(id: SequenceId) -> (u64, usize) {
    (id.0 >> TEXT_BITS, (id.0 & ((1 << TEXT_BITS) - 1)) as usize)
}
