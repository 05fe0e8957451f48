//! The format provider: opens a folder, describes it, hands out tensor bytes and assets.

use crate::assets;
use crate::fault::{fault, shown};
use crate::files::{self, CONFIG_BYTES_MAX};
use crate::index::{INDEX, Index};
use crate::modules::{self, Modules};
use crate::quantization::Quantization;
use crate::shard::Shard;
use crate::special_tokens::token_ids;
use crate::stored::StoredTensors;
use crate::tensors::{Place, Tensors};
use plugin_api::{Checkpoint, CheckpointInfo, Error, ErrorKind, Format, Scheme, TensorInfo};
use serde_json::{Map, Value};
use std::ops::Range;
use std::path::{Path, PathBuf};

const CONFIG: &str = "config.json";
/// Weights of a checkpoint that is not sharded.
const SINGLE: &str = "model.safetensors";
/// Weights that are not read, by the names they go by.
const PICKLES: [&str; 4] =
    ["pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.00.pth", "tf_model.h5"];
const ARCHITECTURE_BYTES_MAX: usize = 128;

/// The format `safetensors`.
#[derive(Debug)]
pub struct Safetensors;

/// An open checkpoint folder.
#[derive(Debug)]
pub struct SafetensorsCheckpoint {
    folder: PathBuf,
    shards: Vec<Shard>,
    info: CheckpointInfo,
    /// Where each tensor is, in the order of the description.
    places: Vec<Place>,
}

impl Format for Safetensors {
    const NAME: &'static str = "safetensors";
    type Checkpoint = SafetensorsCheckpoint;

    fn probe(path: &Path) -> u32 {
        if path.is_file() {
            let named = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors"));
            return if named { 90 } else { 0 };
        }
        let has = |name: &str| path.join(name).is_file();
        match (has(CONFIG), has(SINGLE) || has(INDEX)) {
            (true, true) => 100,
            // Cannot be opened, but `open` can say what is missing.
            (true, false) | (false, true) => 50,
            (false, false) => 0,
        }
    }

    fn open(path: &Path) -> Result<SafetensorsCheckpoint, Error> {
        let path = std::path::absolute(path).map_err(|error| files::io_error(path, &error))?;
        let metadata = std::fs::metadata(&path).map_err(|error| files::io_error(&path, &error))?;
        let (folder, index, names) = if metadata.is_dir() {
            let (index, names) = folder_weights(&path)?;
            (path, index, names)
        } else {
            file_weights(&path)?
        };
        let config_path = folder.join(CONFIG);
        let mut config = required_config(&config_path)?;
        let architecture = architecture(&config_path, &config)?;
        let shards = names.iter().map(|name| Shard::open(folder.join(name)));
        let mut shards: Vec<Shard> = shards.collect::<Result<_, Error>>()?;
        config.remove(modules::KEY);
        if let Some(modules) = Modules::read(&folder)? {
            config.insert(modules::KEY.to_owned(), modules.config);
            shards.extend(modules.shards);
        }
        let quantization = Quantization::read(&config_path, &config)?;
        let stored = StoredTensors::new(&shards, index.as_ref())?;
        let Tensors { infos, places } = Tensors::new(&shards, &stored, &quantization)?;
        let info = describe(&folder, architecture, config, (infos, &places))?;
        Ok(SafetensorsCheckpoint { folder, shards, info, places })
    }
}

impl Checkpoint for SafetensorsCheckpoint {
    fn info(&self) -> &CheckpointInfo {
        &self.info
    }

    fn tensor(&self, index: usize) -> Result<&[u8], Error> {
        let place = self.place(index)?;
        place.bytes(&self.shards).ok_or_else(|| {
            let name = &self.info.tensors[index].name;
            let why = format!("{}: {name} is made row by row", self.folder.display());
            Error::new(ErrorKind::NotFound, why)
        })
    }

    fn read_rows(&self, index: usize, rows: Range<usize>, dst: &mut [u8]) -> Result<(), Error> {
        let place = self.place(index)?;
        let there = rows.start <= rows.end && rows.end <= place.rows;
        if !there || dst.len() != rows.len() * place.row_bytes {
            let found = format!("{rows:?} in {} bytes", dst.len());
            let expected = format!("some of {} rows of {} bytes", place.rows, place.row_bytes);
            return Err(fault(&self.folder, "rows", found, expected));
        }
        place.read(&self.shards, rows, dst)
    }

    fn release_pages(&self) {
        self.shards.iter().for_each(Shard::release_pages);
    }

