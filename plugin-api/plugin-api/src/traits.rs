//! The kinds of provider as traits: what a plugin author implements.
//!
//! Each trait is the safe face of one frozen facet of `plugin-abi`; the module `thunk` puts the
//! wire behind it. Providers are zero-sized or constant values: state lives in the checkpoints and
//! sessions they create.

use crate::session::{DtypeLookup, MemoryEstimate, Progress, StepBatch, WeightData};
use crate::{
    CheckpointInfo, CheckpointView, Error, ErrorKind, Export, QuantizePlan, QuantizeRequest,
    RowSource,
};
use graph::{ChatConventions, Graph};
use std::ops::Range;
use std::path::Path;

/// Describes the models of one family as graphs.
pub trait Architecture: Sync + 'static {
    /// Name of the provider, such as `qwen`.
    const NAME: &'static str;
    /// Architectures it answers for, as Hugging Face (`Qwen2ForCausalLM`) and GGUF (`qwen2`) call
    /// them. The first in lower case is the one that GGUF files of it are written with.
    const CLAIMS: &'static [&'static str];
    /// Of two architectures for one claim the higher score wins.
    const SCORE: u32 = 100;

    /// Describes the model in the checkpoint.
    ///
    /// # Errors
    /// A hyper-parameter is missing or contradicts another, or a tensor is missing.
    fn build(checkpoint: &CheckpointView) -> Result<Graph, Error>;

    /// How its models write tool calls and thoughts; which of these a checkpoint does is seen in
    /// its chat template.
    fn chat() -> ChatConventions {
        ChatConventions::default()
    }
}

/// Opens checkpoints of one file format.
pub trait Format: Sync + 'static {
    /// Name of the provider, such as `gguf`; also its only claim.
    const NAME: &'static str;
    /// Of two formats for one file the higher probe wins, then the higher score.
    const SCORE: u32 = 100;
    /// An open checkpoint.
    type Checkpoint: Checkpoint;

    /// How sure the format is that `path` is its own: 0 not at all, 100 certain.
    fn probe(path: &Path) -> u32;

    /// Opens and validates a checkpoint.
    ///
    /// # Errors
    /// The file is damaged or foreign; the message names the file, the field and why.
    fn open(path: &Path) -> Result<Self::Checkpoint, Error>;
}

/// An open checkpoint; its byte ranges live as long as it does.
pub trait Checkpoint: Send + Sync + Sized + 'static {
    /// The description the host and the architectures work from.
    fn info(&self) -> &CheckpointInfo;

    /// Bytes of tensor number `index` of the description, row-major, in its dtype.
    ///
    /// # Errors
    /// The index is out of range, or the bytes cannot be read; [`ErrorKind::NotFound`] when they do
    /// not lie in the file like that and [`Checkpoint::read_rows`] makes them.
    fn tensor(&self, index: usize) -> Result<&[u8], Error>;

    /// Writes the bytes of some rows of a tensor to `dst`, which is exactly as long; a row is what
    /// the last dimension counts.
    ///
    /// # Errors
    /// The index or the rows are out of range, or the bytes cannot be read.
    fn read_rows(&self, index: usize, rows: Range<usize>, dst: &mut [u8]) -> Result<(), Error> {
        copy_rows(self.info(), index, self.tensor(index)?, rows, dst)
    }

    /// `tokenizer.json` (Hugging Face dialect), `chat_template` (Jinja), or nothing.
    ///
    /// # Errors
    /// The asset is there but damaged.
    fn asset(&self, name: &str) -> Result<Option<Vec<u8>>, Error>;

    /// The bytes have been read for now: a mapped file's pages may leave memory. They stay valid
    /// and come back when somebody reads them.
    fn release_pages(&self) {}
}

