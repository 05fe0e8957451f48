//! Importance matrices: how much each input of a matrix matters, in llama.cpp's files.
//!
//! An entry is the mean square of each input of one matrix over some text, under the name the
//! matrix has in GGUF files. Newer files are GGUF and are opened by whichever plugin reads that;
//! the older form is read and written here. Sources: llama.cpp's `tools/imatrix/imatrix.cpp` and
//! the readers in `tools/quantize/quantize.cpp`.

use crate::LoadError;
use crate::prepare::open;
use graph::Weight;
use host_loader::{OpenCheckpoint, Registry};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Most entries, longest name and most columns that are believed.
const ENTRIES_MAX: usize = 1 << 16;
const NAME_BYTES_MAX: usize = 1 << 10;
const COLUMNS_MAX: usize = 1 << 24;
/// First bytes of a newer file.
const GGUF: &[u8] = b"GGUF";
/// Ends of the names of a newer file's tensors.
const SUMS: &str = ".in_sum2";
const COUNTS: &str = ".counts";

/// Mean squares of the inputs of matrices, by the matrix' name in GGUF files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Importance {
    entries: BTreeMap<String, Entry>,
}

/// What is known of one tensor: for each matrix in it, a value for each column.
#[derive(Debug, Clone, Default, PartialEq)]
struct Entry {
    matrices: Vec<Arc<[f32]>>,
}

impl Importance {
    /// Reads a file of either form.
    ///
    /// # Errors
    /// The file cannot be read or is no importance matrix.
    pub fn read(registry: &Registry, path: &Path) -> Result<Self, LoadError> {
        let not_found =
            |e: io::Error| LoadError::NotFound { path: path.to_owned(), reason: e.to_string() };
        let metadata = std::fs::metadata(path).map_err(not_found)?;
        if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
            let why = format!("an importance matrix of at most {FILE_BYTES_MAX} bytes expected");
            return Err(LoadError::invalid(path, why));
        }
        let bytes = std::fs::read(path).map_err(not_found)?;
        let entries = if bytes.starts_with(GGUF) {
            gguf_entries(path, &open(registry, path)?)?
        } else {
            let older = Older { bytes: &bytes }.entries();
            older.ok_or_else(|| {
                let why = "neither GGUF nor the older form of an importance matrix, or cut short";
                LoadError::invalid(path, why)
            })?
        };
        Ok(Self { entries })
    }

    /// Adds the mean squares of one weight's inputs; experts come in their order.
    pub(crate) fn insert(&mut self, weight: &Weight, columns: Arc<[f32]>) {
        let entry = self.entries.entry(gguf_name(weight).to_owned()).or_default();
        if expert_number(weight).is_none() {
            entry.matrices.clear();
        }
        entry.matrices.push(columns);
    }

    /// The names of the matrices.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The columns of a weight, if they are known.
    pub(crate) fn of(&self, weight: &Weight) -> Option<Arc<[f32]>> {
        let Entry { matrices } = self.entries.get(gguf_name(weight))?;
        let index = if matrices.len() > 1 { expert_number(weight)? } else { 0 };
        matrices.get(index).cloned()
    }

    /// Writes the older form, which every llama.cpp reads; `chunk_count` is how many texts it is
    /// the mean of.
    ///
    /// # Errors
    /// What writing answers.
    pub fn write(&self, to: &mut impl Write, chunk_count: i32) -> io::Result<()> {
        let number = |value: usize| i32::try_from(value).map_err(io::Error::other);
        to.write_all(&number(self.entries.len())?.to_le_bytes())?;
        for (name, Entry { matrices }) in &self.entries {
            let columns = matrices.concat();
            to.write_all(&number(name.len())?.to_le_bytes())?;
            to.write_all(name.as_bytes())?;
            to.write_all(&chunk_count.to_le_bytes())?;
            to.write_all(&number(columns.len())?.to_le_bytes())?;
            for mean in columns {
                // The form keeps sums; readers divide by the count.
                to.write_all(&(mean * chunk_count as f32).to_le_bytes())?;
            }
        }
        to.write_all(&chunk_count.to_le_bytes())
    }
}

/// Name of a weight's tensor in GGUF files.
pub(crate) fn gguf_name(weight: &Weight) -> &str {
    weight.gguf.as_deref().unwrap_or(&weight.tensor)
}

/// Which expert a weight belongs to, if its role ends with a number.
fn expert_number(weight: &Weight) -> Option<usize> {
    weight.role.rsplit('.').next()?.parse().ok()
}

