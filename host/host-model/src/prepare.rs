//! Everything about a model that can be known before memory is taken for it.
//!
//! `host model inspect` stops here; `load` goes on from here. The order is the order in which a
//! mistake is cheapest to find.

use crate::importance::Importance;
use crate::memory::{MemoryPlan, plan_memory};
use crate::quantize::quantize;
use crate::weights::{WeightReader, Weights};
use crate::{LoadError, Tokenizer};
use graph::{Graph, Output};
use host_engine::EmbeddingShape;
use host_loader::{
    ArchitectureProvider, ComputeProvider, OpenCheckpoint, PluginError, Registry, SessionRequest,
};
use plugin_api::CheckpointInfo;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const CHAT_TEMPLATE_BYTES_MAX: usize = 1 << 20;

/// How to load a model. Zero or none means: let the host choose.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Id clients use; the file's name if none.
    pub id: Option<String>,
    /// Compute device.
    pub device: Option<String>,
    /// Threads to compute with.
    pub threads: usize,
    /// Element type of the KV cache: `auto`, `f32`, `f16`, `bf16` or `q8_0`.
    pub kv_dtype: String,
    /// Most positions of a sequence, which may be more than the model was trained on.
    pub context_length: Option<usize>,
    /// Recipe by which weights are quantized while they are loaded: a name that a quantizer plugin
    /// knows, or the path of a file of rules.
    pub isq: Option<String>,
    /// Importance matrix for quantizing, a file of llama.cpp's.
    pub importance: Option<PathBuf>,
    /// Bytes the KV cache may take.
    pub kv_bytes_max: u64,
    /// Token places in a KV block.
    pub block_size: usize,
    /// Most tokens in a step.
    pub batch_tokens_max: usize,
    /// Most prefill tokens in a step in which a sequence decodes.
    pub prefill_tokens_beside_decode_max: usize,
    /// Most sequences that run at once.
    pub sequences_max: usize,
    /// Most sequences that wait.
    pub queue_max: usize,
    /// Most tokens of a sequence that are drafted for one step; 0 drafts nothing.
    pub draft_tokens_max: usize,
    /// Whether requests that begin alike share keys and values.
    pub prefix_cache: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            id: None,
            device: None,
            threads: 0,
            kv_dtype: "auto".to_owned(),
            context_length: None,
            isq: None,
            importance: None,
            kv_bytes_max: 2 << 30,
            block_size: 32,
            batch_tokens_max: 512,
            prefill_tokens_beside_decode_max: 128,
            sequences_max: 64,
            queue_max: 128,
            draft_tokens_max: 0,
            prefix_cache: true,
        }
    }
}

/// An opened and checked checkpoint with its graph and memory plan.
#[derive(Debug)]
pub struct Prepared {
    pub(crate) path: PathBuf,
    pub(crate) checkpoint: Arc<OpenCheckpoint>,
    pub(crate) architecture: Arc<ArchitectureProvider>,
    pub(crate) compute: Arc<ComputeProvider>,
    pub(crate) graph: Graph,
    pub(crate) embedding: Option<EmbeddingShape>,
    pub(crate) weights: Weights,
    pub(crate) chat_template: Option<String>,
    pub(crate) memory: MemoryPlan,
    /// How long preparing took.
    pub(crate) elapsed: Duration,
}

impl Prepared {
    /// The checkpoint's description.
    #[must_use]
    pub fn info(&self) -> &CheckpointInfo {
        self.checkpoint.info()
    }

    /// Names of the plugins that would serve it: format, architecture, compute.
    #[must_use]
    pub fn plugins(&self) -> [&str; 3] {
        [self.checkpoint.plugin(), self.architecture.plugin(), self.compute.plugin()]
    }

    /// The simplified graph.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// What it will take.
    #[must_use]
    pub fn memory(&self) -> &MemoryPlan {
        &self.memory
    }

    /// Whether it turns text into vectors; it generates if not.
    #[must_use]
    pub fn embeds(&self) -> bool {
        self.embedding.is_some()
    }

    /// The chat template, if the checkpoint has one.
    #[must_use]
    pub fn chat_template(&self) -> Option<&str> {
        self.chat_template.as_deref()
    }

