//! Loads a model and runs whole sequences through it.

use host_engine::{Batch, StepModel as _};
use host_loader::{Loader, LoaderOptions, Registry};
use host_model::{LoadOptions, LoadedModel, load};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use support::{PluginFolder, SHIPPED, Scratch, host_program};

/// Tokens of a step.
const STEP_TOKENS: usize = 64;

/// The shipped plugins, loaded; the folders live as long as this.
pub(crate) struct Plugins {
    pub(crate) registry: Arc<Registry>,
    _folder: PluginFolder,
    _cache: Scratch,
}

impl Plugins {
    pub(crate) fn load() -> Self {
        let (folder, cache) = (PluginFolder::with(SHIPPED), Scratch::new());
        let loader = Loader::new(LoaderOptions {
            plugin_dirs: vec![folder.path().to_owned()],
            cache_dir: Some(cache.path().to_owned()),
            probe_program: host_program(),
            probe_timeout: Duration::from_secs(30),
            file_bytes_max: 1 << 30,
            pins: BTreeMap::new(),
        });
        Self { registry: loader.scan(), _folder: folder, _cache: cache }
    }

    /// Loads a checkpoint with an f32 KV cache, quantized to `isq` if that is given.
    pub(crate) fn model(&self, path: &Path, isq: Option<&str>, imatrix: Option<&Path>) -> Model {
        let options = LoadOptions {
            isq: isq.map(str::to_owned),
            importance: imatrix.map(Path::to_owned),
            kv_dtype: "f32".to_owned(),
            sequences_max: 1,
            batch_tokens_max: STEP_TOKENS,
            ..LoadOptions::default()
        };
        let loaded = load(&self.registry, path, &options, &|_, _| {});
        Model(loaded.expect("the checkpoint is good"))
    }
}

/// A loaded model.
pub(crate) struct Model(LoadedModel);

impl Model {
    /// Logits of every position of a sequence.
    pub(crate) fn logits(&mut self, tokens: &[u32]) -> Vec<f32> {
        let block_size = self.0.limits.block_size;
        let vocab = self.0.limits.vocab_size;
        let mut logits = vec![0.0; tokens.len() * vocab];
        for (index, some) in tokens.chunks(STEP_TOKENS).enumerate() {
            let begin = (index * STEP_TOKENS) as u32;
            let end = begin + some.len() as u32;
            let blocks = end.div_ceil(block_size);
            let batch = Batch {
                token_ids: some.to_vec(),
                positions: (begin..end).collect(),
                slots: (begin..end).collect(),
                sequence_starts: vec![0, some.len() as u32],
                sequence_lengths: vec![tokens.len() as u32],
                context_lengths: vec![end],
                block_table_starts: vec![0, blocks],
                block_tables: (0..blocks).collect(),
                logit_rows: (0..some.len() as u32).collect(),
                ..Batch::default()
            };
            let rows = begin as usize * vocab..end as usize * vocab;
            self.0.session.step(&batch, &mut logits[rows]).expect("a valid batch");
        }
        logits
    }
}