/// The entries of a newer file: sums of squares and how many were summed, for each matrix of a
/// tensor.
fn gguf_entries(
    path: &Path,
    checkpoint: &OpenCheckpoint,
) -> Result<BTreeMap<String, Entry>, LoadError> {
    let tensors = &checkpoint.info().tensors;
    let invalid = |name: &str, why: &str| LoadError::invalid(path, format!("tensor {name}: {why}"));
    let floats = |name: &str| -> Result<Vec<f32>, LoadError> {
        let index = tensors.iter().position(|tensor| tensor.name == name);
        let index = index.filter(|&index| tensors[index].dtype == "f32");
        let index = index.ok_or_else(|| invalid(name, "no such tensor of dtype f32"))?;
        let bytes = checkpoint.tensor(index).map_err(|e| crate::prepare::plugin(path, e))?;
        let (values, _) = bytes.unwrap_or_default().as_chunks();
        Ok(values.iter().map(|value| f32::from_le_bytes(*value)).collect())
    };
    let mut entries = BTreeMap::new();
    for tensor in tensors {
        let Some(name) = tensor.name.strip_suffix(SUMS) else { continue };
        let (sums, counts) = (floats(&tensor.name)?, floats(&format!("{name}{COUNTS}"))?);
        let columns = sums.len().checked_div(counts.len()).unwrap_or(0);
        if columns == 0 || columns * counts.len() != sums.len() {
            return Err(invalid(&tensor.name, "its counts do not divide it"));
        }
        let mean = |(sums, count): (&[f32], &f32)| {
            // A matrix that no token reached has no say: all its columns matter alike.
            let mean = |sum: &f32| if *count > 0.0 { sum / count } else { 1.0 };
            sums.iter().map(mean).collect()
        };
        let matrices: Vec<Arc<[f32]>> = sums.chunks(columns).zip(&counts).map(mean).collect();
        if matrices.iter().flat_map(|matrix| matrix.iter()).any(|mean| !is_square(*mean)) {
            return Err(invalid(&tensor.name, "a mean square is negative or no finite number"));
        }
        entries.insert(name.to_owned(), Entry { matrices });
    }
    if entries.is_empty() {
        return Err(LoadError::invalid(path, "no tensor of an importance matrix in this file"));
    }
    Ok(entries)
}

fn is_square(mean: f32) -> bool {
    mean.is_finite() && mean >= 0.0
}

/// What is left of an older file.
struct Older<'a> {
    bytes: &'a [u8],
}

impl<'a> Older<'a> {
    fn entries(mut self) -> Option<BTreeMap<String, Entry>> {
        let count = self.number(ENTRIES_MAX)?;
        let mut entries = BTreeMap::new();
        for _ in 0..count {
            let length = self.number(NAME_BYTES_MAX)?;
            let name = std::str::from_utf8(self.take(length)?).ok()?.to_owned();
            let calls = self.number(i32::MAX as usize)?.max(1) as f32;
            let columns = self.number(COLUMNS_MAX)?;
            let (sums, _) = self.take(columns * 4)?.as_chunks();
            let means: Arc<[f32]> =
                sums.iter().map(|sum| f32::from_le_bytes(*sum) / calls).collect();
            if means.iter().any(|mean| !is_square(*mean)) {
                return None;
            }
            entries.insert(name, Entry { matrices: vec![means] });
        }
        (count > 0).then_some(entries)
    }

    fn number(&mut self, max: usize) -> Option<usize> {
        let bytes = self.take(4)?;
        let number = usize::try_from(i32::from_le_bytes(bytes.try_into().ok()?)).ok()?;
        (number <= max).then_some(number)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(role: &str, gguf: Option<&str>) -> Weight {
        Weight {
            role: role.to_owned(),
            tensor: "model.layers.0.self_attn.q_proj.weight".to_owned(),
            shape: vec![2, 3],
            rows: None,
            gguf: gguf.map(str::to_owned),
        }
    }

    fn example() -> Importance {
        let mut importance = Importance::default();
        let query = weight("layers.0.attn_q", Some("blk.0.attn_q.weight"));
        importance.insert(&query, Arc::new([1.0, 0.25, 4.0]));
        importance.insert(&weight("output", Some("output.weight")), Arc::new([0.5, 0.0]));
        importance
    }

    #[test]
    fn what_was_written_is_read() {
        let mut bytes = Vec::new();
        example().write(&mut bytes, 4).expect("a vector takes everything");
        let read = Older { bytes: &bytes }.entries().expect("whole");
        assert_eq!(Importance { entries: read }, example());
    }

    #[test]
    fn a_file_that_is_cut_short_or_no_matrix_is_refused() {
        let mut bytes = Vec::new();
        example().write(&mut bytes, 4).expect("a vector takes everything");
        // The last four bytes are the count of chunks, which nobody needs.
        for end in 0..bytes.len() - 4 {
            assert_eq!(Older { bytes: &bytes[..end] }.entries(), None, "{end} bytes");
        }
        for wrong in [&[0xff; 64][..], b"a text that is no matrix at all, whatever it says"] {
            assert_eq!(Older { bytes: wrong }.entries(), None);
        }
    }

    #[test]
    fn a_weight_is_found_by_its_name_in_gguf_files() {
        let found = example().of(&weight("layers.0.attn_q", Some("blk.0.attn_q.weight")));
        assert_eq!(found.as_deref(), Some(&[1.0, 0.25, 4.0][..]));
        assert_eq!(example().of(&weight("layers.0.attn_q", None)), None);
    }

    #[test]
    fn each_expert_of_a_tensor_has_its_own_columns() {
        let mut importance = Importance::default();
        let expert = |number: usize| {
            weight(&format!("layers.0.expert_up.{number}"), Some("blk.0.ffn_up_exps.weight"))
        };
        importance.insert(&expert(0), Arc::new([1.0; 3]));
        importance.insert(&expert(1), Arc::new([2.0; 3]));
        assert_eq!(importance.of(&expert(1)).as_deref(), Some(&[2.0; 3][..]));
        assert_eq!(importance.of(&expert(2)), None);
    }
}
