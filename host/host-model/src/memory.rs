//! How much a model will take, decided before anything is allocated.
//!
//! The KV cache is sized here: as many blocks as all sequences together could fill, bounded by the
//! bytes the operator allows. The storage itself is the compute plugin's.

use crate::budget::{MemoryBudget, MemoryLease, available_bytes};
use crate::prepare::{Prepared, with_session_request};
use crate::weights::Place;
use crate::{LoadError, LoadOptions};
use host_engine::EmbeddingShape;
use host_loader::Registry;
use plugin_api::{MemoryEstimate, SessionLimits};
use std::fmt;

/// Most tokens that a step takes for the sake of a whole text, unless the operator allows more: what
/// a step holds in memory grows with them.
const WHOLE_TEXT_TOKENS_MAX: usize = 8192;

/// Where Linux says who gets huge pages: the mode in brackets.
const HUGE_PAGES: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

/// Sizes of a session and what they cost.
#[derive(Debug, Clone)]
pub struct MemoryPlan {
    /// What the session allocates for.
    pub limits: SessionLimits,
    /// Most positions of a sequence.
    pub context_length: usize,
    /// Element type of the KV cache.
    pub kv_dtype: String,
    /// Threads to compute with; 0 is the plugin's choice.
    pub threads: usize,
    /// Bytes, as the compute plugin counts them.
    pub estimate: MemoryEstimate,
}

impl Default for MemoryPlan {
    fn default() -> Self {
        let limits =
            SessionLimits { block_size: 1, block_count: 1, batch_tokens_max: 1, sequences_max: 1 };
        Self {
            limits,
            context_length: 1,
            kv_dtype: "f32".to_owned(),
            threads: 0,
            estimate: MemoryEstimate::default(),
        }
    }
}

/// Chooses the sizes and asks the compute plugin what they cost.
pub(crate) fn plan_memory(
    registry: &Registry,
    prepared: &Prepared,
    options: &LoadOptions,
) -> Result<MemoryPlan, LoadError> {
    let kv_dtype = kv_dtype(prepared, options)?;
    let model_context = prepared.graph.context_length;
    // Where more was asked for than the model has, the graph says what it has.
    let asked = options.context_length.unwrap_or(model_context).min(model_context);
    let block_size = options.block_size.max(1);
    let block_bytes = block_bytes(prepared, block_size, &kv_dtype);
    let affordable = usize::try_from(options.kv_bytes_max / block_bytes.max(1)).unwrap_or(0).max(1);
    let context_length = match options.context_length {
        // Asked for: a smaller one would be a silent surprise, so the budget must hold it.
        Some(_) => asked,
        None => asked.min(affordable.saturating_mul(block_size)),
    };
    let limits = session_limits(prepared.embedding, options, context_length, affordable);
    let mut plan = MemoryPlan {
        limits,
        context_length,
        kv_dtype,
        threads: options.threads,
        estimate: MemoryEstimate::default(),
    };
    plan.estimate = with_session_request(registry, prepared, &plan, &|_, _| {}, |request| {
        prepared.compute.estimate(request)
    })?;
    Ok(plan)
}

/// Sizes for sequences of `context_length`, in at most `affordable` blocks.
fn session_limits(
    embedding: Option<EmbeddingShape>,
    options: &LoadOptions,
    context_length: usize,
    affordable: usize,
) -> SessionLimits {
    let block_size = options.block_size.max(1);
    let sequences_max = options.sequences_max.max(1);
    let whole = embedding.is_some_and(|shape| shape.whole_sequences);
    let whole_text = if whole { context_length.min(WHOLE_TEXT_TOKENS_MAX) } else { 0 };
    let batch_tokens_max = options.batch_tokens_max.max(sequences_max).max(whole_text);
    let one = context_length.div_ceil(block_size);
    let block_count = match embedding {
        None => one.saturating_mul(sequences_max),
        // One text that has begun, and a step's tokens in blocks that each text leaves partly empty.
        Some(_) => one + batch_tokens_max.div_ceil(block_size) + sequences_max,
    };
    let block_count = block_count.min(affordable.max(one)).min(u32::MAX as usize / block_size);
    SessionLimits { block_size, block_count, batch_tokens_max, sequences_max }
}

/// Refuses a plan that the machine cannot hold.
pub(crate) fn check_available(prepared: &Prepared) -> Result<(), LoadError> {
    let need = MemoryNeed::of(&prepared.memory.estimate);
    match available_bytes() {
        Some(available) if need.bytes() > available => Err(LoadError::Memory {
            path: prepared.path.clone(),
            need,
            available_mib: available >> 20,
        }),
        _ => Ok(()),
    }
}

/// What a model takes, in the words of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryNeed {
    /// Bytes of the weights.
    pub weights: u64,
    /// Bytes of the KV cache when it is full.
    pub kv: u64,
    /// Bytes of a step's buffers.
    pub scratch: u64,
}

impl MemoryNeed {
    fn of(estimate: &MemoryEstimate) -> Self {
        let MemoryEstimate { weights, kv, scratch } = *estimate;
        Self { weights, kv, scratch }
    }

    /// The sum.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.weights.saturating_add(self.kv).saturating_add(self.scratch)
    }
}