    /// Reads the tokenizer, which takes a second for a large vocabulary.
    ///
    /// # Errors
    /// There is none, it is damaged, or it is not one for this model.
    pub fn read_tokenizer(&self) -> Result<Tokenizer, LoadError> {
        let invalid = |why: String| LoadError::invalid(&self.path, why);
        let json = self
            .checkpoint
            .asset("tokenizer.json")
            .map_err(|source| plugin(&self.path, source))?
            .ok_or_else(|| invalid("the checkpoint has no tokenizer.json".to_owned()))?;
        Tokenizer::from_json(&json, self.graph.vocab_size).map_err(|e| invalid(e.to_string()))
    }
}

/// Opens and checks the checkpoint at `path`, all but its tokenizer.
///
/// # Errors
/// The first thing that is missing or wrong.
pub fn prepare(
    registry: &Arc<Registry>,
    path: &Path,
    options: &LoadOptions,
) -> Result<Prepared, LoadError> {
    let started = Instant::now();
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    std::fs::metadata(&path)
        .map_err(|e| LoadError::NotFound { path: path.clone(), reason: e.to_string() })?;
    let checkpoint = Arc::new(open(registry, &path)?);
    let architecture = architecture(registry, &path, checkpoint.info())?;
    let compute = compute(registry, options)?;
    let mut graph = graph::simplify(
        &architecture.build(checkpoint.info()).map_err(|source| plugin(&path, source))?,
    );
    fold_rope_divisors(&path, &checkpoint, &mut graph)?;
    graph.context_length = graph.context_length.max(asked_context(&path, &graph, options));
    let embedding = embedding_shape(&path, &graph)?;
    let mut weights = Weights::find(&path, &checkpoint, &graph)?;
    if let Some(recipe) = &options.isq {
        let importance = options.importance.as_deref();
        let importance = importance.map(|file| Importance::read(registry, file)).transpose()?;
        let (from, to) = ((path.as_path(), &*checkpoint), (&graph, &mut weights));
        quantize(registry, from, to, recipe, importance.as_ref())?;
    }
    let chat_template = read_chat_template(&path, &checkpoint)?;
    let mut prepared = Prepared {
        path,
        checkpoint,
        architecture,
        compute,
        graph,
        embedding,
        weights,
        chat_template,
        memory: MemoryPlan::default(),
        elapsed: Duration::ZERO,
    };
    prepared.memory = plan_memory(registry, &prepared, options)?;
    prepared.elapsed = started.elapsed();
    Ok(prepared)
}

/// The context length that was asked for, as far as the model reaches: rotary positions go on past
/// those of the training, learned ones end.
fn asked_context(path: &Path, graph: &Graph, options: &LoadOptions) -> usize {
    let asked = options.context_length.unwrap_or(0);
    match graph.learned_positions() {
        Some(learned) if learned < asked => {
            let path = path.display();
            tracing::warn!(%path, asked, learned, "there are no positions beyond those learned");
            learned
        }
        _ => asked,
    }
}

/// The shape of an embedding model; none of one that generates.
fn embedding_shape(path: &Path, graph: &Graph) -> Result<Option<EmbeddingShape>, LoadError> {
    let whole_sequences = graph.needs_whole_sequences();
    match graph.output {
        Output::Embedding => {
            let widths = graph.widths().map_err(|e| LoadError::invalid(path, e.to_string()))?;
            let width = widths.width.last().copied().unwrap_or(0);
            Ok(Some(EmbeddingShape { width, whole_sequences }))
        }
        Output::Logits if whole_sequences => {
            let why = "the graph answers with logits and needs whole sequences, which no completion \
                       can give it; an embedding graph says so in `output`";
            Err(LoadError::invalid(path, why))
        }
        Output::Logits => Ok(None),
    }
}

pub(crate) fn plugin(path: &Path, source: PluginError) -> LoadError {
    LoadError::Plugin { path: path.to_owned(), source }
}

pub(crate) fn open(registry: &Registry, path: &Path) -> Result<OpenCheckpoint, LoadError> {
    let formats = registry.formats();
    // The first of equals is the one with the highest score, and `max_by_key` takes the last.
    let best = formats
        .iter()
        .rev()
        .map(|format| (format.probe(path), format))
        .filter(|(score, _)| *score > 0)
        .max_by_key(|(score, _)| *score);
    let Some((_, format)) = best else {
        let names: Vec<_> = formats.iter().map(|format| format.name()).collect();
        return Err(LoadError::UnknownFormat { path: path.to_owned(), looked_at: list(&names) });
    };
    format.open(path).map_err(|source| plugin(path, source))
}

