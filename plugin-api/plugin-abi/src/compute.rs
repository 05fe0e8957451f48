//! Facet `compute/1`: runs graphs. `step` is the only hot call over the boundary.
//!
//! The host owns block tables and slots (integers), the compute plugin owns the KV storage. The
//! structs hold no pointers to pointers, so the same messages can travel to a worker process.

use crate::{Bytes, DtypeV1, Facet, FacetHeader, RowSourceV1, Sink, Span32, Status, Text};
use abi_stable::StableAbi;
use core::ffi::c_void;

/// A graph with its weights and KV storage, ready to step; only its plugin knows what is behind
/// it. The host calls it from one thread at a time.
pub type ComputeSessionV1 = *mut c_void;

/// Runs graphs on one kind of device.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct ComputeV1 {
    /// Size and fingerprint of this struct.
    pub header: FacetHeader,
    /// Bytes a session with these options would need beside the weights' mapped files, as JSON
    /// `{"weights":n,"kv":n,"scratch":n}` written to `json`; allocates nothing of that size.
    pub estimate:
        extern "C" fn(options: *const SessionOptionsV1, json: Sink, error: Sink) -> Status,
    /// Builds a session and stores it in `out`.
    pub create: extern "C" fn(
        options: *const SessionOptionsV1,
        out: *mut ComputeSessionV1,
        error: Sink,
    ) -> Status,
    /// Runs one batch and writes `[logit_rows, width]` floats to `logits` (`logits_len` floats),
    /// where the width is that of the graph's last node: the vocabulary, or an embedding.
    pub step: extern "C" fn(
        session: ComputeSessionV1,
        batch: *const StepBatchV1,
        logits: *mut f32,
        logits_len: usize,
        error: Sink,
    ) -> Status,
    /// Copies whole KV blocks `from[i]` to `to[i]`, in every cache.
    pub copy_blocks:
        extern "C" fn(session: ComputeSessionV1, from: Span32, to: Span32, error: Sink) -> Status,
    /// Ends the session and frees its memory.
    pub destroy: extern "C" fn(session: ComputeSessionV1),
}

// SAFETY: repr(C), header first.
unsafe impl Facet for ComputeV1 {
    const NAME: &'static str = "compute/1";
    const SIGNATURE: &'static str = "compute/1 estimate(options,sink,sink)status \
        create(options,out handle,sink)status step(handle,batch,f32 out,usize,sink)status \
        copy_blocks(handle,u32s,u32s,sink)status destroy(handle); \
        options graph weights weight_count rows dtypes progress block_size block_count batch_tokens_max \
        sequences_max kv_dtype threads; weight data dtype; rows context \
        read(context,usize,usize,usize,bytes out,usize,sink)status; batch token_ids positions \
        slots sequence_starts sequence_lengths context_lengths block_table_starts block_tables logit_rows";
}

/// What a session is made from. Everything is borrowed for the call, but the weights' bytes stay
/// valid until the session is destroyed.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct SessionOptionsV1 {
    /// The graph, JSON (`graph::Graph`).
    pub graph: Text,
    /// One entry for each weight of the graph, in its order.
    pub weights: *const WeightV1,
    /// Number of weights.
    pub weight_count: usize,
    /// Reads the weights whose data is not given, by their place in the list; used during the call
    /// only.
    pub rows: RowSourceV1,
    /// Finds the kernels of a dtype the compute plugin does not know.
    pub dtypes: DtypeLookupV1,
    /// Told how far loading is.
    pub progress: ProgressV1,
    /// Token places in a KV block.
    pub block_size: u32,
    /// KV blocks to allocate for every cache.
    pub block_count: u32,
    /// Most tokens in a step.
    pub batch_tokens_max: u32,
    /// Most sequences in a step.
    pub sequences_max: u32,
    /// Element type of the KV cache: `f32` or `f16`.
    pub kv_dtype: Text,
    /// Threads to compute with; 0 lets the plugin choose.
    pub threads: u32,
    /// Zero.
    pub reserved: u32,
}

/// Bytes of one tensor of the checkpoint that a weight is read from.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct WeightV1 {
    /// Row-major data in `dtype`; of length 0 when it must be read from the row source.
    pub data: Bytes,
    /// Dtype name in lower case.
    pub dtype: Text,
}

/// How a compute plugin finds a dtype of a quantization plugin.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct DtypeLookupV1 {
    /// Handed back to `find` unchanged.
    pub context: *const c_void,
    /// The dtype of that name, or null; lives as long as the process.
    pub find: extern "C" fn(context: *const c_void, name: Text) -> *const DtypeV1,
}

/// How a compute plugin reports progress while it packs weights.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct ProgressV1 {
    /// Handed back to `report` unchanged.
    pub context: *mut c_void,
    /// Bytes of weights done so far, and in all; called from the thread that called `create`.
    pub report: extern "C" fn(context: *mut c_void, done_bytes: u64, total_bytes: u64),
}

/// One batch: the tokens of all its sequences laid end to end.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct StepBatchV1 {
    /// Token of each row.
    pub token_ids: Span32,
    /// Position of each row inside its sequence.
    pub positions: Span32,
    /// Slot (block * block size + place) where each row's K and V go.
    pub slots: Span32,
    /// First row of each sequence, and the row count at the end (CSR).
    pub sequence_starts: Span32,
    /// Tokens each sequence has by now, those of later steps included (long ones may rotate
    /// otherwise).
    pub sequence_lengths: Span32,
    /// Positions each sequence holds after this step.
    pub context_lengths: Span32,
    /// First entry of each sequence in `block_tables`, and the total at the end (CSR).
    pub block_table_starts: Span32,
    /// The sequences' block indices in order of position.
    pub block_tables: Span32,
    /// Rows whose logits are wanted, ascending.
    pub logit_rows: Span32,
}
