//! `modules.json`: what sentence-transformers runs after the model, as a chain of small folders.
//!
//! The chain is the model, one pooling, any dense layers and maybe a normalization, in this order;
//! anything else is refused, because leaving a step out would give vectors of another space. What
//! an architecture needs of it goes into the config under one key, and the tensors of the dense
//! layers join those of the model under the names of their folders. Names and meanings are those of
//! `sentence_transformers.models` (Reimers and Gurevych, 2019).

use crate::fault::{fault, shown};
use crate::files::{self, CONFIG_BYTES_MAX};
use crate::shard::Shard;
use plugin_api::Error;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Key of the config that tells an architecture what follows the model.
pub(crate) const KEY: &str = "sentence_transformers";
const MODULES: &str = "modules.json";
const MODULES_MAX: usize = 16;

/// What follows the model.
#[derive(Debug)]
pub(crate) struct Modules {
    /// Value of [`KEY`].
    pub(crate) config: Value,
    /// Weights of the dense layers, in their order, with their full names.
    pub(crate) shards: Vec<Shard>,
}

/// A step of the chain and its folder.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Transformer,
    Pooling(PathBuf),
    Dense(String),
    Normalize,
}

impl Modules {
    /// The chain of a checkpoint folder, if it has one.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join(MODULES);
        let Some(bytes) = files::read(&path, CONFIG_BYTES_MAX)? else { return Ok(None) };
        let listed: Vec<Map<String, Value>> = serde_json::from_slice(&bytes)
            .map_err(|error| fault(&path, "file", error, "a JSON list of objects"))?;
        if listed.len() > MODULES_MAX {
            let found = format!("{} modules", listed.len());
            return Err(fault(&path, "file", found, format!("at most {MODULES_MAX}")));
        }
        let steps = listed.iter().map(|module| step(&path, folder, module));
        let steps: Vec<Step> = steps.collect::<Result<_, _>>()?;
        let order = "Transformer, Pooling, any Dense, and Normalize or nothing, in this order";
        let wrong_order = || fault(&path, "type", "another order of modules", order);
        let [Step::Transformer, Step::Pooling(pooling_folder), rest @ ..] = steps.as_slice() else {
            return Err(wrong_order());
        };
        let (rest, normalize) = match rest {
            [rest @ .., Step::Normalize] => (rest, true),
            _ => (rest, false),
        };
        let (mut layers, mut shards) = (Vec::new(), Vec::new());
        let mut width = None;
        for step in rest {
            let Step::Dense(name) = step else { return Err(wrong_order()) };
            let (layer, shard, out_features) = dense(folder, name, width)?;
            layers.push(layer);
            shards.push(shard);
            width = Some(out_features);
        }
        let pooling = pooling(&pooling_folder.join("config.json"))?;
        let config = json!({"pooling": pooling, "normalize": normalize, "dense": layers});
        Ok(Some(Self { config, shards }))
    }
}

/// One entry of the list: its class, and its folder if the class has files.
fn step(path: &Path, folder: &Path, module: &Map<String, Value>) -> Result<Step, Error> {
    let text = |field: &str| {
        let value = module.get(field).and_then(Value::as_str);
        value.ok_or_else(|| fault(path, field, "no text", "a string in each module"))
    };
    let (class, place) = (text("type")?, text("path")?);
    let short = class.strip_prefix("sentence_transformers.").and_then(|c| c.rsplit('.').next());
    let plain = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    let is_folder = !place.is_empty() && !place.starts_with('.') && place.chars().all(plain);
    let own = || {
        let expected = "the plain name of a folder of the checkpoint";
        if is_folder { Ok(place) } else { Err(fault(path, "path", shown(place), expected)) }
    };
    match short {
        Some("Transformer") if place.is_empty() => Ok(Step::Transformer),
        Some("Transformer") => {
            let expected = "the model in the checkpoint folder itself, an empty path";
            Err(fault(path, "path", shown(place), expected))
        }
        Some("Pooling") => Ok(Step::Pooling(folder.join(own()?))),
        Some("Dense") => Ok(Step::Dense(own()?.to_owned())),
        Some("Normalize") => Ok(Step::Normalize),
        _ => {
            let expected = "Transformer, Pooling, Dense or Normalize of sentence_transformers";
            Err(fault(path, "type", shown(class), expected))
        }
    }
}

