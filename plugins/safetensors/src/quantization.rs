//! `quantization_config` of `config.json`: how the weights of a checkpoint were quantized.
//!
//! Only what the tensors cannot say themselves is taken from it; which modules were left out, for
//! one, their tensors show. Forms that are not read are refused by name, before an architecture
//! misses a tensor. Keys and values are those of transformers' `GPTQConfig`, `AwqConfig` and
//! `FineGrainedFP8Config`, of GPTQModel (`checkpoint_format`) and of compressed-tensors.

use crate::fault::{fault, shown};
use plugin_api::Error;
use serde_json::{Map, Value};
use std::fmt::Display;
use std::path::Path;

const KEY: &str = "quantization_config";
const INSTEAD: &str = "take a checkpoint of such a form, a GGUF file, or the unquantized checkpoint \
                       and quantize it with --isq";

/// How the weights are stored, as far as the config says.
#[derive(Debug, Default)]
pub(crate) struct Quantization {
    /// For 4-bit codes in words.
    pub(crate) packing: Option<Packing>,
    /// Rows and columns that share a scale of 8-bit floats.
    pub(crate) block: Option<[usize; 2]>,
}

/// How a quantizer packed 4-bit codes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packing {
    pub(crate) layout: Layout,
    /// Columns with one scale and zero; nothing where all columns of a row have the same.
    pub(crate) group_size: Option<usize>,
    /// Whether the zeros are stored; else they are 8, the middle of the codes.
    pub(crate) has_zeros: bool,
    /// Whether the groups of the columns are stored because they are in no order.
    pub(crate) has_order: bool,
}

/// What a word holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Codes of eight columns of the weight, and zeros less this.
    Gptq(u8),
    /// Codes of eight rows, in the order in which AWQ's GEMM kernel unpacks them.
    Awq,
}

impl Quantization {
    /// What `config`, read from `path`, says.
    pub(crate) fn read(path: &Path, config: &Map<String, Value>) -> Result<Self, Error> {
        let object = match config.get(KEY) {
            None | Some(Value::Null) => return Ok(Self::default()),
            Some(Value::Object(object)) => object,
            Some(_) => return Err(fault(path, KEY, "something else", "an object")),
        };
        let settings = Settings { path, object };
        match settings.text("quant_method", "none")? {
            "gptq" => settings.gptq(),
            "awq" => settings.awq(),
            "fp8" => settings.fp8(),
            "compressed-tensors" => settings.compressed_tensors(),
            other => {
                let expected = "gptq, awq, fp8 or compressed-tensors";
                Err(settings.unread("quant_method", shown(other), expected))
            }
        }
    }
}

/// The object and where it is.
struct Settings<'a> {
    path: &'a Path,
    object: &'a Map<String, Value>,
}

impl<'a> Settings<'a> {
    fn gptq(&self) -> Result<Quantization, Error> {
        self.four_bits()?;
        // GPTQModel writes one key or both, AutoGPTQ a flag.
        let format = self.text("checkpoint_format", self.text("format", "gptq")?)?;
        let bias = match format {
            "gptq" => 1,
            "gptq_v2" => 0,
            other => {
                let found = shown(other);
                return Err(self.unread("checkpoint_format", found, "gptq or gptq_v2"));
            }
        };
        if self.flag("is_marlin_format", false)? {
            return Err(self.unread("is_marlin_format", true, "false"));
        }
        Ok(Quantization {
            packing: Some(Packing {
                layout: Layout::Gptq(bias),
                group_size: self.group_size()?,
                has_zeros: true,
                has_order: self.flag("desc_act", false)?,
            }),
            block: None,
        })
    }

    fn awq(&self) -> Result<Quantization, Error> {
        self.four_bits()?;
        let version = self.text("version", "gemm")?;
        if !version.eq_ignore_ascii_case("gemm") {
            return Err(self.unread("version", shown(version), "gemm"));
        }
        let backend = self.text("backend", "autoawq")?;
        if backend == "llm-awq" {
            return Err(self.unread("backend", shown(backend), "autoawq"));
        }
        Ok(Quantization {
            packing: Some(Packing {
                layout: Layout::Awq,
                group_size: self.group_size()?,
                has_zeros: self.flag("zero_point", true)?,
                has_order: false,
            }),
            block: None,
        })
    }

