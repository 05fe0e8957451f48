//! What a token costs beside the model: steps of a compute plugin that computes nothing.
//!
//! ```text
//! cargo build --release -p fixture-null -p plugin-gguf
//! cargo run --release -p host-model --example boundary
//! ```
//!
//! It prints nanoseconds a step and a token, for sequences that decode together: of the call over
//! the boundary, and of what the engine's step takes beyond it, which is scheduling and greedy
//! choice. With a vocabulary of a few tokens nearly no logits are written, so that the figures are
//! those of the boundary and of scheduling alone; with a real one the plugin fills each row, and
//! the engine looks at each logit. Medians, on one thread. It checks nothing: the tests do.

use graph::Graph;
use host_engine::{
    Batch, Engine, EngineLimits, SamplingParams, SequenceId, SequenceRequest, StepModel as _,
};
use host_loader::{
    ComputeProvider, Loader, LoaderOptions, OpenCheckpoint, Registry, SessionRequest, probe_main,
};
use host_model::ModelSession;
use plugin_api::SessionLimits;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A few tokens, and the vocabulary of Qwen.
const VOCABULARIES: [usize; 2] = [8, 151_936];
const SEQUENCES: [usize; 3] = [1, 8, 64];
/// Figures a median is taken of.
const TURNS: usize = 31;
/// Most calls between two readings of the clock, and logits after which it is read.
const CALLS_MAX: usize = 100;
const LOGITS: usize = 1 << 20;

const BLOCK_SIZE: u32 = 16;
/// Blocks of a sequence; the steps of all turns fit in.
const BLOCKS: u32 = 512;

