//! The tensors of the weight files, found by name, and their bytes.
//!
//! A tensor is named and checked here before somebody works with its bytes; the checks say what a
//! file has and what it should have.

use crate::fault::{fault, shown};
use crate::index::Index;
use crate::shard::Shard;
use half::{bf16, f16};
use plugin_api::{Error, TensorInfo};
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

const TENSORS_MAX: usize = 1 << 20;

/// Bytes of a weight file.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    shard: usize,
    range: Range<usize>,
}

/// A tensor as its file has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored<'a> {
    pub(crate) path: &'a Path,
    pub(crate) info: &'a TensorInfo,
    shard: usize,
    range: &'a Range<usize>,
}

/// All of them, in the order of the files.
#[derive(Debug)]
pub(crate) struct StoredTensors<'a> {
    all: Vec<Stored<'a>>,
    by_name: HashMap<&'a str, usize>,
}

/// Floats of a scale tensor and their dtype.
#[derive(Debug, Clone)]
pub(crate) struct ScaleSpan {
    span: Span,
    dtype: ScaleDtype,
}

#[derive(Debug, Clone, Copy)]
enum ScaleDtype {
    F16,
    Bf16,
    F32,
}

/// The scales themselves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scales<'a> {
    bytes: &'a [u8],
    dtype: ScaleDtype,
}

impl Span {
    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    /// The bytes; the shards are those of the checkpoint that the span is of.
    pub(crate) fn bytes<'s>(&self, shards: &'s [Shard]) -> &'s [u8] {
        shards[self.shard].bytes(&self.range)
    }

    /// The bytes as 32-bit words.
    pub(crate) fn words<'s>(&self, shards: &'s [Shard]) -> &'s [[u8; 4]] {
        self.bytes(shards).as_chunks().0
    }

    /// The file.
    pub(crate) fn path<'s>(&self, shards: &'s [Shard]) -> &'s Path {
        &shards[self.shard].path
    }
}

impl<'a> Stored<'a> {
    pub(crate) fn span(&self) -> Span {
        Span { shard: self.shard, range: self.range.clone() }
    }

    /// The tensor is not what it has to be.
    pub(crate) fn fault(&self, found: &str, expected: &str) -> Error {
        fault(self.path, shown(&self.info.name), found, expected)
    }

    /// Height and width of a matrix of that dtype.
    pub(crate) fn matrix(&self, dtype: &str) -> Result<[usize; 2], Error> {
        match *self.info.shape {
            [height, width] if self.info.dtype == dtype && height > 0 && width > 0 => {
                Ok([height, width])
            }
            _ => Err(self.other(&format!("{dtype}, a matrix"))),
        }
    }

    /// The words of a tensor that has to have this shape.
    pub(crate) fn words(&self, shape: &[usize]) -> Result<Span, Error> {
        if self.info.dtype == "i32" && self.info.shape == shape {
            return Ok(self.span());
        }
        Err(self.other(&format!("i32 {shape:?}")))
    }

    /// The scales of a tensor, whatever its shape.
    pub(crate) fn scales(&self) -> Result<ScaleSpan, Error> {
        let dtype = match self.info.dtype.as_str() {
            "f16" => ScaleDtype::F16,
            "bf16" => ScaleDtype::Bf16,
            "f32" => ScaleDtype::F32,
            _ => return Err(self.other("scales in f16, bf16 or f32")),
        };
        Ok(ScaleSpan { span: self.span(), dtype })
    }

    /// The tensor has another dtype or shape.
    pub(crate) fn other(&self, expected: &str) -> Error {
        self.fault(&format!("{} {:?}", self.info.dtype, self.info.shape), expected)
    }

    pub(crate) fn bytes(&self, shards: &'a [Shard]) -> &'a [u8] {
        shards[self.shard].bytes(self.range)
    }
}

impl<'a> StoredTensors<'a> {
    /// The tensors of all shards; each name is in one file, the one that the index names.
    pub(crate) fn new(shards: &'a [Shard], index: Option<&Index>) -> Result<Self, Error> {
        let mut tensors = Self { all: Vec::new(), by_name: HashMap::new() };
        for (number, shard) in shards.iter().enumerate() {
            for (info, range) in &shard.tensors {
                let stored = Stored { path: &shard.path, info, shard: number, range };
                if let Some(other) = tensors.by_name.insert(&info.name, tensors.all.len()) {
                    let other = tensors.all[other].path.display();
                    let found = format!("the tensor in {other} too");
                    return Err(stored.fault(&found, "it in one file"));
                }
                tensors.all.push(stored);
            }
            if tensors.all.len() > TENSORS_MAX {
                let expected = format!("at most {TENSORS_MAX} in all files");
                return Err(fault(&shard.path, "tensors", "more", expected));
            }
        }
        if let Some(index) = index {
            index.check(|tensor| tensors.get(tensor)?.path.file_name()?.to_str())?;
        }
        Ok(tensors)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Stored<'a>> {
        self.all.iter().copied()
    }

    pub(crate) fn get(&self, name: &str) -> Option<Stored<'a>> {
        self.by_name.get(name).map(|&index| self.all[index])
    }
}

impl ScaleSpan {
    pub(crate) fn scales<'s>(&self, shards: &'s [Shard]) -> Scales<'s> {
        Scales { bytes: self.span.bytes(shards), dtype: self.dtype }
    }

    /// The error of a scale that [`Scales::get`] does not give.
    pub(crate) fn fault(&self, shards: &[Shard]) -> Error {
        fault(self.span.path(shards), "scales", "one that is no finite number", "finite numbers")
    }
}

impl Scales<'_> {
    /// A scale, if it is a finite number.
    pub(crate) fn get(&self, index: usize) -> Option<f32> {
        let pair = || self.bytes.as_chunks().0.get(index).copied();
        let scale = match self.dtype {
            ScaleDtype::F16 => f16::from_le_bytes(pair()?).to_f32(),
            ScaleDtype::Bf16 => bf16::from_le_bytes(pair()?).to_f32(),
            ScaleDtype::F32 => f32::from_le_bytes(*self.bytes.as_chunks().0.get(index)?),
        };
        scale.is_finite().then_some(scale)
    }
}
