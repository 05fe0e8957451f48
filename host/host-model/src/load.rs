//! From a prepared checkpoint to a model that can step.

use crate::memory::check_available;
use crate::prepare::with_session_request;
use crate::summary::summarize;
use crate::{
    LoadError, LoadOptions, ModelSession, ModelSummary, SpecialTokens, Tokenizer, prepare,
};
use host_engine::{EmbeddingShape, EngineLimits};
use host_loader::Registry;
use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Bytes of weights after which the file's pages are let go while a model loads.
const RELEASE_BYTES: u64 = 64 << 20;

/// A model in memory, not yet running.
#[derive(Debug)]
pub struct LoadedModel {
    /// What to tell people about it.
    pub summary: ModelSummary,
    /// Computes steps.
    pub session: ModelSession,
    /// Text to tokens and back.
    pub tokenizer: Tokenizer,
    /// Jinja text, if the checkpoint has one.
    pub chat_template: Option<String>,
    /// Tokens with a meaning of their own.
    pub special: SpecialTokens,
    /// Sizes the engine must keep.
    pub limits: EngineLimits,
    /// What its vectors are like, if it embeds; it generates if not.
    pub embedding: Option<EmbeddingShape>,
}

/// Loads the model at `path`; `progress` hears bytes of weights done and in all.
///
/// # Errors
/// The first thing that is missing or wrong; nothing stays allocated.
pub fn load(
    registry: &Arc<Registry>,
    path: &Path,
    options: &LoadOptions,
    progress: &dyn Fn(u64, u64),
) -> Result<LoadedModel, LoadError> {
    let started = Instant::now();
    let prepared = prepare(registry, path, options)?;
    check_available(&prepared)?;
    // What the plugin has packed need not stay in memory as the file's pages too.
    let released = Cell::new(0);
    let report = |done, total| {
        if done >= released.get() + RELEASE_BYTES {
            released.set(done);
            prepared.checkpoint.release_pages();
        }
        progress(done, total);
    };
    let session =
        with_session_request(registry, &prepared, &prepared.memory, &report, |request| {
            prepared.compute.create(request, Arc::clone(&prepared.checkpoint))
        })?;
    // The session has packed what it multiplies with; the file's pages would only double it.
    prepared.checkpoint.release_pages();
    let memory = &prepared.memory;
    let limits = EngineLimits {
        block_size: memory.limits.block_size as u32,
        block_count: memory.limits.block_count as u32,
        sequences_max: memory.limits.sequences_max,
        batch_tokens_max: memory.limits.batch_tokens_max,
        prefill_tokens_beside_decode_max: options.prefill_tokens_beside_decode_max,
        queue_max: options.queue_max,
        context_length: memory.context_length,
        vocab_size: prepared.graph.vocab_size,
        long_above: prepared.graph.long_above(),
        draft_tokens_max: options.draft_tokens_max,
        prefix_cache: options.prefix_cache,
    };
    let summary = summarize(&prepared, registry, options, started.elapsed());
    Ok(LoadedModel {
        summary,
        session: ModelSession::new(session),
        tokenizer: prepared.tokenizer,
        chat_template: prepared.chat_template,
        special: prepared.special,
        limits,
        embedding: prepared.embedding,
    })
}
