//! The weights of a graph: which rows of which tensor each one is, and how its bytes are had.
//!
//! Most weights lie in the file as the compute plugin wants them and are handed over as they are.
//! Others are made row by row while the plugin asks for them: a tensor the format must take apart,
//! and one that is quantized on the way. So nothing is ever whole in memory twice.

use crate::LoadError;
use crate::prepare::plugin;
use crate::quantize::Quantization;
use graph::{Graph, Weight};
use host_loader::OpenCheckpoint;
use plugin_api::{Error, TensorInfo};
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of the checkpoint that may be read before its pages are let go.
const READ_BYTES_KEPT: u64 = 32 << 20;

/// Where each weight of a graph is, in the graph's order.
#[derive(Debug)]
pub(crate) struct Weights {
    places: Vec<Place>,
}

/// Where one weight is.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Tensor of the checkpoint.
    pub(crate) tensor: usize,
    /// Its rows; a row is what the last dimension counts.
    pub(crate) rows: Range<usize>,
    /// Values in a row.
    pub(crate) columns: usize,
    /// Dtype in memory.
    pub(crate) dtype: String,
    /// How its values become that dtype, where the checkpoint has another.
    pub(crate) quantization: Option<Quantization>,
}

impl Weights {
    /// Finds the weights of `graph`; they keep the dtype of the checkpoint.
    pub(crate) fn find(
        path: &Path,
        checkpoint: &OpenCheckpoint,
        graph: &Graph,
    ) -> Result<Self, LoadError> {
        let tensors = &checkpoint.info().tensors;
        let by_name: HashMap<&str, usize> =
            tensors.iter().enumerate().map(|(index, t)| (t.name.as_str(), index)).collect();
        let place = |weight: &Weight| {
            let index = by_name.get(weight.tensor.as_str()).copied();
            let rows = index.and_then(|index| rows_of(&tensors[index].shape, weight));
            let (Some(tensor), Some(rows)) = (index, rows) else {
                let Weight { tensor, shape, .. } = weight;
                let why = format!("tensor {tensor} of shape {shape:?} is missing");
                return Err(LoadError::invalid(path, why));
            };
            let columns = *weight.shape.last().unwrap_or(&1);
            let dtype = tensors[tensor].dtype.clone();
            Ok(Place { tensor, rows, columns, dtype, quantization: None })
        };
        Ok(Self { places: graph.weights.iter().map(place).collect::<Result<_, _>>()? })
    }

    /// Where each weight is.
    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    /// Gives a weight another dtype.
    pub(crate) fn quantize(&mut self, weight: usize, dtype: String, how: Quantization) {
        let place = &mut self.places[weight];
        (place.dtype, place.quantization) = (dtype, Some(how));
    }

    /// Bytes and dtype of each weight; no bytes where they are made row by row.
    pub(crate) fn stored<'c>(
        &'c self,
        path: &Path,
        checkpoint: &'c OpenCheckpoint,
    ) -> Result<Vec<(&'c [u8], &'c str)>, LoadError> {
        let tensors = &checkpoint.info().tensors;
        let stored = |place: &'c Place| {
            if place.quantization.is_some() {
                return Ok((&[][..], place.dtype.as_str()));
            }
            let found = checkpoint.tensor(place.tensor).map_err(|e| plugin(path, e))?;
            let Some(bytes) = found else { return Ok((&[][..], place.dtype.as_str())) };
            let tensor = &tensors[place.tensor];
            let bytes = bytes_of(bytes, tensor, &place.rows).ok_or_else(|| {
                let why = format!("tensor {} has too few bytes for its rows", tensor.name);
                LoadError::invalid(path, why)
            })?;
            Ok((bytes, place.dtype.as_str()))
        };
        self.places.iter().map(stored).collect()
    }
}

/// Makes rows of the weights that are not stored as they are wanted.
#[derive(Debug)]
pub(crate) struct WeightReader<'a> {
    weights: &'a Weights,
    checkpoint: &'a OpenCheckpoint,
    /// Bytes of the checkpoint read since its pages were let go.
    read_bytes: AtomicU64,
}

impl<'a> WeightReader<'a> {
    pub(crate) fn new(weights: &'a Weights, checkpoint: &'a OpenCheckpoint) -> Self {
        Self { weights, checkpoint, read_bytes: AtomicU64::new(0) }
    }

