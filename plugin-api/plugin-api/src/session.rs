//! Safe views of what a compute plugin receives over the wire.
//!
//! They are thin wrappers around the pointers of `plugin-abi`, made by the thunks after they have
//! checked null and length; a compute plugin needs no pointer of its own until it calls a kernel.

use crate::Error;
use plugin_abi::{Bytes, DtypeLookupV1, DtypeV1, ProgressV1, Sink, Span32, Status, Text};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Bytes of one weight. They stay valid until the session is dropped: the host keeps the
/// checkpoint open that long, which is why the lifetime reads `'static`.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct WeightData {
    /// Row-major data in `dtype`; empty when it must be read from the row source.
    pub bytes: &'static [u8],
    /// Dtype name in lower case.
    pub dtype: &'static str,
}

impl WeightData {
    /// Describes a weight.
    #[must_use]
    pub fn new(bytes: &'static [u8], dtype: &'static str) -> Self {
        Self { bytes, dtype }
    }
}

/// What a session will take, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "built by compute plugins field by field")]
pub struct MemoryEstimate {
    /// Weights in the plugin's own layout.
    pub weights: u64,
    /// KV storage.
    pub kv: u64,
    /// Buffers of a step.
    pub scratch: u64,
}

/// One batch as slices; see `plugin_abi::StepBatchV1` for the meaning of each.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "built by hosts and testkits field by field")]
pub struct StepBatch<'a> {
    /// Token of each row.
    pub token_ids: &'a [u32],
    /// Position of each row inside its sequence.
    pub positions: &'a [u32],
    /// Slot of each row.
    pub slots: &'a [u32],
    /// First row of each sequence, and the row count.
    pub sequence_starts: &'a [u32],
    /// Tokens each sequence has by now, those of later steps included.
    pub sequence_lengths: &'a [u32],
    /// Positions each sequence holds after this step.
    pub context_lengths: &'a [u32],
    /// First entry of each sequence in `block_tables`, and the total.
    pub block_table_starts: &'a [u32],
    /// The sequences' block indices.
    pub block_tables: &'a [u32],
    /// Rows whose logits are wanted, ascending.
    pub logit_rows: &'a [u32],
}

impl StepBatch<'_> {
    /// The same batch for the wire.
    #[must_use]
    pub fn to_wire(&self) -> plugin_abi::StepBatchV1 {
        plugin_abi::StepBatchV1 {
            token_ids: Span32::new(self.token_ids),
            positions: Span32::new(self.positions),
            slots: Span32::new(self.slots),
            sequence_starts: Span32::new(self.sequence_starts),
            sequence_lengths: Span32::new(self.sequence_lengths),
            context_lengths: Span32::new(self.context_lengths),
            block_table_starts: Span32::new(self.block_table_starts),
            block_tables: Span32::new(self.block_tables),
            logit_rows: Span32::new(self.logit_rows),
        }
    }
}

/// Finds the kernels of dtypes that other plugins provide.
#[derive(Clone, Copy)]
pub struct DtypeLookup<'a> {
    find: &'a dyn Fn(&str) -> Option<DtypeRef>,
}

impl fmt::Debug for DtypeLookup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DtypeLookup")
    }
}

impl<'a> DtypeLookup<'a> {
    /// Wraps a function from dtype name to kernels.
    #[must_use]
    pub fn new(find: &'a dyn Fn(&str) -> Option<DtypeRef>) -> Self {
        Self { find }
    }

    /// The dtype of that name, if a plugin provides it.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<DtypeRef> {
        (self.find)(name)
    }

    pub(crate) fn from_wire(wire: DtypeLookupV1, name: &str) -> Option<DtypeRef> {
        let found = (wire.find)(wire.context, Text::new(name));
        // SAFETY: the wire says null or a dtype that lives as long as the process.
        unsafe { found.as_ref() }.map(|dtype| DtypeRef { dtype })
    }
}

/// The kernels of one dtype, in whichever plugin they live.
#[derive(Debug, Clone, Copy)]
pub struct DtypeRef {
    dtype: &'static DtypeV1,
}

impl DtypeRef {
    /// Wraps a dtype of the wire.
    #[must_use]
    pub fn new(dtype: &'static DtypeV1) -> Self {
        Self { dtype }
    }