/// The rows of a tensor whose bytes are all there.
fn copy_rows(
    info: &CheckpointInfo,
    index: usize,
    bytes: &[u8],
    rows: Range<usize>,
    dst: &mut [u8],
) -> Result<(), Error> {
    let tensor = info.tensors.get(index);
    let found = tensor.and_then(|tensor| {
        let (_, outer) = tensor.shape.split_last()?;
        let row_bytes = bytes.len().checked_div(outer.iter().product())?;
        bytes.get(rows.start.checked_mul(row_bytes)?..rows.end.checked_mul(row_bytes)?)
    });
    match found {
        Some(found) if found.len() == dst.len() => {
            dst.copy_from_slice(found);
            Ok(())
        }
        _ => {
            let why = format!("tensor {index} has no rows {rows:?} of {} bytes", dst.len());
            Err(Error::new(ErrorKind::Invalid, why))
        }
    }
}

/// Chooses the dtype each tensor of a model is quantized to.
pub trait Quantizer: Sync + 'static {
    /// Name of the provider, such as `isq`.
    const NAME: &'static str;
    /// Recipes it knows by name; `rules` if it reads files of rules.
    const CLAIMS: &'static [&'static str];
    /// Of two quantizers for one recipe the higher score wins.
    const SCORE: u32 = 100;

    /// Chooses.
    ///
    /// # Errors
    /// The recipe or one of its rules is unknown or cannot be followed.
    fn plan(request: &QuantizeRequest) -> Result<QuantizePlan, Error>;
}

/// Writes checkpoints of one file format.
pub trait Writer: Sync + 'static {
    /// Name of the format; also its only claim.
    const NAME: &'static str;
    /// Of two writers of one format the higher score wins.
    const SCORE: u32 = 100;

    /// Writes `export` to a new file at `path`; `rows` gives the data of its tensors by their place
    /// in the list. A file that could not be written whole is removed.
    ///
    /// # Errors
    /// The format cannot hold the model, or the file cannot be written.
    fn write(path: &Path, export: &Export, rows: RowSource<'_>) -> Result<(), Error>;
}

/// One block dtype with its CPU kernels. Every output value must have the same bits whatever the
/// token count and row range of the tile.
pub trait Dtype: Sync + 'static {
    /// Name in lower case.
    const NAME: &'static str;
    /// Dtypes of equal input format share prepared inputs.
    const INPUT_FORMAT: &'static str;
    /// Values in a block.
    const BLOCK_LEN: usize;
    /// Bytes of a block.
    const BLOCK_BYTES: usize;
    /// Rows that `pack` interleaves.
    const ROW_GROUP: usize;
    /// Whether [`Dtype::quantize`] works.
    const QUANTIZES: bool = false;
    /// Whether [`Dtype::matmul`] rounds its inputs (to 8-bit integers, say), so that a compute
    /// plugin may dequantize matrices whose speed does not matter.
    const ROUNDS_INPUTS: bool = false;

    /// Whole blocks to floats.
    ///
    /// # Errors
    /// The bytes are no blocks of this dtype.
    fn dequantize(src: &[u8], dst: &mut [f32]) -> Result<(), Error>;

    /// Floats to whole blocks. `importance` has a weight for the squared error of each value.
    ///
    /// # Errors
    /// The dtype is read-only.
    fn quantize(_src: &[f32], _importance: Option<&[f32]>, _dst: &mut [u8]) -> Result<(), Error> {
        Err(Error::unsupported(format!("dtype {} cannot be written", Self::NAME)))
    }

    /// Bytes of a prepared input row of `k` values.
    fn input_bytes(k: usize) -> usize;

    /// Prepares one input row.
    ///
    /// # Errors
    /// The kernel cannot serve this row.
    fn prepare_input(x: &[f32], dst: &mut [u8]) -> Result<(), Error>;

    /// Bytes of a packed matrix.
    fn packed_bytes(rows: usize, k: usize) -> usize;

    /// Packs some rows (whole groups, or the last rows of a matrix).
    ///
    /// # Errors
    /// The kernel cannot serve this shape.
    fn pack(src: &[u8], rows: usize, k: usize, dst: &mut [u8]) -> Result<(), Error>;

    /// Multiplies a tile; the pointers are described at `plugin_abi::MatmulTileV1`.
    ///
    /// # Errors
    /// The kernel failed.
    ///
    /// # Safety
    /// The tile's buffers have the sizes this dtype's own functions gave for its shape, and no
    /// other thread writes the tile's part of the output.
    unsafe fn matmul(tile: &plugin_abi::MatmulTileV1) -> Result<(), Error>;
}

