//! From a prepared checkpoint to a model that can step.

use crate::memory::{check_available, warn_without_huge_pages};
use crate::prepare::with_session_request;
use crate::summary::summarize;
use crate::{LoadError, LoadOptions, ModelSession, ModelSummary, Prepared, Tokenizer, prepare};
use graph::ChatConventions;
use host_engine::{EmbeddingShape, EngineLimits};
use host_loader::{Registry, Session};
use plugin_api::CheckpointInfo;
use std::cell::Cell;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::thread;
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
    /// How models of its family write tool calls and thoughts.
    pub chat: ChatConventions,
    /// Tokens with a meaning of their own.
    pub special: SpecialTokens,
    /// Sizes the engine must keep.
    pub limits: EngineLimits,
    /// What its vectors are like, if it embeds; it generates if not.
    pub embedding: Option<EmbeddingShape>,
}

/// Tokens with a meaning of their own.
#[derive(Debug, Clone, Default)]
pub struct SpecialTokens {
    /// Begins a text.
    pub bos: Option<u32>,
    /// End a text.
    pub eos: Vec<u32>,
    /// Text of the first, for chat templates.
    pub bos_text: String,
    /// Text of the first end token, for chat templates.
    pub eos_text: String,
}

impl SpecialTokens {
    /// Those that the checkpoint names and the tokenizer knows.
    fn new(info: &CheckpointInfo, tokenizer: &Tokenizer) -> Self {
        let known = |token: &u32| (*token as usize) < tokenizer.vocab_size();
        let bos = info.bos_token.filter(known);
        let eos: Vec<u32> = info.eos_tokens.iter().copied().filter(known).collect();
        let text =
            |token: Option<u32>| token.map_or(String::new(), |token| tokenizer.token_text(token));
        Self { bos_text: text(bos), eos_text: text(eos.first().copied()), bos, eos }
    }
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
    warn_without_huge_pages();
    // The tokenizer keeps one thread as busy as packing the weights keeps the others.
    let (tokenizer, session) = thread::scope(|scope| {
        let tokenizer = scope.spawn(|| prepared.read_tokenizer());
        let session = create_session(registry, &prepared, progress);
        (tokenizer.join(), session)
    });
    let tokenizer = tokenizer.unwrap_or_else(|panic| resume_unwind(panic))?;
    let session = session?;
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
        special: SpecialTokens::new(prepared.info(), &tokenizer),
        tokenizer,
        chat_template: prepared.chat_template,
        chat: prepared.graph.chat,
        limits,
        embedding: prepared.embedding,
    })
}

/// Has the compute plugin pack the weights.
fn create_session(
    registry: &Registry,
    prepared: &Prepared,
    progress: &dyn Fn(u64, u64),
) -> Result<Session, LoadError> {
    // What the plugin has packed need not stay in memory as the file's pages too.
    let released = Cell::new(0);
    let report = |done, total| {
        if done >= released.get() + RELEASE_BYTES {
            released.set(done);
            prepared.checkpoint.release_pages();
        }
        progress(done, total);
    };
    let session = with_session_request(registry, prepared, &prepared.memory, &report, |request| {
        prepared.compute.create(request, Arc::clone(&prepared.checkpoint))
    })?;
    // The session has packed what it multiplies with; the file's pages would only double it.
    prepared.checkpoint.release_pages();
    Ok(session)
}
