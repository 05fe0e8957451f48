//! A model that embeds by counting, so that a test knows every vector in advance.
//!
//! The vector of a text is its length, its first token, its last and their sum, each over 256. It
//! wants whole texts, has a gate as the fake that generates, and tells how many ran in each step.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use host_engine::{Batch, EmbeddingShape, EngineLimits, StepError, StepModel};
use host_generation::{Embedder, EmbedderParts};
use host_metrics::Metrics;

use crate::fake;

pub(crate) const WIDTH: usize = 4;

/// A text that holds this token gets NaN.
pub(crate) const POISON: u32 = 255;

#[derive(Default)]
pub(crate) struct FakeEmbedder {
    gate: Option<Receiver<()>>,
    /// Error of the first step.
    fault: Option<StepError>,
    /// Texts of each step.
    steps: Arc<Mutex<Vec<usize>>>,
}

impl FakeEmbedder {
    /// Steps once for each unit sent; freely once the sender is gone.
    pub(crate) fn gated(mut self) -> (Self, SyncSender<()>) {
        let (sender, receiver) = sync_channel(100_000);
        self.gate = Some(receiver);
        (self, sender)
    }

    /// Fails in its first step.
    pub(crate) fn failing(panicked: bool) -> Self {
        let (plugin, message) = ("fake-compute".to_owned(), "matmul went wrong".to_owned());
        let fault = Some(StepError::Model { plugin, message, panicked });
        Self { fault, ..Self::default() }
    }

    /// Where it writes down the texts of each step.
    pub(crate) fn steps(&self) -> Arc<Mutex<Vec<usize>>> {
        Arc::clone(&self.steps)
    }
}

impl StepModel for FakeEmbedder {
    fn step(&mut self, batch: &Batch, vectors: &mut [f32]) -> Result<(), StepError> {
        self.steps.lock().expect("no test panics with it").push(batch.sequence_count());
        fake::wait_for(&mut self.gate);
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let rows = batch.sequence_starts.windows(2);
        for (rows, vector) in rows.zip(vectors.chunks_mut(WIDTH)) {
            let text = &batch.token_ids[rows[0] as usize..rows[1] as usize];
            vector.copy_from_slice(&vector_of(text));
        }
        Ok(())
    }
}

/// The vector of a text.
pub(crate) fn vector_of(text: &[u32]) -> [f32; WIDTH] {
    if text.contains(&POISON) {
        return [f32::NAN; WIDTH];
    }
    let [first, last] = [text[0], text[text.len() - 1]];
    [text.len() as u32, first, last, text.iter().sum()].map(|value| value as f32 / 256.0)
}

pub(crate) fn parts(id: &str, limits: EngineLimits) -> EmbedderParts {
    let host_generation::ModelParts { mut summary, tokenizer, .. } = fake::parts(id, limits);
    summary.embedding_width = Some(WIDTH);
    let shape = EmbeddingShape { width: WIDTH, whole_sequences: true };
    EmbedderParts { summary, tokenizer, limits, shape }
}

pub(crate) fn embedder(id: &str, model: FakeEmbedder, metrics: &Metrics) -> Embedder {
    let parts = parts(id, fake::limits());
    Embedder::spawn_with(parts, model, metrics.clone()).expect("the limits agree")
}