/// Runs graphs on one kind of device.
pub trait Compute: Sync + 'static {
    /// Name of the provider, such as `cpu`; also its only claim.
    const NAME: &'static str;
    /// Where the user names no device, the highest score wins.
    const SCORE: u32 = 100;
    /// A graph with its weights and KV storage.
    type Session: ComputeSession;

    /// Bytes a session would need, without allocating them.
    ///
    /// # Errors
    /// The graph or a dtype cannot be served.
    fn estimate(options: &SessionOptions<'_>) -> Result<MemoryEstimate, Error>;

    /// Builds a session.
    ///
    /// # Errors
    /// The graph or a dtype cannot be served, or memory is short.
    fn create(options: SessionOptions<'_>) -> Result<Self::Session, Error>;
}

/// A compute session; the host calls it from one thread at a time.
pub trait ComputeSession: Send + Sized + 'static {
    /// Runs one batch; `logits` is `[logit_rows, width of the graph's last node]`.
    ///
    /// # Errors
    /// The batch does not fit the session, or a kernel failed.
    fn step(&mut self, batch: &StepBatch<'_>, logits: &mut [f32]) -> Result<(), Error>;

    /// Copies whole KV blocks, one after another: a block may be read after it was written.
    ///
    /// # Errors
    /// A block index is out of range.
    fn copy_blocks(&mut self, from: &[u32], to: &[u32]) -> Result<(), Error>;
}

/// What a session is made from.
#[derive(Debug)]
#[non_exhaustive]
pub struct SessionOptions<'a> {
    /// The validated graph.
    pub graph: Graph,
    /// Data and dtype of each weight of the graph; valid until the session is dropped.
    pub weights: Vec<WeightData>,
    /// Reads the weights whose data is empty.
    pub rows: RowSource<'a>,
    /// Finds dtypes of quantization plugins.
    pub dtypes: DtypeLookup<'a>,
    /// Told how far loading is: bytes done, bytes in all.
    pub progress: Progress<'a>,
    /// Sizes of the KV storage and of the largest step.
    pub limits: SessionLimits,
    /// Element type of the KV cache: `f32`, `f16`, `bf16` or `q8_0`.
    pub kv_dtype: String,
    /// Threads to compute with; 0 lets the plugin choose.
    pub threads: usize,
}

impl<'a> SessionOptions<'a> {
    /// Options of a session with an f32 KV cache, as many threads as the plugin likes, and nobody
    /// who is told of progress; `weights` are those of the graph, in its order.
    #[must_use]
    pub fn new(
        graph: Graph,
        weights: Vec<WeightData>,
        dtypes: DtypeLookup<'a>,
        limits: SessionLimits,
    ) -> Self {
        let (kv_dtype, threads) = ("f32".to_owned(), 0);
        Self {
            graph,
            weights,
            rows: RowSource::none(),
            dtypes,
            progress: Progress::new(&|_, _| {}),
            limits,
            kv_dtype,
            threads,
        }
    }
}

/// Sizes a session allocates for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "built by hosts and testkits field by field")]
pub struct SessionLimits {
    /// Token places in a KV block.
    pub block_size: usize,
    /// KV blocks for every cache.
    pub block_count: usize,
    /// Most tokens in a step.
    pub batch_tokens_max: usize,
    /// Most sequences in a step.
    pub sequences_max: usize,
}
