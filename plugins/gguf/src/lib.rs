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
//! | metadata keys; tensors | 65,536 each |
//! | everything before the tensor data | 256 MiB |
//! | one string; one key; one tensor name | 64 MiB; 65,535 bytes; 256 bytes |
//! | dimensions of a tensor; nesting of arrays | 1 to 4; 4 |
//! | alignment | a power of two from 8 bytes to 1 MiB |
//! | tokens of a vocabulary | 1,048,576 |
//! | one SentencePiece piece; the chat template | 512 bytes; 1 MiB |
//! | numbers of one metadata array, of all arrays that become hyper-parameters | 4,096; 1,048,576 |

mod checkpoint;
mod config;
mod dtypes;
mod end_tokens;
mod export;
mod fault;
mod foreign;
mod header;
mod mapping;
mod metadata;
mod reader;
mod tensor_table;
mod tensor_types;
mod tokenizer;
mod vocabulary;

pub use checkpoint::{Gguf, GgufCheckpoint};
pub use export::GgufWriter;

plugin_api::register!(format: Gguf);
plugin_api::register!(writer: GgufWriter);
plugin_api::register!(quantization "ggml": [
    dtypes::Q40,
    dtypes::Q41,
    dtypes::Q50,
    dtypes::Q51,
    dtypes::Q80,
    dtypes::Q2K,
    dtypes::Q3K,
    dtypes::Q4K,
    dtypes::Q5K,
    dtypes::Q6K,
    dtypes::Iq4Nl,
    dtypes::Iq4Xs,
    dtypes::Mxfp4,
    dtypes::Tq10,
    dtypes::Tq20,
    dtypes::Iq2Xxs,
    dtypes::Iq2Xs,
    dtypes::Iq2S,
    dtypes::Iq3Xxs,
    dtypes::Iq3S,
    dtypes::Iq1S,
    dtypes::Iq1M,
]);
plugin_api::export_plugin!();
