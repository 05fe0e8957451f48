//! Thunks of `compute/1`.
//!
//! The graph is parsed and validated here and the weights are matched to it, so a compute plugin
//! starts from values it can trust.

use super::{fence, required};
use crate::session::weight_bytes;
use crate::{
    Compute, ComputeSession, DtypeLookup, Error, Progress, RowSource, SessionLimits,
    SessionOptions, StepBatch, WeightData,
};
use graph::Graph;
use plugin_abi::{
    ComputeSessionV1, ComputeV1, FacetHeader, SessionOptionsV1, Sink, Span32, Status, StepBatchV1,
    WeightV1,
};
use std::panic::catch_unwind;

/// The facet of compute device `T`.
pub(crate) const fn compute<T: Compute>() -> &'static ComputeV1 {
    const {
        &ComputeV1 {
            header: FacetHeader::of::<ComputeV1>(),
            estimate: estimate::<T>,
            create: create::<T>,
            step: step::<T>,
            copy_blocks: copy_blocks::<T>,
            destroy: destroy::<T>,
        }
    }
}

/// Reads the options of the wire and hands them to `body` as the trait knows them.
fn with_options<R>(
    options: *const SessionOptionsV1,
    body: impl FnOnce(SessionOptions<'_>) -> Result<R, Error>,
) -> Result<R, Error> {
    // SAFETY: the host passes one options struct, alive during the call.
    let wire = unsafe { options.as_ref() }.ok_or_else(|| Error::failed("options are null"))?;
    let graph = Graph::from_json(required(wire.graph, "graph")?)?;
    let weights = weights(wire)?;
    if weights.len() != graph.weights.len() {
        return Err(Error::failed(format!(
            "{} weights expected, {} found",
            graph.weights.len(),
            weights.len()
        )));
    }
    let read = RowSource::of_wire(wire.rows);
    let find = |name: &str| DtypeLookup::from_wire(wire.dtypes, name);
    let report = Progress::to_wire_call(wire.progress);
    body(SessionOptions {
        graph,
        weights,
        rows: RowSource::new(&read),
        dtypes: DtypeLookup::new(&find),
        progress: Progress::new(&report),
        limits: SessionLimits {
            block_size: wire.block_size as usize,
            block_count: wire.block_count as usize,
            batch_tokens_max: wire.batch_tokens_max as usize,
            sequences_max: wire.sequences_max as usize,
        },
        kv_dtype: required(wire.kv_dtype, "kv_dtype")?.to_owned(),
        threads: wire.threads as usize,
    })
}

fn weights(wire: &SessionOptionsV1) -> Result<Vec<WeightData>, Error> {
    if wire.weight_count == 0 {
        return Ok(Vec::new());
    }
    if wire.weights.is_null() {
        return Err(Error::failed("weights are null"));
    }
    // SAFETY: not null, and the host vouches for `weight_count` entries.
    let entries: &[WeightV1] =
        unsafe { std::slice::from_raw_parts(wire.weights, wire.weight_count) };
    let weight = |entry: &WeightV1| {
        let bytes = weight_bytes(entry.data).ok_or_else(|| Error::failed("weight is null"))?;
        Ok(WeightData::new(bytes, dtype_name(required(entry.dtype, "dtype")?)))
    };
    entries.iter().map(weight).collect()
}

/// Dtype names are few and live as long as the process; each is kept once.
fn dtype_name(name: &str) -> &'static str {
    use std::collections::BTreeSet;
    use std::sync::Mutex;
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(known) = names.get(name) {
        return known;
    }
    let kept: &'static str = name.to_owned().leak();
    names.insert(kept);
    kept
}

pub(super) fn session<'a, T: Compute>(
    handle: ComputeSessionV1,
) -> Result<&'a mut T::Session, Error> {
    // SAFETY: the host passes only handles that `create` of the same facet made, that are alive,
    // and from one thread at a time.
    unsafe { handle.cast::<T::Session>().as_mut() }
        .ok_or_else(|| Error::failed("session handle is null"))
}

fn span<'a>(span: Span32, name: &str) -> Result<&'a [u32], Error> {
    // SAFETY: the host vouches for its spans during the call.
    unsafe { crate::wire::span(span) }.ok_or_else(|| Error::failed(format!("{name} is null")))
}

extern "C" fn estimate<T: Compute>(
    options: *const SessionOptionsV1,
    json: Sink,
    error: Sink,
) -> Status {
    fence("estimate", error, || {
        let estimate = with_options(options, |options| T::estimate(&options))?;
        let text = serde_json::to_vec(&estimate).map_err(|e| Error::failed(e.to_string()))?;
        crate::wire::write(json, &text);
        Ok(())
    })
}

extern "C" fn create<T: Compute>(
    options: *const SessionOptionsV1,
    out: *mut ComputeSessionV1,
    error: Sink,
) -> Status {
    fence("create", error, || {
        let session = Box::new(with_options(options, T::create)?);
        // SAFETY: the host passes a place for one handle.
        unsafe { out.write(Box::into_raw(session).cast()) };
        Ok(())
    })
}

extern "C" fn step<T: Compute>(
    handle: ComputeSessionV1,
    batch: *const StepBatchV1,
    logits: *mut f32,
    logits_len: usize,
    error: Sink,
) -> Status {
    fence("step", error, || {
        let session = session::<T>(handle)?;
        // SAFETY: the host passes one batch, alive during the call.
        let wire = unsafe { batch.as_ref() }.ok_or_else(|| Error::failed("batch is null"))?;
        let batch = StepBatch {
            token_ids: span(wire.token_ids, "token_ids")?,
            positions: span(wire.positions, "positions")?,
            slots: span(wire.slots, "slots")?,
            sequence_starts: span(wire.sequence_starts, "sequence_starts")?,
            sequence_lengths: span(wire.sequence_lengths, "sequence_lengths")?,
            context_lengths: span(wire.context_lengths, "context_lengths")?,
            block_table_starts: span(wire.block_table_starts, "block_table_starts")?,
            block_tables: span(wire.block_tables, "block_tables")?,
            logit_rows: span(wire.logit_rows, "logit_rows")?,
        };
        if logits_len == 0 {
            return session.step(&batch, &mut []);
        }
        if logits.is_null() {
            return Err(Error::failed("logits are null"));
        }
        // SAFETY: not null, and the host vouches for `logits_len` floats.
        session.step(&batch, unsafe { std::slice::from_raw_parts_mut(logits, logits_len) })
    })
}

extern "C" fn copy_blocks<T: Compute>(
    handle: ComputeSessionV1,
    from: Span32,
    to: Span32,
    error: Sink,
) -> Status {
    fence("copy_blocks", error, || {
        session::<T>(handle)?.copy_blocks(span(from, "from")?, span(to, "to")?)
    })
}

extern "C" fn destroy<T: Compute>(handle: ComputeSessionV1) {
    if handle.is_null() {
        return;
    }
    // SAFETY: `create` of the same facet boxed it, and the host destroys a session once.
    let boxed = unsafe { Box::from_raw(handle.cast::<T::Session>()) };
    // A panic in a destructor ends here; there is nobody to tell.
    drop(catch_unwind(std::panic::AssertUnwindSafe(|| drop(boxed))));
}