    fn fp8(&self) -> Result<Quantization, Error> {
        let form = self.text("fmt", "e4m3")?;
        if form != "e4m3" {
            return Err(self.unread("fmt", shown(form), "e4m3"));
        }
        let block = self.block("weight_block_size", self.object.get("weight_block_size"))?;
        Ok(Quantization { packing: None, block })
    }

    fn compressed_tensors(&self) -> Result<Quantization, Error> {
        let format = self.text("format", "none")?;
        if !["float-quantized", "naive-quantized"].contains(&format) {
            return Err(self.unread("format", shown(format), "float-quantized"));
        }
        let sparsity = self.object.get("sparsity_config").and_then(|config| config.get("format"));
        if let Some(sparsity) = sparsity.and_then(Value::as_str).filter(|name| *name != "dense") {
            return Err(self.unread("sparsity_config", shown(sparsity), "dense"));
        }
        let mut block = None;
        let groups = self.object.get("config_groups").and_then(Value::as_object);
        for weights in groups.into_iter().flat_map(Map::values).map(|group| &group["weights"]) {
            let (kind, bits) = (weights["type"].as_str().unwrap_or("none"), &weights["num_bits"]);
            if kind != "float" || *bits != 8 {
                let found = shown(&format!("{kind} of {bits} bits"));
                return Err(self.unread("config_groups", found, "float of 8 bits"));
            }
            let other = self.block("block_structure", weights.get("block_structure"))?;
            if let (Some(one), Some(other)) = (block, other)
                && one != other
            {
                let found = format!("{one:?} and {other:?}");
                return Err(self.unread("block_structure", found, "one for all groups"));
            }
            block = block.or(other);
        }
        Ok(Quantization { packing: None, block })
    }

    fn four_bits(&self) -> Result<(), Error> {
        match self.object.get("bits").and_then(Value::as_u64) {
            Some(4) => Ok(()),
            Some(bits) => Err(self.unread("bits", bits, "4")),
            None => Err(self.fault("bits", "no such number", "4")),
        }
    }

    fn group_size(&self) -> Result<Option<usize>, Error> {
        let size = self.object.get("group_size").and_then(Value::as_i64);
        if size == Some(-1) {
            return Ok(None);
        }
        let size = size.and_then(|size| u32::try_from(size).ok()).filter(|size| *size > 0);
        let size = size.and_then(|size| usize::try_from(size).ok());
        let expected = "a positive integer, or -1 for one group of all columns";
        size.map(Some).ok_or_else(|| self.fault("group_size", "no such number", expected))
    }

    /// Rows and columns of a block, if there are blocks.
    fn block(&self, key: &str, value: Option<&Value>) -> Result<Option<[usize; 2]>, Error> {
        let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
        let side = |index: usize| {
            let side = value.get(index).and_then(Value::as_u64).filter(|side| *side > 0);
            side.and_then(|side| u32::try_from(side).ok()).and_then(|side| side.try_into().ok())
        };
        let length = value.as_array().map(Vec::len);
        match (length, side(0), side(1)) {
            (Some(2), Some(rows), Some(columns)) => Ok(Some([rows, columns])),
            _ => Err(self.fault(key, shown(&value.to_string()), "two positive integers")),
        }
    }

    fn text(&self, key: &str, default: &'a str) -> Result<&'a str, Error> {
        match self.object.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(self.fault(key, shown(&other.to_string()), "a string")),
        }
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool, Error> {
        match self.object.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.fault(key, shown(&other.to_string()), "true or false")),
        }
    }

    fn fault(&self, key: &str, found: impl Display, expected: &str) -> Error {
        fault(self.path, format!("{KEY}: {key}"), found, expected)
    }

    /// The checkpoint may be right, but it is of a form that this plugin does not read.
    fn unread(&self, key: &str, found: impl Display, expected: &str) -> Error {
        self.fault(key, found, &format!("{expected}; {INSTEAD}"))
    }
}
