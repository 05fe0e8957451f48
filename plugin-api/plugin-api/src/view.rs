//! How an architecture reads a checkpoint: hyper-parameters and tensors by either naming scheme.
//!
//! Every accessor names the key it wanted and what it found, because its error is read by somebody
//! whose file does not load. Sizes are bounded here, once, so that builders may multiply them.

use crate::{Activation, CheckpointInfo, Error, Scheme, TensorInfo};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Largest hyper-parameter that counts something (layers, heads, widths, positions).
const COUNT_MAX: u64 = 1 << 24;

/// A checkpoint's description with typed access.
#[derive(Debug, Clone)]
pub struct CheckpointView {
    info: CheckpointInfo,
    by_name: HashMap<String, usize>,
    /// Where the configuration lies in the checkpoint's own, for messages: `text_config.`.
    config_prefix: String,
    tensor_prefix: String,
    /// What was read of a checkpoint in another scheme, by GGUF's keys: what a GGUF file of the
    /// model would say. Shared by all views of one checkpoint.
    gguf: Arc<Mutex<Map<String, Value>>>,
}

impl CheckpointView {
    /// Indexes a description.
    #[must_use]
    pub fn new(info: CheckpointInfo) -> Self {
        let by_name =
            info.tensors.iter().enumerate().map(|(index, t)| (t.name.clone(), index)).collect();
        let (config_prefix, tensor_prefix) = (String::new(), String::new());
        Self { info, by_name, config_prefix, tensor_prefix, gguf: Arc::default() }
    }

    /// The model inside a larger one whose configuration is the object at `key` and whose tensors
    /// have names that begin with `tensor_prefix`.
    ///
    /// # Errors
    /// The configuration has no object at `key`.
    pub fn part(&self, key: &str, tensor_prefix: &str) -> Result<Self, Error> {
        let Some(config) = self.info.config.get(key).and_then(Value::as_object) else {
            return Err(Error::invalid(format!("{} is no object", self.key(key, key))));
        };
        let mut part = self.clone();
        part.info.config = config.clone();
        part.config_prefix.push_str(&format!("{key}."));
        part.tensor_prefix.push_str(tensor_prefix);
        Ok(part)
    }

    /// The same model where the names of its tensors begin with one of `prefixes`, as they do in a
    /// checkpoint of a model built around it.
    #[must_use]
    pub fn below_any(mut self, prefixes: &[&str]) -> Self {
        let begins = |prefix: &&&str| {
            let full = format!("{}{prefix}", self.tensor_prefix);
            self.info.tensors.iter().any(|tensor| tensor.name.starts_with(&full))
        };
        if let Some(prefix) = prefixes.iter().find(begins) {
            self.tensor_prefix.push_str(prefix);
        }
        self
    }

    /// The same with values for what a `config.json` leaves out; other schemes leave nothing out.
    #[must_use]
    pub fn with_defaults(mut self, defaults: &[(&str, u64)]) -> Self {
        if self.info.scheme == Scheme::Hf {
            for &(key, value) in defaults {
                self.info.config.entry(key).or_insert_with(|| value.into());
            }
        }
        self
    }

