//! What to tell people about a loaded model.

use crate::{LoadOptions, Prepared};
use host_loader::Registry;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
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
    /// Element type of the KV cache.
    pub kv_dtype: String,
    /// How long loading took.
    pub load_ms: u64,
    /// When it was loaded, seconds since 1970.
    pub created_unix: u64,
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
        id: options.id.clone().unwrap_or_else(|| id_of(&prepared.path)),
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

/// A checkpoint's id is its file's name without the ending and the number of its shard; a folder
/// called `hf` says nothing, so its parent's name is taken.
fn id_of(path: &Path) -> String {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let own = name(path).unwrap_or_else(|| "model".to_owned());
    let own = without_shard(own.strip_suffix(".gguf").unwrap_or(&own)).to_owned();
    if own == "hf" {
        return path.parent().and_then(name).unwrap_or(own);
    }
    own
}

/// A name without its end, where that is the number of a shard such as `-00001-of-00003`.
fn without_shard(name: &str) -> &str {
    let is_number = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    let parts = name.rsplit_once("-of-").and_then(|(front, count)| {
        let (name, number) = front.rsplit_once('-')?;
        (is_number(count) && is_number(number)).then_some(name)
    });
    parts.filter(|name| !name.is_empty()).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_names_without_endings() {
        for (path, expected) in [
            ("/models/qwen.gguf", "qwen"),
            ("/models/qwen-00001-of-00003.gguf", "qwen"),
            ("/models/best-of-00003.gguf", "best-of-00003"),
            ("/models/qwen2/hf", "qwen2"),
            ("/models/qwen2", "qwen2"),
        ] {
            assert_eq!(id_of(Path::new(path)), expected, "{path}");
        }
    }
}
