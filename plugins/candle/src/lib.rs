//! Compute plugin `candle`: runs graphs as plain tensor operations of candle, all in f32.
//!
//! It is what other compute plugins are measured against, so it is made to be read: each op is the
//! sentence that `graph` says of it, in tensors of shape `[rows, width]`; nothing is fused, packed
//! or planned, and every weight is dequantized at load. The host never chooses it by itself: its
//! score is below that of every other device. candle computes on the CPU, or where the cargo
//! features `cuda` and `metal` let it; its own thread pool does not follow the host's `--threads`.
//! The plugin knows no architecture, file or request.
//!
//! | file | holds |
//! |---|---|
//! | `session` | the provider, sessions and what they cost |
//! | `weights`, `kv` | tensors of the checkpoint, keys and values |
//! | `batch`, `step` | the check of a batch, the walk over the graph |
//! | `matrix`, `norm`, `rope`, `attention`, `elementwise`, `rows` | the ops |

mod attention;
mod batch;
mod elementwise;
mod kv;
mod matrix;
mod norm;
mod rope;
mod rows;
mod session;
mod step;
mod weights;

pub use session::{Candle, CandleSession};

plugin_api::register!(compute: Candle);
plugin_api::export_plugin!();
