//! Writes a checkpoint to a file in another dtype: the quantization of loading, on disk.
//!
//! The same plan and the same arithmetic serve both, so the file has the bits that the model in
//! memory has. What the file looks like is a writer plugin's business.

use crate::importance::Importance;
use crate::prepare::{architecture, open, plugin};
use crate::quantize::{quantize, widen_vectors};
use crate::weights::{WeightReader, Weights};
use crate::{LoadError, LoadOptions};
use host_loader::{OpenCheckpoint, Registry};
use plugin_api::{Export, ExportTensor};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Weights by dtype.
    pub dtypes: BTreeMap<String, usize>,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Writes the checkpoint at `path` to `output`, quantized as `options` say; `progress` hears rows of
/// weights done and in all.
///
/// # Errors
/// The checkpoint cannot be read or quantized, no plugin writes files with that ending, or it
/// cannot be written; then there is no file.
pub fn export(
    registry: &Registry,
    path: &Path,
    options: &LoadOptions,
    output: &Path,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Exported, LoadError> {
    let invalid = |why: String| LoadError::invalid(output, why);
    let ending = output.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let writer = registry.writer(&ending.to_ascii_lowercase()).ok_or_else(|| {
        invalid(format!("no loaded plugin writes files that end in `.{ending}`; use .gguf"))
    })?;
    if output.exists() {
        return Err(invalid("the file exists; remove it or choose another name".to_owned()));
    }
    let checkpoint = open(registry, path)?;
    let built = architecture(registry, path, checkpoint.info())?.build(checkpoint.info());
    let graph = built.map_err(|source| plugin(path, source))?;
    let mut weights = Weights::find(path, &checkpoint, &graph)?;
    if let Some(recipe) = &options.isq {
        let file = options.importance.as_deref();
        let importance = file.map(|file| Importance::read(registry, file)).transpose()?;
        let to = (&graph, &mut weights);
        quantize(registry, (path, &checkpoint), to, recipe, importance.as_ref())?;
    }
    widen_vectors(registry, path, &graph, &mut weights)?;
    let tensor = |dtype: &str| ExportTensor { dtype: dtype.to_owned() };
    let tensors = weights.places().iter().map(|place| tensor(&place.dtype)).collect();
    let mut export = Export::new(checkpoint.info().clone(), graph, tensors);
    export.tokenizer = text_asset(path, &checkpoint, "tokenizer.json")?;
    export.chat_template = text_asset(path, &checkpoint, "chat_template")?;
    let total = weights.places().iter().map(|place| place.rows.len() as u64).sum();
    let (reader, done) = (WeightReader::new(&weights, &checkpoint), AtomicU64::new(0));
    let rows = |weight, rows: std::ops::Range<usize>, dst: &mut [u8]| {
        let count = rows.len() as u64;
        reader.read(weight, rows, dst)?;
        progress(done.fetch_add(count, Ordering::Relaxed) + count, total);
        Ok(())
    };
    writer.write(output, &export, &rows).map_err(|source| plugin(output, source))?;
    let mut dtypes = BTreeMap::new();
    for tensor in &export.tensors {
        *dtypes.entry(tensor.dtype.clone()).or_insert(0) += 1;
    }
    let bytes = std::fs::metadata(output).map_err(|e| invalid(e.to_string()))?.len();
    Ok(Exported { dtypes, bytes })
}

fn text_asset(
    path: &Path,
    checkpoint: &OpenCheckpoint,
    name: &str,
) -> Result<Option<String>, LoadError> {
    let bytes = checkpoint.asset(name).map_err(|source| plugin(path, source))?;
    let text = |bytes| String::from_utf8(bytes).map_err(|_| format!("{name} is not UTF-8"));
    bytes.map(text).transpose().map_err(|why| LoadError::invalid(path, why))
}