fn required(path: &Path) -> Result<Map<String, Value>, Error> {
    files::read_object(path, CONFIG_BYTES_MAX)?
        .ok_or_else(|| fault(path, "file", "no such file", "the module that modules.json names"))
}

/// The one way of pooling that a config turns on; newer ones name it, older ones have a flag each.
fn pooling(path: &Path) -> Result<&'static str, Error> {
    const EXPECTED: &str = "one of mean, cls and lasttoken";
    let config = required(path)?;
    let named = config.get("pooling_mode").and_then(Value::as_str);
    let flags = config.iter().filter(|(_, on)| **on == Value::Bool(true));
    let flags = flags.filter_map(|(key, _)| key.strip_prefix("pooling_mode_"));
    let modes: Vec<&str> = named.into_iter().chain(flags).collect();
    match modes.as_slice() {
        ["mean" | "mean_tokens"] => Ok("mean"),
        ["cls" | "cls_token"] => Ok("cls"),
        ["lasttoken"] => Ok("lasttoken"),
        [] => Err(fault(path, "pooling_mode", "none", EXPECTED)),
        modes => Err(fault(path, "pooling_mode", shown(&modes.join(" + ")), EXPECTED)),
    }
}

/// A dense layer: its entry in the config, its weights, and how wide its output is. `width` is how
/// wide the layer before it is.
fn dense(folder: &Path, name: &str, width: Option<usize>) -> Result<(Value, Shard, usize), Error> {
    let folder = folder.join(name);
    let path = folder.join("config.json");
    let config = required(&path)?;
    let size = |field: &str| {
        let size = config.get(field).and_then(Value::as_u64);
        let size = size.and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0);
        size.ok_or_else(|| fault(&path, field, "no such number", "a positive integer"))
    };
    let (in_features, out_features) = (size("in_features")?, size("out_features")?);
    if let Some(width) = width.filter(|width| *width != in_features) {
        let expected = format!("{width}, the width before it");
        return Err(fault(&path, "in_features", in_features, expected));
    }
    let has_bias = match config.get("bias") {
        None | Some(Value::Bool(true)) => true,
        Some(Value::Bool(false)) => false,
        Some(_) => return Err(fault(&path, "bias", "something else", "true or false")),
    };
    let activation = activation(&path, &config)?;
    let mut shapes = vec![("weight", vec![out_features, in_features])];
    if has_bias {
        shapes.push(("bias", vec![out_features]));
    }
    // A bias is found beside the matrix, as everywhere in a checkpoint.
    let layer = json!({"tensor": format!("{name}.linear.weight"), "activation": activation});
    let shard = weights(folder.join("model.safetensors"), name, &shapes)?;
    Ok((layer, shard, out_features))
}

/// The function after a layer, by its class in PyTorch; none says tanh.
fn activation(path: &Path, config: &Map<String, Value>) -> Result<&'static str, Error> {
    let expected = "torch.nn.modules.linear.Identity or torch.nn.modules.activation.Tanh";
    let Some(value) = config.get("activation_function") else { return Ok("tanh") };
    match value.as_str() {
        Some("torch.nn.modules.linear.Identity") => Ok("identity"),
        Some("torch.nn.modules.activation.Tanh") => Ok("tanh"),
        _ => Err(fault(path, "activation_function", shown(&value.to_string()), expected)),
    }
}

/// The weights of a dense layer, which are these and no others, named after its folder.
fn weights(path: PathBuf, name: &str, shapes: &[(&str, Vec<usize>)]) -> Result<Shard, Error> {
    let mut shard = Shard::open(path)?;
    for (part, shape) in shapes {
        let tensor = format!("linear.{part}");
        let found = shard.tensors.iter().find(|(info, _)| info.name == tensor);
        if found.is_none_or(|(info, _)| info.shape != *shape) {
            let found = found
                .map_or("no such tensor".to_owned(), |(info, _)| format!("shape {:?}", info.shape));
            return Err(fault(&shard.path, tensor, found, format!("shape {shape:?}")));
        }
    }
    if shard.tensors.len() != shapes.len() {
        let found = format!("{} tensors", shard.tensors.len());
        return Err(fault(&shard.path, "header", found, format!("{} tensors", shapes.len())));
    }
    for (info, _) in &mut shard.tensors {
        info.name = format!("{name}.{}", info.name);
    }
    Ok(shard)
}