    /// The struct of the wire.
    #[must_use]
    pub fn wire(&self) -> &'static DtypeV1 {
        self.dtype
    }

    /// Name in lower case.
    #[must_use]
    pub fn name(&self) -> &'static str {
        // SAFETY: the wire says UTF-8 that lives as long as the process; the host checked it.
        unsafe { crate::wire::text(self.dtype.name) }.unwrap_or("?")
    }

    /// Dtypes of equal input format share prepared inputs.
    #[must_use]
    pub fn input_format(&self) -> &'static str {
        // SAFETY: as for `name`.
        unsafe { crate::wire::text(self.dtype.input_format) }.unwrap_or("?")
    }

    /// Values in a block.
    #[must_use]
    pub fn block_len(&self) -> usize {
        self.dtype.block_len as usize
    }

    /// Bytes of a block.
    #[must_use]
    pub fn block_bytes(&self) -> usize {
        self.dtype.block_bytes as usize
    }

    /// Rows interleaved by `pack`.
    #[must_use]
    pub fn row_group(&self) -> usize {
        self.dtype.row_group as usize
    }

    /// Whether `matmul` rounds its inputs; dequantized weights would give more exact products.
    #[must_use]
    pub fn rounds_inputs(&self) -> bool {
        self.dtype.flags & 2 != 0
    }

    /// Bytes of a prepared input row of `k` values.
    #[must_use]
    pub fn input_bytes(&self, k: usize) -> usize {
        (self.dtype.input_bytes)(k)
    }

    /// Bytes of a packed matrix.
    #[must_use]
    pub fn packed_bytes(&self, rows: usize, k: usize) -> usize {
        (self.dtype.packed_bytes)(rows, k)
    }

    /// Whole blocks to floats; `dst` holds exactly as many values as `src` has blocks for.
    ///
    /// # Errors
    /// The lengths do not fit, or the kernel refused.
    pub fn dequantize(&self, src: &[u8], dst: &mut [f32]) -> Result<(), Error> {
        let count = src.len() / self.block_bytes();
        if !src.len().is_multiple_of(self.block_bytes()) || dst.len() != count * self.block_len() {
            return Err(Error::invalid(format!(
                "{} bytes of dtype {} cannot become {} values",
                src.len(),
                self.name(),
                dst.len()
            )));
        }
        check(|error| (self.dtype.dequantize)(src.as_ptr(), count, dst.as_mut_ptr(), error))
    }

    /// Floats to whole blocks; `importance` has a weight for the squared error of each value.
    ///
    /// # Errors
    /// The lengths do not fit, or the dtype is read-only.
    pub fn quantize(
        &self,
        src: &[f32],
        importance: Option<&[f32]>,
        dst: &mut [u8],
    ) -> Result<(), Error> {
        let count = src.len() / self.block_len();
        let fits = src.len() == count * self.block_len()
            && dst.len() == count * self.block_bytes()
            && importance.is_none_or(|importance| importance.len() == src.len());
        if !fits {
            return Err(Error::invalid(format!(
                "{} values cannot become {} bytes of dtype {}",
                src.len(),
                dst.len(),
                self.name()
            )));
        }
        let importance = importance.map_or(std::ptr::null(), <[f32]>::as_ptr);
        check(|error| {
            (self.dtype.quantize)(src.as_ptr(), importance, count, dst.as_mut_ptr(), error)
        })
    }

    /// Whether [`DtypeRef::quantize`] works.
    #[must_use]
    pub fn quantizes(&self) -> bool {
        self.dtype.flags & 1 != 0
    }

    /// Prepares one input row.
    ///
    /// # Errors
    /// `dst` is too short, or the kernel refused.
    pub fn prepare_input(&self, x: &[f32], dst: &mut [u8]) -> Result<(), Error> {
        if dst.len() < self.input_bytes(x.len()) {
            return Err(Error::failed("buffer for the prepared input is too short"));
        }
        check(|error| (self.dtype.prepare_input)(x.as_ptr(), x.len(), dst.as_mut_ptr(), error))
    }

    /// Packs `rows` rows of `k` values.
    ///
    /// # Errors
    /// The lengths do not fit, or the kernel refused.
    pub fn pack(&self, src: &[u8], rows: usize, k: usize, dst: &mut [u8]) -> Result<(), Error> {
        let row_bytes = k / self.block_len() * self.block_bytes();
        if !k.is_multiple_of(self.block_len())
            || src.len() != rows * row_bytes
            || dst.len() < self.packed_bytes(rows, k)
        {
            return Err(Error::invalid(format!(
                "{} bytes of dtype {} are not {rows} rows of {k} values",
                src.len(),
                self.name()
            )));
        }
        check(|error| (self.dtype.pack)(src.as_ptr(), rows, k, dst.as_mut_ptr(), error))
    }

    /// Multiplies a tile.
    ///
    /// # Errors
    /// The kernel failed or panicked.
    ///
    /// # Safety
    /// The tile's buffers have the sizes this dtype's own functions gave for its shape, and no
    /// other thread writes the tile's part of the output.
    pub unsafe fn matmul(&self, tile: &plugin_abi::MatmulTileV1) -> Result<(), Error> {
        check(|error| (self.dtype.matmul)(tile, error))
    }
}

/// Calls a function of the wire; on failure returns what it wrote to the error sink.
pub(crate) fn check(call: impl FnOnce(Sink) -> Status) -> Result<(), Error> {
    let mut message = Vec::new();
    let status = call(crate::wire::sink(&mut message));
    if status == Status::OK {
        return Ok(());
    }
    Err(Error::from_status(status, String::from_utf8_lossy(&message).into_owned()))
}

/// Reports how far loading is.
#[derive(Clone, Copy)]
pub struct Progress<'a> {
    report: &'a dyn Fn(u64, u64),
}

impl fmt::Debug for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress")
    }
}

impl<'a> Progress<'a> {
    /// Wraps a function of bytes done and bytes in all.
    #[must_use]
    pub fn new(report: &'a dyn Fn(u64, u64)) -> Self {
        Self { report }
    }

    /// Says how far loading is.
    pub fn report(&self, done_bytes: u64, total_bytes: u64) {
        (self.report)(done_bytes, total_bytes);
    }

    pub(crate) fn to_wire_call(wire: ProgressV1) -> impl Fn(u64, u64) {
        move |done, total| (wire.report)(wire.context, done, total)
    }
}

pub(crate) fn weight_bytes(bytes: Bytes) -> Option<&'static [u8]> {
    // SAFETY: the wire says the bytes stay valid until the session is destroyed; a session cannot
    // use them later, because it is dropped by then.
    unsafe { crate::wire::bytes(bytes) }
}
