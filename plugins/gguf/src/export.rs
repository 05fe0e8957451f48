//! The writer provider: a model's description and rows in, a GGUF file out.
//!
//! The file is laid out first and streamed then: no tensor is ever whole in memory. It is written
//! beside its place and renamed at the end, so a file of that name is always complete. What llama.cpp
//! expects of names, order of rows and metadata is decided in the parts:
//!
//! | part | holds |
//! |---|---|
//! | `tensors` | weights to tensors: names, stacked experts, order of rows, norms |
//! | `keys` | metadata in the file's encoding |
//! | `head` | the model's metadata |
//! | `vocabulary` | `tokenizer.json` back to tokens, kinds, scores and merges |
//! | `stream` | rows to bytes |

mod head;
mod keys;
mod stream;
mod tensors;
mod vocabulary;

use crate::header::MAGIC;
use keys::Keys;
use plugin_api::{Error, ErrorKind, Export, RowSource, Writer};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use tensors::Tensor;

const VERSION: u32 = 3;
/// Data of each tensor begins at a multiple of it.
const ALIGNMENT: u64 = 32;
/// Ending of a file that is being written.
const UNFINISHED: &str = "part";

/// The writer of GGUF files.
#[derive(Debug)]
pub struct GgufWriter;

impl Writer for GgufWriter {
    const NAME: &'static str = "gguf";

    fn write(path: &Path, export: &Export, rows: RowSource<'_>) -> Result<(), Error> {
        let tensors = tensors::tensors(export)?;
        let mut keys = head::keys(export, &tensors)?;
        if let Some(tokenizer) = &export.tokenizer {
            vocabulary::write(tokenizer, export, &mut keys)?;
        }
        let head = encode(&keys, &tensors)?;
        let unfinished = unfinished(path);
        let outcome = write_file(&unfinished, &head, &tensors, rows)
            .and_then(|()| std::fs::rename(&unfinished, path).map_err(|e| failed(path, &e)));
        if outcome.is_err() {
            // There may be nothing to remove, and the first error is the one to tell.
            let _removed = std::fs::remove_file(&unfinished);
        }
        outcome
    }
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(UNFINISHED);
    name.into()
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Failed, format!("{}: cannot be written: {error}", path.display()))
}

/// Everything before the data.
fn encode(keys: &Keys, tensors: &[Tensor]) -> Result<Vec<u8>, Error> {
    let mut head = MAGIC.to_vec();
    head.extend(VERSION.to_le_bytes());
    head.extend((tensors.len() as u64).to_le_bytes());
    head.extend(keys.count().to_le_bytes());
    head.extend(keys.bytes());
    let mut start = 0_u64;
    for tensor in tensors {
        keys::push_text(&mut head, &tensor.name);
        head.extend((tensor.dimensions.len() as u32).to_le_bytes());
        for dimension in &tensor.dimensions {
            head.extend(dimension.to_le_bytes());
        }
        head.extend(tensor.tensor_type.number().to_le_bytes());
        head.extend(start.to_le_bytes());
        let end = start.checked_add(tensor.bytes()?);
        start = end
            .and_then(|end| end.checked_next_multiple_of(ALIGNMENT))
            .ok_or_else(|| Error::invalid("the tensors are larger than a file can be"))?;
    }
    head.resize(head.len().next_multiple_of(ALIGNMENT as usize), 0);
    Ok(head)
}

fn write_file(
    path: &Path,
    head: &[u8],
    tensors: &[Tensor],
    rows: RowSource<'_>,
) -> Result<(), Error> {
    let io = |error: std::io::Error| failed(path, &error);
    let mut file = BufWriter::new(File::create(path).map_err(io)?);
    file.write_all(head).map_err(io)?;
    for tensor in tensors {
        let mut written = 0;
        stream::tensor(tensor, rows, |bytes| {
            written += bytes.len() as u64;
            file.write_all(bytes).map_err(io)
        })?;
        let padding = written.next_multiple_of(ALIGNMENT) - written;
        file.write_all(&vec![0; padding as usize]).map_err(io)?;
    }
    let file = file.into_inner().map_err(|error| io(error.into_error()))?;
    file.sync_all().map_err(io)
}
