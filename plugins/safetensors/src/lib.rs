//! Hugging Face checkpoint folders with safetensors weights, and the dtypes that only such
//! checkpoints have, as one plugin.
//!
//! A folder is untrusted: text files are read up to a limit, weights are mapped and their headers
//! checked against the file, an index may only name files inside the folder, and pickles are
//! refused, never read. What is wrong is said with the file, the field, what was found and what
//! was expected.
//!
//! # Limits
//!
//! | what | limit |
//! |---|---|
//! | `config.json`, `generation_config.json`, `tokenizer_config.json`, `modules.json` | 16 MiB each |
//! | `model.safetensors.index.json`; header of a weight file | 64 MiB; 100 MB |
//! | `tokenizer.json`; the chat template | 256 MiB; 1 MiB |
//! | nesting of JSON | 128 |
//! | shards; tensors; modules | 4,096; 1,048,576; 16 |

mod assets;
mod checkpoint;
mod fault;
mod files;
mod index;
mod mapping;
mod modules;
mod shard;
mod special_tokens;

pub use checkpoint::{Safetensors, SafetensorsCheckpoint};

plugin_api::register!(format: Safetensors);
plugin_api::register!(quantization "safetensors": [
    kernel_dtypes::F32,
    kernel_dtypes::F16,
    kernel_dtypes::Bf16,
    kernel_dtypes::F8E4m3,
    kernel_dtypes::Int4,
]);
plugin_api::export_plugin!();