    fn asset(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        match name {
            "chat_template" => assets::chat_template(&self.folder),
            "tokenizer.json" => assets::tokenizer_json(&self.folder),
            _ => Ok(None),
        }
    }
}

impl SafetensorsCheckpoint {
    fn place(&self, index: usize) -> Result<&Place, Error> {
        self.places.get(index).ok_or_else(|| {
            let expected = format!("less than {}", self.places.len());
            fault(&self.folder, "tensor index", index, expected)
        })
    }
}

/// The index of a folder, if its weights are sharded, and the names of its weight files.
fn folder_weights(folder: &Path) -> Result<(Option<Index>, Vec<String>), Error> {
    if folder.join(SINGLE).exists() {
        return Ok((None, vec![SINGLE.to_owned()]));
    }
    if let Some(index) = Index::read(folder)? {
        let names = index.shards().into_iter().map(str::to_owned).collect();
        return Ok((Some(index), names));
    }
    let pickle = PICKLES.iter().find(|name| folder.join(name).exists());
    let found = pickle.map_or_else(|| "no such file".to_owned(), |name| format!("only {name}"));
    let hint = match pickle {
        Some(_) => "; convert it to safetensors, pickles are never read",
        None => "",
    };
    Err(fault(folder, "weights", found, format!("{SINGLE} or {INDEX}{hint}")))
}

/// Folder, index and weight files of a checkpoint that was given by one of its weight files.
fn file_weights(path: &Path) -> Result<(PathBuf, Option<Index>, Vec<String>), Error> {
    let name = path.file_name().and_then(|name| name.to_str());
    let (Some(folder), Some(name)) = (path.parent(), name) else {
        return Err(fault(path, "file", "no file name in UTF-8", "a file in a folder"));
    };
    let index = Index::read(folder)?.filter(|index| index.shards().contains(name));
    let names = match &index {
        Some(index) => index.shards().into_iter().map(str::to_owned).collect(),
        None => vec![name.to_owned()],
    };
    Ok((folder.to_owned(), index, names))
}

fn required_config(path: &Path) -> Result<Map<String, Value>, Error> {
    files::read_object(path, CONFIG_BYTES_MAX)?
        .ok_or_else(|| fault(path, "file", "no such file", "the config.json of the checkpoint"))
}

/// `architectures[0]`, a plain identifier: the host looks plugins up by it.
fn architecture(path: &Path, config: &Map<String, Value>) -> Result<String, Error> {
    let expected = "the name of a model class, such as `Qwen2ForCausalLM`";
    let named = config.get("architectures").and_then(|list| list.get(0)?.as_str());
    let Some(name) = named else {
        return Err(fault(path, "architectures", "no such list of names", expected));
    };
    let identifier = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let length_fits = (1..=ARCHITECTURE_BYTES_MAX).contains(&name.len());
    if !length_fits || !name.chars().all(identifier) {
        return Err(fault(path, "architectures", shown(name), expected));
    }
    Ok(name.to_owned())
}

fn describe(
    folder: &Path,
    architecture: String,
    config: Map<String, Value>,
    (tensors, places): (Vec<TensorInfo>, &[Place]),
) -> Result<CheckpointInfo, Error> {
    let generation_path = folder.join("generation_config.json");
    let generation = files::read_object(&generation_path, CONFIG_BYTES_MAX)?.unwrap_or_default();
    let nothing = Map::new();
    // Models with images keep the language model's own settings one level down.
    let text = config.get("text_config").and_then(Value::as_object).unwrap_or(&nothing);
    let sources = [&generation, &config, text];
    let size = |config: &Map<String, Value>| config.get("vocab_size").and_then(Value::as_u64);
    let vocab_size = size(&config).or_else(|| size(text));
    let eos_tokens = token_ids(&sources, "eos_token_id", vocab_size);
    let bos_token = token_ids(&sources, "bos_token_id", vocab_size).first().copied();
    let name = config.get("_name_or_path").and_then(Value::as_str);
    let name = name.filter(|name| !name.is_empty()).map(str::to_owned);
    let name = name.or_else(|| Some(folder.file_name()?.to_string_lossy().into_owned()));
    let tensor_bytes = places.iter().map(|place| place.len() as u64).sum();
    let mut info = CheckpointInfo::new(Scheme::Hf, architecture, config, tensors, tensor_bytes);
    (info.name, info.eos_tokens, info.bos_token) = (name, eos_tokens, bos_token);
    Ok(info)
}
