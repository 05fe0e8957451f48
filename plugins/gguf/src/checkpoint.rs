//! The format provider: opens a file, describes it, hands out tensor bytes and assets.
//!
//! Everything wrong with a file is found in [`Format::open`], except in the tokenizer's merges and
//! the chat template, which are looked at when the host asks for them.

use crate::end_tokens::end_tokens;
use crate::fault::{fault, shown};
use crate::header::{Header, MAGIC};
use crate::mapping::Mapping;
use crate::metadata::Metadata;
use crate::tensor_table::Tensor;
use crate::vocabulary::{Vocabulary, check_size};
use crate::{config, foreign, tokenizer};
use plugin_api::{Checkpoint, CheckpointInfo, Error, Format, Scheme, TensorInfo};
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Longest chat template.
const TEMPLATE_BYTES_MAX: usize = 1 << 20;
/// Tensors with one row for each token.
const VOCABULARY_TENSORS: [&str; 2] = ["token_embd.weight", "output.weight"];

/// The format `gguf`.
#[derive(Debug)]
pub struct Gguf;

/// An open GGUF file.
#[derive(Debug)]
pub struct GgufCheckpoint {
    path: PathBuf,
    mapping: Mapping,
    header: Header,
    info: CheckpointInfo,
    /// Bytes of each tensor, in the order of the description.
    ranges: Vec<Range<usize>>,
}

impl Format for Gguf {
    const NAME: &'static str = "gguf";
    type Checkpoint = GgufCheckpoint;

    fn probe(path: &Path) -> u32 {
        // Asked before opening: opening a pipe would wait for its other end.
        if !std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
            return 0;
        }
        let mut start = Vec::new();
        let read = File::open(path).and_then(|file| file.take(64).read_to_end(&mut start));
        let named = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
        match read {
            Ok(_) if start.starts_with(MAGIC) => 100,
            _ if named => 50,
            // Nobody may be able to open it, but `open` can say what it is.
            Ok(_) if foreign::recognise(&start).is_some() => 1,
            _ => 0,
        }
    }

    fn open(path: &Path) -> Result<GgufCheckpoint, Error> {
        let named = |error: Error| error.context(path.display());
        let mapping = Mapping::open(path).map_err(named)?;
        let header = Header::read(mapping.bytes()).map_err(named)?;
        let info = describe(mapping.bytes(), &header).map_err(named)?;
        let range = |tensor: &Tensor| tensor.range(header.data_start);
        let ranges: Option<_> = header.tensors.iter().map(range).collect();
        let ranges =
            ranges.ok_or_else(|| Error::failed("a tensor is larger than memory can be"))?;
        Ok(GgufCheckpoint { path: path.to_owned(), mapping, header, info, ranges })
    }
}

impl Checkpoint for GgufCheckpoint {
    fn info(&self) -> &CheckpointInfo {
        &self.info
    }

    fn tensor(&self, index: usize) -> Result<&[u8], Error> {
        let bytes =
            self.ranges.get(index).and_then(|range| self.mapping.bytes().get(range.clone()));
        bytes.ok_or_else(|| {
            let expected = format!("less than {}", self.ranges.len());
            fault(format!("{}: tensor index", self.path.display()), index, expected)
        })
    }

    fn release_pages(&self) {
        self.mapping.release_pages();
    }

    fn asset(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let metadata = Metadata::new(self.mapping.bytes(), &self.header.entries);
        match name {
            "chat_template" => chat_template(metadata),
            "tokenizer.json" => tokenizer::tokenizer_json(metadata),
            _ => Ok(None),
        }
        .map_err(|error| error.context(self.path.display()))
    }
}

fn describe(bytes: &[u8], header: &Header) -> Result<CheckpointInfo, Error> {
    let metadata = Metadata::new(bytes, &header.entries);
    let architecture = config::architecture(metadata)?;
    let vocabulary = Vocabulary::read(metadata)?;
    let mut eos_tokens = Vec::new();
    if let Some(vocabulary) = &vocabulary {
        let token_count = vocabulary.pieces.len();
        check_size(metadata, &architecture, token_count)?;
        check_rows(&header.tensors, token_count)?;
        eos_tokens = end_tokens(metadata, vocabulary)?;
    }
    let tensors = header.tensors.iter().map(tensor_info).collect();
    let tensor_bytes = header.tensors.iter().map(Tensor::bytes).sum();
    let config = config::config(metadata)?;
    let mut info = CheckpointInfo::new(Scheme::Gguf, architecture, config, tensors, tensor_bytes);
    info.name = metadata.text("general.name")?.filter(|name| !name.is_empty()).map(str::to_owned);
    info.eos_tokens = eos_tokens;
    info.bos_token = vocabulary.and_then(|vocabulary| vocabulary.bos);
    Ok(info)
}

fn tensor_info(tensor: &Tensor) -> TensorInfo {
    // `place` has found every tensor inside the file, so a dimension fits an address.
    let shape = tensor.dimensions.iter().rev().map(|dimension| *dimension as usize).collect();
    TensorInfo::new(tensor.name.clone(), tensor.tensor_type.name.to_owned(), shape)
}

fn check_rows(tensors: &[Tensor], token_count: usize) -> Result<(), Error> {
    for tensor in tensors.iter().filter(|t| VOCABULARY_TENSORS.contains(&t.name.as_str())) {
        if tensor.dimensions.get(1) != Some(&(token_count as u64)) {
            let found = format!("dimensions {:?}", tensor.dimensions);
            let expected = format!("a second dimension of {token_count}, one row for each token");
            let field = format!("tensor {}", shown(tensor.name.as_bytes()));
            return Err(fault(field, found, expected));
        }
    }
    Ok(())
}

fn chat_template(metadata: Metadata<'_>) -> Result<Option<Vec<u8>>, Error> {
    let key = "tokenizer.chat_template";
    let Some(template) = metadata.text(key)? else { return Ok(None) };
    if template.len() > TEMPLATE_BYTES_MAX {
        let found = format!("{} bytes", template.len());
        return Err(fault(key, found, format!("at most {TEMPLATE_BYTES_MAX}")));
    }
    Ok(Some(template.as_bytes().to_vec()))
}