pub(crate) fn architecture(
    registry: &Registry,
    path: &Path,
    info: &CheckpointInfo,
) -> Result<Arc<ArchitectureProvider>, LoadError> {
    registry.architecture(&info.architecture).ok_or_else(|| {
        let claims: Vec<_> = registry
            .architecture_claims()
            .into_iter()
            .map(|(claim, plugin)| format!("{claim} ({plugin})"))
            .collect();
        LoadError::MissingArchitecture {
            path: path.to_owned(),
            architecture: info.architecture.clone(),
            looked_at: list(&claims),
        }
    })
}

fn compute(registry: &Registry, options: &LoadOptions) -> Result<Arc<ComputeProvider>, LoadError> {
    let device = options.device.as_deref();
    registry.compute(device).ok_or_else(|| LoadError::MissingCompute {
        device: device.unwrap_or("any").to_owned(),
        looked_at: "the loaded plugins, none of which offers it".to_owned(),
    })
}

/// Reads the vectors that divide rope frequencies; they are few and small, and plain floats.
fn fold_rope_divisors(
    path: &Path,
    checkpoint: &OpenCheckpoint,
    graph: &mut Graph,
) -> Result<(), LoadError> {
    let read = |weight: &graph::Weight| -> Result<Vec<f32>, DivisorError> {
        let tensors = &checkpoint.info().tensors;
        let index = tensors.iter().position(|tensor| tensor.name == weight.tensor);
        match index.filter(|&index| tensors[index].dtype == "f32") {
            None => Err(DivisorError(format!("tensor {}: dtype f32 expected", weight.tensor))),
            Some(index) => {
                let bytes = checkpoint.tensor(index).map_err(|e| DivisorError(e.to_string()))?;
                let (values, _) = bytes.unwrap_or_default().as_chunks::<4>();
                Ok(values.iter().map(|value| f32::from_le_bytes(*value)).collect())
            }
        }
    };
    graph::fold_rope_divisors(graph, read).map_err(|e| LoadError::invalid(path, e.0))
}

struct DivisorError(String);

impl From<graph::GraphError> for DivisorError {
    fn from(error: graph::GraphError) -> Self {
        Self(error.to_string())
    }
}

fn read_chat_template(
    path: &Path,
    checkpoint: &OpenCheckpoint,
) -> Result<Option<String>, LoadError> {
    let Some(bytes) = checkpoint.asset("chat_template").map_err(|source| plugin(path, source))?
    else {
        return Ok(None);
    };
    if bytes.len() > CHAT_TEMPLATE_BYTES_MAX {
        return Err(LoadError::invalid(
            path,
            format!("chat template of {} bytes, at most {CHAT_TEMPLATE_BYTES_MAX}", bytes.len()),
        ));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| LoadError::invalid(path, "the chat template is not UTF-8"))?;
    Ok(Some(text))
}

/// Calls `body` with what the compute plugin is asked for a session of these sizes.
pub(crate) fn with_session_request<T>(
    registry: &Registry,
    prepared: &Prepared,
    memory: &MemoryPlan,
    progress: &dyn Fn(u64, u64),
    body: impl FnOnce(&SessionRequest<'_>) -> Result<T, PluginError>,
) -> Result<T, LoadError> {
    let reader = WeightReader::new(&prepared.weights, &prepared.checkpoint);
    let rows = |weight, rows, dst: &mut [u8]| reader.read(weight, rows, dst);
    let request = SessionRequest {
        graph: &prepared.graph,
        weights: prepared.weights.stored(&prepared.path, &prepared.checkpoint)?,
        rows: &rows,
        dtypes: registry,
        progress,
        limits: memory.limits,
        kv_dtype: &memory.kv_dtype,
        threads: memory.threads,
    };
    body(&request).map_err(|source| plugin(&prepared.path, source))
}

pub(crate) fn list<T: AsRef<str>>(names: &[T]) -> String {
    if names.is_empty() {
        return "nothing, no plugin of that kind is loaded".to_owned();
    }
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}