    /// Writes some rows of a weight to `dst`, in its dtype.
    pub(crate) fn read(
        &self,
        weight: usize,
        rows: Range<usize>,
        dst: &mut [u8],
    ) -> Result<(), Error> {
        let place = self.weights.places.get(weight);
        let place = place.filter(|place| rows.end <= place.rows.len()).ok_or_else(|| {
            Error::failed(format!("rows {rows:?} of weight {weight}, which has less"))
        })?;
        let within = place.rows.start + rows.start..place.rows.start + rows.end;
        let named =
            |error: Error| error.context(&self.checkpoint.info().tensors[place.tensor].name);
        match &place.quantization {
            None => self.read_stored(place, within, dst),
            Some(how) => how.convert(place.columns, rows.len(), dst, |from, to| {
                self.read_stored(place, within.start + from.start..within.start + from.end, to)
            }),
        }
        .map_err(named)
    }

    /// Rows of the tensor as the checkpoint has them.
    fn read_stored(&self, place: &Place, rows: Range<usize>, dst: &mut [u8]) -> Result<(), Error> {
        let outcome = self.checkpoint.read_rows(place.tensor, rows, dst);
        outcome.map_err(|error| error.source)?;
        // Pages that were read count as the host's memory until they are let go. Another thread
        // may be reading some of them: it reads them again.
        let before = self.read_bytes.fetch_add(dst.len() as u64, Ordering::Relaxed);
        if (before + dst.len() as u64) / READ_BYTES_KEPT > before / READ_BYTES_KEPT {
            self.checkpoint.release_pages();
        }
        Ok(())
    }
}

/// The rows of a tensor of that shape which a weight names: all of its own, or some of a larger
/// one's.
fn rows_of(shape: &[usize], weight: &Weight) -> Option<Range<usize>> {
    let (columns, outer) = shape.split_last()?;
    let count = outer.iter().try_fold(1_usize, |count, &n| count.checked_mul(n))?;
    match weight.rows {
        None => (shape == weight.shape).then_some(0..count),
        Some([begin, end]) => {
            let fits = end <= count && weight.shape.last() == Some(columns);
            fits.then_some(begin..end)
        }
    }
}

/// The bytes of some rows of a tensor: every dtype keeps a row's blocks together, in order.
fn bytes_of<'b>(bytes: &'b [u8], tensor: &TensorInfo, rows: &Range<usize>) -> Option<&'b [u8]> {
    let (_, outer) = tensor.shape.split_last()?;
    let row_bytes = bytes.len().checked_div(outer.iter().product())?;
    bytes.get(rows.start.checked_mul(row_bytes)?..rows.end.checked_mul(row_bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_its_tensor_or_some_rows_of_it() {
        let weight = |rows, shape: &[usize]| Weight {
            role: "q".to_owned(),
            tensor: "qkv".to_owned(),
            shape: shape.to_vec(),
            rows,
            gguf: None,
        };
        assert_eq!(rows_of(&[6, 4], &weight(None, &[6, 4])), Some(0..6));
        assert_eq!(rows_of(&[6], &weight(None, &[6])), Some(0..1));
        assert_eq!(rows_of(&[6, 4], &weight(None, &[2, 4])), None);
        assert_eq!(rows_of(&[6, 4], &weight(Some([4, 6]), &[2, 4])), Some(4..6));
        assert_eq!(rows_of(&[3, 2, 4], &weight(Some([4, 6]), &[2, 4])), Some(4..6), "stacked");
        assert_eq!(rows_of(&[6, 4], &weight(Some([5, 7]), &[2, 4])), None, "past the end");
        assert_eq!(rows_of(&[6, 4], &weight(Some([4, 6]), &[2, 3])), None, "another row");
        let bytes: Vec<u8> = (0..12).collect();
        let tensor = |shape: &[usize]| TensorInfo::new("t".into(), "q".into(), shape.to_vec());
        assert_eq!(bytes_of(&bytes, &tensor(&[6, 4]), &(0..6)), Some(&bytes[..]));
        assert_eq!(bytes_of(&bytes, &tensor(&[6, 4]), &(4..6)), Some(&[8, 9, 10, 11][..]));
        assert_eq!(bytes_of(&bytes, &tensor(&[3, 2, 4]), &(4..6)), Some(&[8, 9, 10, 11][..]));
        assert_eq!(bytes_of(&bytes, &tensor(&[6, 4]), &(4..7)), None);
        assert_eq!(bytes_of(&bytes, &tensor(&[6, 4]), &(0..usize::MAX)), None);
    }
}
