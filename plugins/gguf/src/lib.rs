//! GGUF checkpoints and the ggml block dtypes, as one plugin.
//!
//! The reader is strict: a file is untrusted, so every length, count and index in it is checked
//! against the file and against a limit before anything is done with it, and whatever is wrong is
//! refused when the file is opened, with its name, the field, what was found and what was
//! expected. Tensor data is mapped, never read here. The vocabulary inside a file is translated to
//! the `tokenizer.json` dialect of Hugging Face, so that a host needs one tokenizer library only.
//!
//! # Limits
//!
//! | what | limit |
//! |---|---|
//! | metadata keys of a file; tensors of all its shards | 65,536 each |
//! | shards; files of a folder that is opened | 4,096; 65,536 |
//! | everything before the tensor data | 256 MiB |
//! | one string; one key; one tensor name | 64 MiB; 65,535 bytes; 256 bytes |
//! | dimensions of a tensor; nesting of arrays | 1 to 4; 4 |
//! | alignment | a power of two from 8 bytes to 1 MiB |
//! | tokens of a vocabulary | 1,048,576 |
//! | one SentencePiece piece; the chat template | 512 bytes; 1 MiB |
//! | numbers of one metadata array, of all arrays that become hyper-parameters | 4,096; 1,048,576 |

mod checkpoint;
mod config;
mod end_tokens;
mod export;
mod fault;
mod folder;
mod foreign;
mod header;
mod mapping;
mod metadata;
mod reader;
mod shard;
mod shard_name;
mod shards;
mod tensor_table;
mod tensor_types;
mod tokenizer;
mod vocabulary;

pub use checkpoint::{Gguf, GgufCheckpoint};
pub use export::GgufWriter;

plugin_api::register!(format: Gguf);
plugin_api::register!(writer: GgufWriter);
plugin_api::register!(quantization "ggml": [
    kernel_dtypes::Q40,
    kernel_dtypes::Q41,
    kernel_dtypes::Q50,
    kernel_dtypes::Q51,
    kernel_dtypes::Q80,
    kernel_dtypes::Q2K,
    kernel_dtypes::Q3K,
    kernel_dtypes::Q4K,
    kernel_dtypes::Q5K,
    kernel_dtypes::Q6K,
    kernel_dtypes::Iq4Nl,
    kernel_dtypes::Iq4Xs,
    kernel_dtypes::Mxfp4,
    kernel_dtypes::Tq10,
    kernel_dtypes::Tq20,
    kernel_dtypes::Iq2Xxs,
    kernel_dtypes::Iq2Xs,
    kernel_dtypes::Iq2S,
    kernel_dtypes::Iq3Xxs,
    kernel_dtypes::Iq3S,
    kernel_dtypes::Iq1S,
    kernel_dtypes::Iq1M,
]);
plugin_api::export_plugin!();
