//! How much a model will take, decided before anything is allocated.
//!
//! The KV cache is sized here: as many blocks as all sequences together could fill, bounded by the
//! bytes the operator allows. The storage itself is the compute plugin's.

use crate::prepare::{Prepared, with_session_request};
use crate::weights::Place;
use crate::{LoadError, LoadOptions};
use host_loader::Registry;
use plugin_api::{MemoryEstimate, SessionLimits};

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
    let asked = options.context_length.unwrap_or(model_context).min(model_context);
    let block_size = options.block_size.max(1);
    let block_bytes = block_bytes(prepared, block_size, &kv_dtype);
    let affordable = usize::try_from(options.kv_bytes_max / block_bytes.max(1)).unwrap_or(0).max(1);
    let context_length = match options.context_length {
        // Asked for: a smaller one would be a silent surprise, so the budget must hold it.
        Some(_) => asked,
        None => asked.min(affordable.saturating_mul(block_size)),
    };
    let one = context_length.div_ceil(block_size);
    let sequences_max = options.sequences_max.max(1);
    let block_count = one.saturating_mul(sequences_max).min(affordable.max(one));
    let limits = SessionLimits {
        block_size,
        block_count: block_count.min(u32::MAX as usize / block_size),
        batch_tokens_max: options.batch_tokens_max.max(sequences_max),
        sequences_max,
    };
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

/// Refuses a plan that the machine cannot hold.
pub(crate) fn check_available(prepared: &Prepared) -> Result<(), LoadError> {
    let MemoryEstimate { weights, kv, scratch } = prepared.memory.estimate;
    let needed = weights.saturating_add(kv).saturating_add(scratch);
    match available_bytes() {
        Some(available) if needed > available => Err(LoadError::Memory {
            path: prepared.path.clone(),
            needed_mib: needed >> 20,
            weights_mib: weights >> 20,
            kv_mib: kv >> 20,
            scratch_mib: scratch >> 20,
            available_mib: available >> 20,
        }),
        _ => Ok(()),
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
        dtype @ ("f32" | "f16") => Ok(dtype.to_owned()),
        other => Err(LoadError::invalid(
            &prepared.path,
            format!("KV dtype `{other}` found; auto, f32 and f16 are known"),
        )),
    }
}

/// Bytes of one block in all caches together.
fn block_bytes(prepared: &Prepared, block_size: usize, kv_dtype: &str) -> u64 {
    let element = if kv_dtype == "f16" { 2 } else { 4 };
    let values: usize = prepared
        .graph
        .caches
        .iter()
        .map(|cache| cache.kv_heads.saturating_mul(cache.head_dim))
        .fold(0, usize::saturating_add);
    (values as u64).saturating_mul(2 * element * block_size as u64)
}

/// Memory the system could still give, where it says so.
fn available_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib << 10)
}
