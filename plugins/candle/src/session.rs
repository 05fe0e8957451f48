//! The provider and its sessions: a graph with its weights and KV storage on candle's device.

use crate::batch::Bounds;
use crate::kv::{self, KvStore};
use crate::step::{Step, last_readers};
use crate::weights;
use candle_core::utils::{cuda_is_available, metal_is_available};
use candle_core::{DType, Device, Tensor};
use graph::{Graph, Op, Widths};
use plugin_api::{
    Compute, ComputeSession, Error, MemoryEstimate, SessionLimits, SessionOptions, StepBatch,
};

/// Candle as a compute device.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "a marker type without fields")]
pub struct Candle;

/// A graph on candle's device, ready to step.
#[derive(Debug)]
pub struct CandleSession {
    graph: Graph,
    widths: Widths,
    weights: Vec<Tensor>,
    kv: KvStore,
    bounds: Bounds,
}

impl Compute for Candle {
    const NAME: &'static str = "candle";
    const SCORE: u32 = 1;
    type Session = CandleSession;

    fn estimate(options: &SessionOptions<'_>) -> Result<MemoryEstimate, Error> {
        let widths = options.graph.widths()?;
        let dtype = kv::element(&options.kv_dtype)?;
        bounds(options)?;
        Ok(MemoryEstimate {
            weights: weights::bytes_of_all(options)?,
            kv: kv_bytes(options, dtype)?,
            scratch: scratch_bytes(options, &widths),
        })
    }

    fn create(options: SessionOptions<'_>) -> Result<CandleSession, Error> {
        let widths = options.graph.widths()?;
        let dtype = kv::element(&options.kv_dtype)?;
        let bounds = bounds(&options)?;
        kv_bytes(&options, dtype)?;
        if options.graph.rope_tables.iter().any(|table| table.divisors().next().is_some()) {
            return Err(Error::unsupported(
                "a rope table still has divisors: the host folds them into its frequencies",
            ));
        }
        let device = device().map_err(failed)?;
        let weights = weights::load(&options, &device)?;
        let kv = KvStore::new(&options.graph.caches, options.limits, dtype, &device);
        Ok(CandleSession { graph: options.graph, widths, weights, kv: kv.map_err(failed)?, bounds })
    }
}

impl ComputeSession for CandleSession {
    fn step(&mut self, batch: &StepBatch<'_>, logits: &mut [f32]) -> Result<(), Error> {
        let sequences = self.bounds.sequences(batch)?;
        let width = self.widths.width.last().copied().unwrap_or(0);
        let wanted = batch.logit_rows.len();
        if wanted.checked_mul(width) != Some(logits.len()) {
            return Err(Error::invalid(format!(
                "room for {} values, {wanted} rows of {width} expected",
                logits.len()
            )));
        }
        if batch.token_ids.is_empty() {
            return Ok(());
        }
        let step = Step {
            graph: &self.graph,
            weights: &self.weights,
            kv: &self.kv,
            batch,
            sequences: &sequences,
        };
        let answer = step.run(|node| wanted > 0 || !self.widths.selected[node])?;
        if let Some(answer) = answer {
            let values = answer.flatten_all().and_then(|answer| answer.to_vec1::<f32>());
            logits.copy_from_slice(&values.map_err(failed)?);
        }
        Ok(())
    }

    fn copy_blocks(&mut self, from: &[u32], to: &[u32]) -> Result<(), Error> {
        let count = self.bounds.limits.block_count;
        if from.len() != to.len() || from.iter().chain(to).any(|&block| block as usize >= count) {
            return Err(Error::invalid(format!(
                "copying blocks {from:?} to {to:?}: as many of each expected, all below {count}"
            )));
        }
        for (&from, &to) in from.iter().zip(to) {
            self.kv.copy_block(from as usize, to as usize).map_err(failed)?;
        }
        Ok(())
    }
}

/// The device of the cargo feature that candle was built with, or the CPU.
fn device() -> candle_core::Result<Device> {
    if cuda_is_available() {
        Device::new_cuda(0)
    } else if metal_is_available() {
        Device::new_metal(0)
    } else {
        Ok(Device::Cpu)
    }
}

fn bounds(options: &SessionOptions<'_>) -> Result<Bounds, Error> {
    let SessionLimits { block_size, block_count, .. } = options.limits;
    let slots = block_size.checked_mul(block_count).filter(|&n| n > 0 && u32::try_from(n).is_ok());
    if slots.is_none() {
        return Err(Error::invalid(format!(
            "{block_count} KV blocks of {block_size} places: 1 to 2^32 - 1 places expected"
        )));
    }
    Ok(Bounds {
        limits: options.limits,
        vocab_size: options.graph.vocab_size,
        context_length: options.graph.context_length,
        whole_sequences: options.graph.needs_whole_sequences(),
    })
}

fn kv_bytes(options: &SessionOptions<'_>, dtype: DType) -> Result<u64, Error> {
    let SessionLimits { block_size, block_count, .. } = options.limits;
    let sizes = options.graph.caches.iter().map(|cache| cache.kv_heads * cache.head_dim);
    let values = sizes.fold(0, usize::saturating_add);
    let sizes = [2, dtype.size_in_bytes(), block_size, block_count];
    let bytes = sizes.iter().try_fold(values as u64, |bytes, &n| bytes.checked_mul(n as u64));
    bytes.filter(|&bytes| isize::try_from(bytes).is_ok()).ok_or_else(|| {
        Error::invalid("the KV cache is larger than any memory: ask for a smaller context")
    })
}

/// The values that live at once, and the scores of the widest attention with their copies.
fn scratch_bytes(options: &SessionOptions<'_>, widths: &Widths) -> u64 {
    let SessionLimits { block_size, block_count, batch_tokens_max, .. } = options.limits;
    let context = options.graph.context_length.min(block_size.saturating_mul(block_count));
    let last_reader = last_readers(&options.graph);
    let (mut live, mut peak, mut scores) = (0, 0, 0);
    for (index, node) in options.graph.nodes.iter().enumerate() {
        live += widths.width[index];
        peak = peak.max(live);
        let is_last = |input: &usize| last_reader[*input] == index;
        let mut done: Vec<_> = node.inputs.iter().copied().filter(is_last).collect();
        done.sort_unstable();
        done.dedup();
        live -= done.iter().map(|&input| widths.width[input]).sum::<usize>();
        if let Op::Attention { heads, .. } = node.op {
            scores = scores.max(heads.saturating_mul(context).saturating_mul(4));
        }
    }
    let row = peak.saturating_add(scores).saturating_mul(4);
    row.saturating_mul(batch_tokens_max) as u64
}

#[expect(clippy::needless_pass_by_value, reason = "goes into `map_err`")]
fn failed(error: candle_core::Error) -> Error {
    Error::failed(error.to_string())
}
