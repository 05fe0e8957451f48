//! The format provider: opens a file, describes it, hands out tensor bytes and assets.
//!
//! Everything wrong with a file is found in [`Format::open`], except in the tokenizer's merges and
//! the chat template, which are looked at when the host asks for them.

use crate::end_tokens::end_tokens;
use crate::fault::{fault, shown};
use crate::header::MAGIC;
use crate::metadata::Metadata;
use crate::shard::Shard;
use crate::shards::Shards;
use crate::tensor_table::Tensor;
use crate::vocabulary::{Vocabulary, check_size};
use crate::{config, folder, foreign, tokenizer};
use plugin_api::{Checkpoint, CheckpointInfo, Error, Format, Scheme, TensorInfo};
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

/// Longest chat template.
const TEMPLATE_BYTES_MAX: usize = 1 << 20;
/// Tensors with one row for each token.
const VOCABULARY_TENSORS: [&str; 2] = ["token_embd.weight", "output.weight"];

/// The format `gguf`.
#[derive(Debug)]
pub struct Gguf;

/// An open GGUF checkpoint: a file, or all shards of one.
#[derive(Debug)]
pub struct GgufCheckpoint {
    shards: Shards,
    info: CheckpointInfo,
    /// Shard and bytes of each tensor, in the order of the description.
    places: Vec<(usize, Range<usize>)>,
}

impl Format for Gguf {
    const NAME: &'static str = "gguf";
    type Checkpoint = GgufCheckpoint;

    fn probe(path: &Path) -> u32 {
        // Asked before opening: opening a pipe would wait for its other end.
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(metadata) if metadata.is_dir() && folder::has_checkpoint(path) => return 80,
            _ => return 0,
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
        let shards = if path.is_dir() {
            Shards::open(&folder::only_checkpoint(path).map_err(named)?)?
        } else {
            Shards::open(path)?
        };
        let info = describe(&shards)?;
        let places = places(&shards)
            .ok_or_else(|| named(Error::failed("a tensor is larger than memory can be")))?;
        Ok(GgufCheckpoint { shards, info, places })
    }
}

impl Checkpoint for GgufCheckpoint {
    fn info(&self) -> &CheckpointInfo {
        &self.info
    }

    fn tensor(&self, index: usize) -> Result<&[u8], Error> {
        let place = self.places.get(index);
        let bytes = place.and_then(|(shard, range)| self.shards.get(*shard)?.bytes(range));
        bytes.ok_or_else(|| {
            let expected = format!("less than {}", self.places.len());
            self.shards.first.name(fault("tensor index", index, expected))
        })
    }

    fn release_pages(&self) {
        self.shards.iter().for_each(Shard::release_pages);
    }

    fn asset(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let first = &self.shards.first;
        match name {
            "chat_template" => chat_template(first.metadata()),
            "tokenizer.json" => tokenizer::tokenizer_json(first.metadata()),
            _ => Ok(None),
        }
        .map_err(|error| first.name(error))
    }
}

/// Shard and bytes of every tensor; nothing if an address has too few bits for one.
fn places(shards: &Shards) -> Option<Vec<(usize, Range<usize>)>> {
    let tensors = shards.iter().enumerate().flat_map(|(number, shard)| {
        let range = |tensor: &Tensor| tensor.range(shard.header.data_start);
        shard.header.tensors.iter().map(move |tensor| Some((number, range(tensor)?)))
    });
    tensors.collect()
}

fn describe(shards: &Shards) -> Result<CheckpointInfo, Error> {
    let first = &shards.first;
    let (mut info, token_count) =
        describe_metadata(first.metadata()).map_err(|error| first.name(error))?;
    for shard in shards.iter() {
        let tensors = &shard.header.tensors;
        if let Some(token_count) = token_count {
            check_rows(tensors, token_count).map_err(|error| shard.name(error))?;
        }
        info.tensors.extend(tensors.iter().map(tensor_info));
        info.tensor_bytes += tensors.iter().map(Tensor::bytes).sum::<u64>();
    }
    Ok(info)
}

/// The description without the tensors, and the number of tokens if there is a vocabulary.
fn describe_metadata(metadata: Metadata<'_>) -> Result<(CheckpointInfo, Option<usize>), Error> {
    let architecture = config::architecture(metadata)?;
    let vocabulary = Vocabulary::read(metadata)?;
    let mut eos_tokens = Vec::new();
    if let Some(vocabulary) = &vocabulary {
        check_size(metadata, &architecture, vocabulary.pieces.len())?;
        eos_tokens = end_tokens(metadata, vocabulary)?;
    }
    let config = config::config(metadata)?;
    let mut info = CheckpointInfo::new(Scheme::Gguf, architecture, config, Vec::new(), 0);
    info.name = metadata.text("general.name")?.filter(|name| !name.is_empty()).map(str::to_owned);
    info.eos_tokens = eos_tokens;
    info.bos_token = vocabulary.as_ref().and_then(|vocabulary| vocabulary.bos);
    Ok((info, vocabulary.map(|vocabulary| vocabulary.pieces.len())))
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
