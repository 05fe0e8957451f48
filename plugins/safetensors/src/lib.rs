//! Hugging Face checkpoint folders with safetensors weights, and the dtypes that only such
//! checkpoints have, as one plugin.
//!
//! A folder is untrusted: text files are read up to a limit, weights are mapped and their headers
//! checked against the file, an index may only name files inside the folder, and pickles are
//! refused, never read. What is wrong is said with the file, the field, what was found and what
//! was expected.
//!
//! Checkpoints of GPTQ, AWQ and 8-bit floats show matrices of the dtypes `int4` and `f8_e4m3` (or
//! plain values, where those have no block for them) in place of the tensors that such a matrix is
//! stored in.
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
//! | bits of GPTQ and AWQ codes; of floats with scales | 4; 8 (E4M3) |
//! | `group_size`; sides of `weight_block_size` | 1 to 4,294,967,295 each |

mod assets;
mod checkpoint;
mod fault;
mod files;
mod float8;
mod four_bit;
mod index;
mod mapping;
mod modules;
mod quantization;
mod shard;
mod special_tokens;
mod stored;
mod tensors;

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
