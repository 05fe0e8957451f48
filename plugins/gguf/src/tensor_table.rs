//! The tensor table: name, dtype, shape and bytes of every tensor, checked against the file.
//!
//! After this nobody needs to check a range again: each lies inside the file, is aligned, and
//! shares no byte with another. It never looks at the data.

use crate::fault::{CUT_SHORT, fault, fault_with_hint, shown};
use crate::metadata::name;
use crate::reader::Reader;
use crate::tensor_types::{self, TensorType};
use plugin_api::Error;
use std::collections::HashSet;
use std::ops::Range;

/// Most tensors of a checkpoint.
pub(crate) const TENSORS_MAX: u64 = 1 << 16;
/// Longest tensor name; ggml itself stops at 64.
const NAME_BYTES_MAX: u64 = 256;
/// Most dimensions.
const DIMENSIONS_MAX: u32 = 4;

/// One tensor.
#[derive(Debug)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) tensor_type: TensorType,
    /// Innermost first, none of them zero.
    pub(crate) dimensions: Vec<u64>,
    /// First byte, counted from the start of the data.
    start: u64,
    bytes: u64,
}

impl Tensor {
    /// Its bytes in the file; [`place`] has checked that they are there.
    pub(crate) fn range(&self, data_start: u64) -> Option<Range<usize>> {
        let start = data_start.checked_add(self.start)?;
        let end = start.checked_add(self.bytes)?;
        Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }

    /// Bytes of data.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Reads `count` entries.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    count: u64,
    alignment: u64,
) -> Result<Vec<Tensor>, Error> {
    if count > TENSORS_MAX {
        return Err(fault("tensor count", count, format!("at most {TENSORS_MAX}")));
    }
    let mut names = HashSet::new();
    let mut tensors = Vec::new();
    for index in 0..count {
        let place = format!("name of tensor {} of {count}", index + 1);
        let tensor_name = name(reader.string(NAME_BYTES_MAX, &place)?, &place)?;
        if !names.insert(tensor_name) {
            let field = format!("tensor {}", shown(tensor_name.as_bytes()));
            return Err(fault(field, "the name twice", "once"));
        }
        tensors.push(read_one(reader, tensor_name, alignment)?);
    }
    Ok(tensors)
}

fn read_one(reader: &mut Reader<'_>, name: &str, alignment: u64) -> Result<Tensor, Error> {
    let field = format!("tensor {}", shown(name.as_bytes()));
    let count = reader.u32(&field)?;
    if !(1..=DIMENSIONS_MAX).contains(&count) {
        return Err(fault(field, format!("{count} dimensions"), format!("1 to {DIMENSIONS_MAX}")));
    }
    let mut dimensions = Vec::new();
    for _ in 0..count {
        dimensions.push(reader.u64(&field)?);
    }
    if dimensions.contains(&0) {
        return Err(fault(field, format!("dimensions {dimensions:?}"), "none of them zero"));
    }
    let tensor_type = tensor_types::find(reader.u32(&field)?, &field)?;
    let bytes = tensor_type.bytes(&dimensions, &field)?;
    let start = reader.u64(&field)?;
    if !start.is_multiple_of(alignment) {
        let expected = format!("a multiple of the alignment {alignment}");
        return Err(fault(field, format!("data at byte {start}"), expected));
    }
    Ok(Tensor { name: name.to_owned(), tensor_type, dimensions, start, bytes })
}

/// Checks that all data lies inside the file and no two tensors share a byte.
pub(crate) fn place(tensors: &[Tensor], data_start: u64, file_bytes: u64) -> Result<(), Error> {
    let available = file_bytes.saturating_sub(data_start);
    let mut in_order: Vec<&Tensor> = tensors.iter().collect();
    in_order.sort_by_key(|tensor| tensor.start);
    let mut previous: Option<(&Tensor, u64)> = None;
    for tensor in in_order {
        let field = format!("tensor {}", shown(tensor.name.as_bytes()));
        let end = tensor.start.checked_add(tensor.bytes).filter(|end| *end <= available);
        let Some(end) = end else {
            let found = format!("{} bytes of data from byte {} on", tensor.bytes, tensor.start);
            let expected = format!("data inside the {available} bytes that the file has");
            return Err(fault_with_hint(field, found, expected, CUT_SHORT));
        };
        if let Some((other, _)) = previous.filter(|(_, other_end)| tensor.start < *other_end) {
            let found = format!("data shared with tensor {}", shown(other.name.as_bytes()));
            return Err(fault(field, found, "bytes of its own"));
        }
        previous = Some((tensor, end));
    }
    Ok(())
}
