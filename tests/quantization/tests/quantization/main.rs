//! Quantization, measured: logits of quantized models against those of other implementations.
//!
//! Plugins are loaded from their files, as the host does; nothing here knows a dtype's arithmetic.

mod divergence;
mod files;
mod importance;
mod model;
