//! The tensors that the host sees: those of the files, but one matrix in place of each group of
//! tensors that a quantizer made of it.
//!
//! Such a matrix goes by the name that it had before, so an architecture needs to know nothing of
//! quantizers. Its rows are made when somebody reads them and never kept. Which tensors are groups
//! is told by their names and dtypes; the config says only how to read them.

use crate::float8::{self, Float8};
use crate::four_bit::{self, FourBit};
use crate::quantization::{Packing, Quantization};
use crate::shard::Shard;
use crate::stored::{Span, Stored, StoredTensors};
use plugin_api::{Error, TensorInfo};
use std::ops::Range;

/// Descriptions of the tensors, and where each is.
#[derive(Debug, Default)]
pub(crate) struct Tensors {
    pub(crate) infos: Vec<TensorInfo>,
    pub(crate) places: Vec<Place>,
}

/// Where the rows of a tensor are; a row is what the last dimension counts.
#[derive(Debug)]
pub(crate) struct Place {
    source: Source,
    pub(crate) rows: usize,
    pub(crate) row_bytes: usize,
}

#[derive(Debug)]
enum Source {
    Stored(Span),
    FourBit(FourBit),
    Float8(Float8),
}

impl Tensors {
    pub(crate) fn new(
        shards: &[Shard],
        stored: &StoredTensors<'_>,
        quantization: &Quantization,
    ) -> Result<Self, Error> {
        let mut tensors = Self::default();
        for tensor in stored.iter() {
            if belongs_to_another(stored, tensor, quantization.packing.is_some())? {
                continue;
            }
            let (info, place) = if let Some(name) = before(tensor, four_bit::CODES) {
                four_bit((stored, shards), (name, tensor), quantization.packing.as_ref())?
            } else if tensor.info.dtype == "f8_e4m3" {
                let matrix = Float8::new(stored, tensor, quantization.block)?;
                let TensorInfo { name, shape, .. } = tensor.info.clone();
                (TensorInfo::new(name, matrix.dtype().to_owned(), shape), matrix.into())
            } else if tensor.info.dtype.starts_with("f8_e5m2") {
                let expected =
                    "f8_e4m3; take the unquantized checkpoint and quantize it with --isq";
                return Err(tensor.other(expected));
            } else {
                (tensor.info.clone(), stored_place(tensor))
            };
            tensors.infos.push(info);
            tensors.places.push(place);
        }
        Ok(tensors)
    }
}

impl Place {
    /// All bytes, if they lie in a file as described.
    pub(crate) fn bytes<'s>(&self, shards: &'s [Shard]) -> Option<&'s [u8]> {
        match &self.source {
            Source::Stored(span) => Some(span.bytes(shards)),
            Source::FourBit(_) | Source::Float8(_) => None,
        }
    }

    /// Bytes of all rows.
    pub(crate) fn len(&self) -> usize {
        match &self.source {
            Source::Stored(span) => span.len(),
            Source::FourBit(_) | Source::Float8(_) => self.rows * self.row_bytes,
        }
    }

    /// Writes some rows to `dst`; both were found to fit.
    pub(crate) fn read(
        &self,
        shards: &[Shard],
        rows: Range<usize>,
        dst: &mut [u8],
    ) -> Result<(), Error> {
        match &self.source {
            Source::Stored(span) => {
                let bytes = span.bytes(shards);
                dst.copy_from_slice(&bytes[rows.start * self.row_bytes..rows.end * self.row_bytes]);
                Ok(())
            }
            Source::FourBit(matrix) => matrix.read(shards, rows, dst),
            Source::Float8(matrix) => matrix.read(shards, rows, dst),
        }
    }
}

impl From<Float8> for Place {
    fn from(matrix: Float8) -> Self {
        let (rows, row_bytes) = (matrix.rows(), matrix.row_bytes());
        Self { source: Source::Float8(matrix), rows, row_bytes }
    }
}

fn stored_place(tensor: Stored<'_>) -> Place {
    let (source, shape) = (tensor.span(), &tensor.info.shape);
    let rows = shape.split_last().map_or(1, |(_, outer)| outer.iter().product());
    let row_bytes = source.len().checked_div(rows).unwrap_or(0);
    Place { source: Source::Stored(source), rows, row_bytes }
}

fn four_bit(
    files: (&StoredTensors<'_>, &[Shard]),
    (name, codes): (&str, Stored<'_>),
    packing: Option<&Packing>,
) -> Result<(TensorInfo, Place), Error> {
    let Some(packing) = packing else {
        let expected =
            "a quantization_config of gptq or awq in config.json that says how to read it";
        return Err(codes.fault("4-bit codes", expected));
    };
    let weight = format!("{name}.weight");
    if files.0.get(&weight).is_some() {
        return Err(codes.fault(&format!("{weight} too"), "one of the two"));
    }
    let matrix = FourBit::new(files, (name, codes), packing)?;
    let ([rows, columns], row_bytes) = (matrix.shape(), matrix.row_bytes());
    let info = TensorInfo::new(weight, matrix.dtype().to_owned(), vec![rows, columns]);
    Ok((info, Place { source: Source::FourBit(matrix), rows, row_bytes }))
}

/// Whether a tensor is a part of a matrix that another one stands for. A part without that other
/// one is refused: what it belongs to would be read wrongly, or not at all.
fn belongs_to_another(
    stored: &StoredTensors<'_>,
    tensor: Stored<'_>,
    packed: bool,
) -> Result<bool, Error> {
    let ends = four_bit::PARTS.iter().filter(|_| packed);
    if let Some(name) = ends.clone().find_map(|end| before(tensor, end)) {
        let codes = format!("{name}.{}", four_bit::CODES);
        return match stored.get(&codes) {
            Some(_) => Ok(true),
            None => Err(tensor.fault(&format!("no {codes}"), "the codes beside it")),
        };
    }
    let Some(name) = float8::SCALE_ENDS.iter().find_map(|end| before(tensor, end)) else {
        return Ok(false);
    };
    let weight = format!("{name}.weight");
    match stored.get(&weight) {
        Some(codes) if codes.info.dtype == "f8_e4m3" => Ok(true),
        Some(codes) => Err(codes.other("f8_e4m3, because it has scales")),
        None => Err(tensor.fault(&format!("no {weight}"), "the weight beside it")),
    }
}

/// What a name has before its last part, if that is `end`.
fn before<'a>(tensor: Stored<'a>, end: &str) -> Option<&'a str> {
    tensor.info.name.strip_suffix(end)?.strip_suffix('.')
}
