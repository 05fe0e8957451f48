//! Calibration: runs text through a model and notes what its matrices are multiplied with.
//!
//! The host knows each matrix of the graph, so the model need not know that it is watched: a twin
//! of its graph answers with the inputs. Each chunk of the text is a sequence of its own that
//! begins at position 0, as llama.cpp's `llama-imatrix` has it.

use crate::importance::Importance;
use crate::prepare::{Prepared, prepare, with_session_request};
use crate::weights::Weights;
use crate::{LoadError, LoadOptions};
use graph::{Graph, Observed, Output};
use host_loader::{Registry, Session};
use plugin_api::StepBatch;
use std::path::Path;
use std::sync::Arc;

/// Bytes that the answer of a step may take.
const ANSWER_BYTES: usize = 64 << 20;
/// Most tokens of a step.
const STEP_TOKENS_MAX: usize = 64;

/// How text is run through a model.
#[derive(Debug, Clone, Copy)]
pub struct Calibration {
    /// Tokens of a chunk.
    pub chunk_tokens: usize,
    /// Most chunks.
    pub chunks_max: usize,
}

/// An importance matrix and how much text it comes from.
#[derive(Debug)]
pub struct Calibrated {
    /// The matrix.
    pub importance: Importance,
    /// Chunks of text.
    pub chunks: usize,
}

/// Runs `text` through the model at `path`; `progress` hears chunks done and in all.
///
/// # Errors
/// The model cannot be loaded, the text is too short, or a step failed.
pub fn calibrate(
    registry: &Arc<Registry>,
    path: &Path,
    options: &LoadOptions,
    (text, calibration): (&str, Calibration),
    progress: &dyn Fn(usize, usize),
) -> Result<Calibrated, LoadError> {
    let mut prepared = prepare(registry, path, options)?;
    let invalid = |why: String| LoadError::invalid(path, why);
    if prepared.graph.output != Output::Logits {
        return Err(invalid("an embedding model cannot be calibrated".to_owned()));
    }
    let tokens =
        prepared.read_tokenizer()?.encode(text, true).map_err(|e| invalid(e.to_string()))?;
    let chunk = calibration.chunk_tokens.min(prepared.graph.context_length).max(1);
    let chunks: Vec<&[u32]> = tokens.chunks_exact(chunk).take(calibration.chunks_max).collect();
    if chunks.is_empty() {
        let found = tokens.len();
        return Err(invalid(format!("the text has {found} tokens, a chunk of {chunk} expected")));
    }
    let (twin, observed) = graph::observe(&prepared.graph)
        .ok_or_else(|| invalid("the graph has no matrices to watch".to_owned()))?;
    let graph = std::mem::replace(&mut prepared.graph, graph::simplify(&twin));
    prepared.weights = Weights::find(path, &prepared.checkpoint, &prepared.graph)?;
    let mut run = Run::new(registry, &mut prepared, &observed, chunk)?;
    for (done, tokens) in chunks.iter().enumerate() {
        progress(done, chunks.len());
        run.chunk(tokens).map_err(|e| invalid(e.to_string()))?;
    }
    progress(chunks.len(), chunks.len());
    Ok(Calibrated { importance: run.importance(&graph, &observed), chunks: chunks.len() })
}

/// A session of the watching graph, and the sums so far.
struct Run {
    session: Session,
    block_size: usize,
    step_tokens: usize,
    answer: Vec<f32>,
    /// Of each value of a row: the sum of its squares.
    sums: Vec<f64>,
    tokens: usize,
}

impl Run {
    fn new(
        registry: &Registry,
        prepared: &mut Prepared,
        observed: &[Observed],
        chunk: usize,
    ) -> Result<Self, LoadError> {
        let width = observed.last().map_or(0, |last| last.columns.end);
        let step_tokens = (ANSWER_BYTES / 4 / width.max(1)).clamp(1, STEP_TOKENS_MAX);
        let limits = &mut prepared.memory.limits;
        (limits.batch_tokens_max, limits.sequences_max) = (step_tokens, 1);
        limits.block_count = chunk.div_ceil(limits.block_size);
        let block_size = limits.block_size;
        let keep = Arc::clone(&prepared.checkpoint);
        let session =
            with_session_request(registry, prepared, &prepared.memory, &|_, _| {}, |request| {
                prepared.compute.create(request, keep)
            })?;
        let (answer, sums) = (vec![0.0; step_tokens * width], vec![0.0; width]);
        Ok(Self { session, block_size, step_tokens, answer, sums, tokens: 0 })
    }

    /// Runs one chunk from position 0 on.
    fn chunk(&mut self, tokens: &[u32]) -> Result<(), host_loader::PluginError> {
        let numbers = |range: std::ops::Range<usize>| -> Vec<u32> {
            range.map(|number| number as u32).collect()
        };
        for (index, some) in tokens.chunks(self.step_tokens).enumerate() {
            let (begin, count) = (index * self.step_tokens, some.len());
            let positions = numbers(begin..begin + count);
            let blocks = numbers(0..(begin + count).div_ceil(self.block_size));
            let answer = &mut self.answer[..count * self.sums.len()];
            let batch = StepBatch {
                token_ids: some,
                // The blocks lie in order, so a position is its own slot.
                slots: &positions,
                positions: &positions,
                sequence_starts: &[0, count as u32],
                sequence_lengths: &[tokens.len() as u32],
                context_lengths: &[(begin + count) as u32],
                block_table_starts: &[0, blocks.len() as u32],
                block_tables: &blocks,
                logit_rows: &numbers(0..count),
            };
            self.session.step(&batch, answer)?;
            for row in answer.chunks_exact(self.sums.len()) {
                for (sum, value) in self.sums.iter_mut().zip(row) {
                    *sum += f64::from(*value) * f64::from(*value);
                }
            }
            self.tokens += count;
        }
        Ok(())
    }

    /// The means, by the matrices of the graph that was watched.
    fn importance(&self, graph: &Graph, observed: &[Observed]) -> Importance {
        let mut importance = Importance::default();
        for Observed { weights, columns } in observed {
            let mean = |sum: &f64| (sum / self.tokens as f64) as f32;
            let means: Arc<[f32]> = self.sums[columns.clone()].iter().map(mean).collect();
            for &weight in weights {
                importance.insert(&graph.weights[weight], Arc::clone(&means));
            }
        }
        importance
    }
}
