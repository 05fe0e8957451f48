//! What to tell people about a loaded model.

use crate::catalog::{CatalogEntry, checkpoint_id};
use crate::{LoadOptions, Prepared};
use host_loader::Registry;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// A loaded model in figures.
#[derive(Debug, Clone, Serialize)]
pub struct ModelSummary {
    /// Id clients use.
    pub id: String,
    /// Where it was loaded from.
    pub path: PathBuf,
    /// Name the checkpoint gives itself.
    pub name: Option<String>,
    /// Architecture as the checkpoint calls it.
    pub architecture: String,
    /// Who provides what.
    pub plugins: ModelPlugins,
    /// Tensors by dtype.
    pub dtypes: BTreeMap<String, usize>,
    /// Values in the tensors the graph uses.
    pub parameters: u64,
    /// Most positions of a sequence.
    pub context_length: usize,
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Floats of a vector, if it embeds; it generates if not.
    pub embedding_width: Option<usize>,
    /// Bytes of the weights in memory.
    pub weights_bytes: u64,
    /// Bytes of the KV cache when it is full.
    pub kv_bytes: u64,
    /// Bytes of a step's buffers.
    pub scratch_bytes: u64,
    /// Element type of the KV cache.
    pub kv_dtype: String,
    /// How long loading took.
    pub load_ms: u64,
    /// When it was loaded, seconds since 1970.
    pub created_unix: u64,
}

impl ModelSummary {
    /// Bytes it takes in all.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.weights_bytes.saturating_add(self.kv_bytes).saturating_add(self.scratch_bytes)
    }
}

impl From<&ModelSummary> for CatalogEntry {
    /// The checkpoint a model was loaded from, measured by its weights in memory.
    fn from(summary: &ModelSummary) -> Self {
        Self {
            id: summary.id.clone(),
            name: summary.name.clone(),
            path: summary.path.clone(),
            format: summary.plugins.format.clone(),
            bytes: summary.weights_bytes,
            notes: None,
            use_case: None,
        }
    }
}

/// The plugins a model runs on.
#[derive(Debug, Clone, Serialize)]
pub struct ModelPlugins {
    /// Read the checkpoint.
    pub format: String,
    /// Described the model.
    pub architecture: String,
    /// Runs it.
    pub compute: String,
    /// Provide the dtypes of its weights.
    pub quantizations: Vec<String>,
}

pub(crate) fn summarize(
    prepared: &Prepared,
    registry: &Registry,
    options: &LoadOptions,
    elapsed: Duration,
) -> ModelSummary {
    let info = prepared.info();
    let mut dtypes = BTreeMap::new();
    for place in prepared.weights.places() {
        *dtypes.entry(place.dtype.clone()).or_insert(0) += 1;
    }
    let mut quantizations: Vec<String> = dtypes
        .keys()
        .filter_map(|dtype| registry.dtype(dtype))
        // Plain dtypes are every compute plugin's own.
        .filter(|provider| provider.dtype().block_len() > 1)
        .map(|provider| provider.plugin().to_owned())
        .collect();
    quantizations.sort();
    quantizations.dedup();
    let created = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    ModelSummary {
        id: options.id.clone().unwrap_or_else(|| checkpoint_id(&prepared.path)),
        path: prepared.path.clone(),
        name: info.name.clone(),
        architecture: info.architecture.clone(),
        plugins: ModelPlugins {
            format: prepared.checkpoint.plugin().to_owned(),
            architecture: prepared.architecture.plugin().to_owned(),
            compute: prepared.compute.plugin().to_owned(),
            quantizations,
        },
        dtypes,
        parameters: parameters(prepared),
        context_length: prepared.memory.context_length,
        vocab_size: prepared.graph.vocab_size,
        embedding_width: prepared.embedding.map(|shape| shape.width),
        weights_bytes: prepared.memory.estimate.weights,
        kv_bytes: prepared.memory.estimate.kv,
        scratch_bytes: prepared.memory.estimate.scratch,
        kv_dtype: prepared.memory.kv_dtype.clone(),
        load_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        created_unix: created.as_secs(),
    }
}

/// A tensor that several weights name counts once.
fn parameters(prepared: &Prepared) -> u64 {
    let mut tensors: Vec<usize> =
        prepared.weights.places().iter().map(|place| place.tensor).collect();
    tensors.sort_unstable();
    tensors.dedup();
    let values = |&index: &usize| {
        prepared.info().tensors[index].shape.iter().map(|&n| n as u64).product::<u64>()
    };
    tensors.iter().map(values).sum()
}