/// What sessions are made from.
struct Host {
    registry: Arc<Registry>,
    compute: Arc<ComputeProvider>,
    /// Sessions keep one open; this one's weights are not read.
    checkpoint: Arc<OpenCheckpoint>,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    // As every host, it is its own probing program.
    if let [command, file] = arguments.as_slice()
        && command == "probe-plugin"
    {
        return Ok(probe_main(Path::new(file)));
    }
    let host = Host::new()?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "vocabulary sequences | boundary: ns a step, a token | engine beyond it")?;
    for vocab_size in VOCABULARIES {
        for sequences in SEQUENCES {
            let calls = (LOGITS / (vocab_size * sequences)).clamp(1, CALLS_MAX);
            let boundary = boundary(&host, vocab_size, sequences, calls)?;
            let engine = engine(&host, vocab_size, sequences, calls)? - boundary;
            let [a, b] = [boundary, engine].map(|step| (step, step / sequences as f64));
            let (a_step, a_token, b_step, b_token) = (a.0, a.1, b.0, b.1);
            writeln!(
                stdout,
                "{vocab_size:10} {sequences:9} | {a_step:15.0} {a_token:12.1} \
                 | {b_step:10.0} {b_token:9.1}"
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Nanoseconds of a call over the boundary.
fn boundary(
    host: &Host,
    vocab_size: usize,
    sequences: usize,
    calls: usize,
) -> Result<f64, Box<dyn Error>> {
    let mut session = host.session(vocab_size, sequences)?;
    let (batch, mut logits) = (decode_batch(sequences as u32), vec![0.0; sequences * vocab_size]);
    median(calls, || Ok(session.step(&batch, &mut logits)?))
}

/// Nanoseconds of a step of the engine in which all sequences decode.
fn engine(
    host: &Host,
    vocab_size: usize,
    sequences: usize,
    calls: usize,
) -> Result<f64, Box<dyn Error>> {
    let limits = EngineLimits {
        block_size: BLOCK_SIZE,
        block_count: BLOCKS * sequences as u32,
        sequences_max: sequences,
        batch_tokens_max: 2 * sequences,
        prefill_tokens_beside_decode_max: 2 * sequences,
        queue_max: 0,
        context_length: (BLOCK_SIZE * BLOCKS) as usize,
        vocab_size,
        long_above: None,
        draft_tokens_max: 0,
        prefix_cache: true,
    };
    let mut engine = Engine::new(limits, host.session(vocab_size, sequences)?)?;
    for index in 0..sequences {
        engine.submit(request(index))?;
    }
    let mut events = Vec::new();
    engine.step(&mut events);
    median(calls, || {
        events.clear();
        match engine.step(&mut events).decode_tokens {
            tokens if tokens == sequences => Ok(()),
            tokens => Err(format!("{tokens} of {sequences} sequences decode").into()),
        }
    })
}

/// The median time of a call, in nanoseconds.
fn median(
    calls: usize,
    mut call: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<f64, Box<dyn Error>> {
    let mut times = Vec::with_capacity(TURNS);
    for _ in 0..TURNS {
        let begin = Instant::now();
        for _ in 0..calls {
            call()?;
        }
        times.push(begin.elapsed().as_secs_f64() * 1e9 / calls as f64);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[TURNS / 2])
}

impl Host {
    /// Loads the plugins that were built beside this program.
    fn new() -> Result<Self, Box<dyn Error>> {
        let program = std::env::current_exe()?;
        let folder = program.ancestors().nth(2).ok_or("an example lies two folders deep")?;
        let loader = Loader::new(LoaderOptions {
            plugin_dirs: vec![folder.to_owned()],
            cache_dir: None,
            probe_program: program.clone(),
            probe_timeout: Duration::from_secs(10),
            file_bytes_max: 1 << 30,
            pins: BTreeMap::new(),
        });
        let registry = loader.scan();
        let build = "missing: run `cargo build --release -p fixture-null -p plugin-gguf` first";
        let compute = registry.compute(Some("null")).ok_or(build)?;
        let path = "../../tests/data/tinyllama-stories260K/stories260K.gguf";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let format = registry.formats().iter().find(|format| format.probe(&path) > 0);
        let checkpoint = Arc::new(format.ok_or(build)?.open(&path)?);
        Ok(Self { registry, compute, checkpoint })
    }

    fn session(&self, vocab_size: usize, sequences: usize) -> Result<ModelSession, Box<dyn Error>> {
        let request = SessionRequest {
            graph: &smallest_graph(vocab_size)?,
            weights: vec![(&[], "f32")],
            rows: &|_, _, _| Ok(()),
            dtypes: &self.registry,
            progress: &|_, _| {},
            limits: SessionLimits {
                block_size: BLOCK_SIZE as usize,
                block_count: BLOCKS as usize * sequences,
                batch_tokens_max: 2 * sequences,
                sequences_max: sequences,
            },
            kv_dtype: "f32",
            threads: 1,
        };
        let session = self.compute.create(&request, Arc::clone(&self.checkpoint))?;
        Ok(ModelSession::new(session, None))
    }
}

fn smallest_graph(vocab_size: usize) -> Result<Graph, Box<dyn Error>> {
    let graph = serde_json::json!({
        "opset": graph::OPSET.to_string(),
        "architecture": "smallest",
        "vocab_size": vocab_size,
        "context_length": BLOCK_SIZE * BLOCKS,
        "weights": [{ "role": "embed", "tensor": "embed", "shape": [vocab_size, 2] }],
        "caches": [],
        "rope_tables": [],
        "nodes": [
            { "op": "embed", "weight": 0 },
            { "op": "select_rows", "inputs": [0] },
            { "op": "linear", "weight": 0, "inputs": [1] },
        ],
    });
    Ok(Graph::from_json(&graph.to_string())?)
}

/// The last position of each sequence.
fn decode_batch(sequences: u32) -> Batch {
    let each = |value: u32| vec![value; sequences as usize];
    let length = BLOCK_SIZE * BLOCKS;
    Batch {
        token_ids: each(1),
        positions: each(length - 1),
        slots: (1..=sequences).map(|end| end * length - 1).collect(),
        sequence_starts: (0..=sequences).collect(),
        sequence_lengths: each(length),
        context_lengths: each(length),
        block_table_starts: (0..=sequences).map(|sequence| sequence * BLOCKS).collect(),
        block_tables: (0..sequences * BLOCKS).collect(),
        logit_rows: (0..sequences).collect(),
        ..Batch::default()
    }
}

/// A prompt of two tokens, another for each sequence.
fn request(index: usize) -> SequenceRequest {
    let few = VOCABULARIES[0];
    SequenceRequest {
        id: SequenceId(index as u64),
        prompt: vec![(index / few) as u32, (index % few) as u32],
        tokens_max: usize::MAX,
        tokens_min: 0,
        sampling: SamplingParams::default(),
        stop_tokens: Vec::new(),
        ignore_eos: true,
        logprobs: None,
        prompt_logprobs: false,
        priority: 0,
        constraint: None,
    }
}