impl fmt::Display for MemoryNeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        write!(
            f,
            "needs {} MiB (weights {}, KV cache {}, scratch {})",
            mib(self.bytes()),
            mib(self.weights),
            mib(self.kv),
            mib(self.scratch)
        )
    }
}

impl Prepared {
    /// What it takes, by kind.
    #[must_use]
    pub fn memory_need(&self) -> MemoryNeed {
        MemoryNeed::of(&self.memory.estimate)
    }

    /// Takes the memory for the model, before any is allocated.
    ///
    /// # Errors
    /// The budget or the machine has not as much.
    pub fn take_memory(&self, budget: &MemoryBudget) -> Result<MemoryLease, LoadError> {
        let need = self.memory_need();
        let lease = budget.take(need.bytes()).ok_or_else(|| LoadError::Budget {
            path: self.path.clone(),
            need,
            budget_mib: budget.limit() >> 20,
            used_mib: budget.used() >> 20,
        })?;
        check_available(self)?;
        Ok(lease)
    }
}

/// Whether the system gives huge pages to who asks for them, as far as it says.
#[must_use]
pub fn gives_huge_pages() -> bool {
    !std::fs::read_to_string(HUGE_PAGES).is_ok_and(|modes| modes.contains("[never]"))
}

/// Says so where the system keeps huge pages from everybody: a model works without them, but more
/// slowly, and nothing else shows why.
pub(crate) fn warn_without_huge_pages() {
    if !gives_huge_pages() {
        tracing::warn!(
            setting = HUGE_PAGES,
            "the system gives no huge pages, so reading weights is slower; set `madvise` there"
        );
    }
}

/// Float checkpoints keep a float cache, so that they stay exact; block-quantized ones have rounded
/// more than half precision does.
fn kv_dtype(prepared: &Prepared, options: &LoadOptions) -> Result<String, LoadError> {
    match options.kv_dtype.as_str() {
        "auto" => {
            let plain = |place: &Place| ["f32", "f16", "bf16"].contains(&place.dtype.as_str());
            let float = prepared.weights.places().iter().all(plain);
            Ok(if float { "f32" } else { "f16" }.to_owned())
        }
        dtype @ ("f32" | "f16" | "bf16" | "q8_0") => Ok(dtype.to_owned()),
        other => Err(LoadError::invalid(
            &prepared.path,
            format!("KV dtype `{other}` found; auto, f32, f16, bf16 and q8_0 are known"),
        )),
    }
}

/// Bytes of one block in all caches together.
fn block_bytes(prepared: &Prepared, block_size: usize, kv_dtype: &str) -> u64 {
    let caches = prepared.graph.caches.iter();
    let bytes =
        caches.map(|cache| cache.kv_heads.saturating_mul(head_bytes(cache.head_dim, kv_dtype)));
    let bytes = bytes.fold(0, usize::saturating_add) as u64;
    bytes.saturating_mul(2 * block_size as u64)
}

/// Bytes of the keys or the values of one head at one position; `bf16` and `q8_0` are kept in whole
/// blocks of 32.
fn head_bytes(head_dim: usize, kv_dtype: &str) -> usize {
    let blocks = head_dim.div_ceil(32);
    match kv_dtype {
        "f32" => head_dim.saturating_mul(4),
        "bf16" => blocks.saturating_mul(64),
        "q8_0" => blocks.saturating_mul(34),
        _ => head_dim.saturating_mul(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(
        whole_sequences: Option<bool>,
        context_length: usize,
        affordable: usize,
    ) -> SessionLimits {
        let embedding =
            whole_sequences.map(|whole_sequences| EmbeddingShape { width: 8, whole_sequences });
        let options = LoadOptions { sequences_max: 4, ..LoadOptions::default() };
        session_limits(embedding, &options, context_length, affordable)
    }

    #[test]
    fn heads_that_are_no_whole_blocks_are_counted_as_they_are_kept() {
        let bytes = |dim| ["f32", "f16", "bf16", "q8_0"].map(|dtype| head_bytes(dim, dtype));
        assert_eq!(bytes(64), [256, 128, 128, 68]);
        assert_eq!(bytes(80), [320, 160, 192, 102]);
    }

    #[test]
    fn a_step_holds_a_whole_text_where_it_must() {
        assert_eq!(limits(Some(true), 2048, 1 << 20).batch_tokens_max, 2048);
        assert_eq!(limits(Some(true), 100, 1 << 20).batch_tokens_max, 512);
        assert_eq!(limits(Some(true), 1 << 20, 1 << 20).batch_tokens_max, WHOLE_TEXT_TOKENS_MAX);
        assert_eq!(limits(Some(false), 2048, 1 << 20).batch_tokens_max, 512);
        assert_eq!(limits(None, 2048, 1 << 20).batch_tokens_max, 512);
    }

    #[test]
    fn embedding_needs_blocks_for_a_step_and_generating_for_every_sequence() {
        assert_eq!(limits(None, 2048, 1 << 20).block_count, 4 * 64);
        assert_eq!(limits(Some(true), 2048, 1 << 20).block_count, 64 + 64 + 4);
        assert_eq!(limits(Some(false), 2048, 1 << 20).block_count, 64 + 16 + 4);
        assert_eq!(limits(Some(true), 2048, 70).block_count, 70, "as many as are affordable");
        assert_eq!(limits(Some(true), 2048, 10).block_count, 64, "but one text fits");
    }
}
