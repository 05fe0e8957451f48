//! Writes checkpoint folders, right or wrong, into the temporary folder.

use plugin_api::{Error, Format};
use plugin_safetensors::{Safetensors, SafetensorsCheckpoint};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that is gone when the test is.
pub(crate) struct Folder(pub(crate) PathBuf);

/// A weight file with this header and data.
pub(crate) fn weights(header: &Value, data: &[u8]) -> Vec<u8> {
    weights_of_text(&header.to_string(), data)
}

/// A tensor of a weight file: name, dtype, shape, bytes.
pub(crate) type Tensor = (String, &'static str, Vec<usize>, Vec<u8>);

/// A weight file with these tensors.
pub(crate) fn weights_of(tensors: &[Tensor]) -> Vec<u8> {
    let (mut header, mut data) = (json!({}), Vec::new());
    for (name, dtype, shape, bytes) in tensors {
        let begin = data.len();
        data.extend(bytes);
        header[name] = json!({"dtype": dtype, "shape": shape, "data_offsets": [begin, data.len()]});
    }
    weights(&header, &data)
}

pub(crate) fn weights_of_text(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// Header of the valid weights: two tensors, 40 bytes of data.
pub(crate) fn header() -> Value {
    json!({
        "a": {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32]},
        "b": {"dtype": "BF16", "shape": [4], "data_offsets": [32, 40]},
    })
}

pub(crate) fn data() -> Vec<u8> {
    (0..40).collect()
}

pub(crate) fn config() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "vocab_size": 100, "bos_token_id": 1,
        "eos_token_id": 2,
    })
}

/// A tokenizer of four tokens: `<s>` is added, the others are words.
pub(crate) fn tokenizer() -> Value {
    json!({
        "version": "1.0",
        "added_tokens": [{
            "id": 0, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        }],
        "post_processor": null,
        "model": {
            "type": "BPE", "vocab": {"<s>": 0, "a": 1, "b": 2, "ab": 3}, "merges": [["a", "b"]],
        },
    })
}

impl Folder {
    pub(crate) fn empty() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("plugin-safetensors-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("the temporary folder is writable");
        Self(path)
    }

    /// A small valid checkpoint.
    pub(crate) fn valid() -> Self {
        Self::empty()
            .with("config.json", config().to_string())
            .with("model.safetensors", weights(&header(), &data()))
            .with("tokenizer.json", tokenizer().to_string())
    }

    /// A checkpoint of these tensors, quantized as the config says.
    pub(crate) fn quantized(quantization_config: &Value, tensors: &[Tensor]) -> Self {
        let mut config = config();
        config["quantization_config"] = quantization_config.clone();
        Self::valid()
            .with("config.json", config.to_string())
            .with("model.safetensors", weights_of(tensors))
    }

    pub(crate) fn with(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.0.join(name), content).expect("the folder is ours");
        self
    }

    pub(crate) fn without(self, name: &str) -> Self {
        fs::remove_file(self.0.join(name)).expect("it is there");
        self
    }

    pub(crate) fn open(&self) -> Result<SafetensorsCheckpoint, Error> {
        Safetensors::open(&self.0)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays in the temporary folder.
        let _unremoved = fs::remove_dir_all(&self.0);
    }
}