    /// How the checkpoint names things.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.info.scheme
    }

    /// Architecture as the checkpoint calls it.
    #[must_use]
    pub fn architecture(&self) -> &str {
        &self.info.architecture
    }

    /// The whole description.
    #[must_use]
    pub fn info(&self) -> &CheckpointInfo {
        &self.info
    }

    /// The tensor of that name.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.by_name.get(name).map(|&index| &self.info.tensors[index])
    }

    /// Name in the checkpoint of the tensor that the model itself calls `name`.
    pub(crate) fn tensor_name(&self, name: &str) -> String {
        format!("{}{name}", self.tensor_prefix)
    }

    /// A value of the configuration: `hf` is a key of `config.json`, `gguf` a metadata key without
    /// the architecture's prefix. Dots in `hf` descend into objects. Null counts as absent.
    #[must_use]
    pub fn value(&self, hf: &str, gguf: &str) -> Option<&Value> {
        let value = match self.info.scheme {
            Scheme::Hf => {
                let (head, rest) = hf.split_once('.').unwrap_or((hf, ""));
                let mut value = self.info.config.get(head)?;
                for key in rest.split('.').filter(|key| !key.is_empty()) {
                    value = value.get(key)?;
                }
                value
            }
            Scheme::Gguf => self.info.config.get(&format!("{}.{gguf}", self.info.architecture))?,
        };
        if value.is_null() { None } else { Some(value) }
    }

    /// Notes that a hyper-parameter which GGUF files keep under that key was read.
    fn note<T: Clone + Into<Value>>(&self, gguf: &str, value: T) -> T {
        if gguf != "-" && self.info.scheme != Scheme::Gguf {
            let mut noted = self.gguf.lock().unwrap_or_else(PoisonError::into_inner);
            noted.insert(gguf.to_owned(), value.clone().into());
        }
        value
    }

    /// The hyper-parameters that were read, by GGUF's keys; nothing of a GGUF file, which has its
    /// own.
    pub(crate) fn noted(&self) -> Option<Map<String, Value>> {
        let noted = || self.gguf.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (self.info.scheme != Scheme::Gguf).then(noted)
    }

    /// The key as the checkpoint's owner knows it, for messages.
    fn key(&self, hf: &str, gguf: &str) -> String {
        match self.info.scheme {
            Scheme::Hf => format!("config.json: {}{hf}", self.config_prefix),
            Scheme::Gguf => format!("metadata {}.{gguf}", self.info.architecture),
        }
    }

    /// A count if the checkpoint has it.
    ///
    /// # Errors
    /// It is no whole number in `1..=2^24`.
    pub fn optional_count(&self, hf: &str, gguf: &str) -> Result<Option<usize>, Error> {
        let Some(value) = self.value(hf, gguf) else { return Ok(None) };
        match value.as_u64() {
            Some(count @ 1..=COUNT_MAX) => Ok(Some(self.note(gguf, count) as usize)),
            _ => Err(Error::invalid(format!(
                "{} is {value}, a whole number from 1 to {COUNT_MAX} expected",
                self.key(hf, gguf)
            ))),
        }
    }

    /// A count the model cannot do without.
    ///
    /// # Errors
    /// It is missing, or no whole number in `1..=2^24`.
    pub fn count(&self, hf: &str, gguf: &str) -> Result<usize, Error> {
        self.optional_count(hf, gguf)?
            .ok_or_else(|| Error::invalid(format!("{} is missing", self.key(hf, gguf))))
    }

    /// A number if the checkpoint has it.
    ///
    /// # Errors
    /// It is not a finite number.
    pub fn optional_number(&self, hf: &str, gguf: &str) -> Result<Option<f64>, Error> {
        let Some(value) = self.value(hf, gguf) else { return Ok(None) };
        match value.as_f64() {
            Some(number) if number.is_finite() => Ok(Some(self.note(gguf, number))),
            _ => Err(Error::invalid(format!(
                "{} is {value}, a finite number expected",
                self.key(hf, gguf)
            ))),
        }
    }

    /// A number, or `default` when the checkpoint has none.
    ///
    /// # Errors
    /// It is not a finite number.
    pub fn number_or(&self, hf: &str, gguf: &str, default: f64) -> Result<f64, Error> {
        let found = self.optional_number(hf, gguf)?;
        Ok(found.unwrap_or_else(|| self.note(gguf, default)))
    }

    /// Whether a switch is on; absent is off.
    #[must_use]
    pub fn switch(&self, hf: &str, gguf: &str) -> bool {
        self.switch_or(hf, gguf, false)
    }

    /// Whether a switch is on, or `default` when the checkpoint has none.
    #[must_use]
    pub fn switch_or(&self, hf: &str, gguf: &str, default: bool) -> bool {
        self.note(gguf, self.value(hf, gguf).and_then(Value::as_bool).unwrap_or(default))
    }

    /// Positions that a row sees in layers with a window; some files write 0 where there is none.
    ///
    /// # Errors
    /// It is no whole number up to 2^24.
    pub fn window(&self) -> Result<Option<usize>, Error> {
        let [hf, gguf] = ["sliding_window", "attention.sliding_window"];
        match self.value(hf, gguf).and_then(Value::as_u64) {
            Some(0) => Ok(None),
            _ => self.optional_count(hf, gguf),
        }
    }

    /// What a norm adds to the mean of squares or the variance.
    ///
    /// # Errors
    /// It is no number from 0 to 1.
    pub fn epsilon(&self, hf: &str, gguf: &str, default: f64) -> Result<f32, Error> {
        let eps = self.number_or(hf, gguf, default)?;
        if !(0.0..1.0).contains(&eps) {
            return Err(Error::invalid(format!("norm epsilon is {eps}, from 0 to 1 expected")));
        }
        Ok(eps as f32)
    }

    /// The elementwise function that `config.json` names at that key, or `default`; GGUF files name
    /// none.
    ///
    /// # Errors
    /// The function is not known.
    pub fn activation(&self, hf: &str, default: Activation) -> Result<Activation, Error> {
        match self.text(hf, "-") {
            Some(name) => activation(name).map_err(|error| error.context(self.key(hf, "-"))),
            None => Ok(default),
        }
    }

    /// Text if the checkpoint has it.
    #[must_use]
    pub fn text(&self, hf: &str, gguf: &str) -> Option<&str> {
        self.value(hf, gguf).and_then(Value::as_str).map(|text| self.note(gguf, text))
    }
}

/// The function of that name in transformers.
pub(crate) fn activation(name: &str) -> Result<Activation, Error> {
    match name {
        "silu" | "swish" => Ok(Activation::Silu),
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        "sigmoid" => Ok(Activation::Sigmoid),
        _ => Err(Error::unsupported(format!(
            "activation `{name}` found; silu, gelu, gelu_pytorch_tanh, relu and sigmoid are known"
        ))),
    }
}
