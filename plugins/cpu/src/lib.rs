//! Compute plugin `cpu`: runs graphs on the processor.
//!
//! A graph becomes a plan of stages once, at load; a step checks its batch and runs the
//! stages, each a parallel region of the one thread pool of the process. Numbers come from the
//! crate `kernels` (plain dtypes, norms, attention) and from quantization plugins (block dtypes).
//! Each row of a step has the same bits whatever else is in the batch, however a prompt is cut,
//! however large KV blocks are and however many threads there are. The plugin knows no architecture, file or request.
//!
//! | file | holds |
//! |---|---|
//! | `session` | the provider, sessions and their step |
//! | `inventory`, `weights`, `kernel` | tensors by use, packing, the routines of a dtype |
//! | `schedule`, `plan` | graph to stages, buffers to places |
//! | `rows`, `linear`, `attention`, `moe` | the kinds of stage |
//! | `elementwise`, `rotate` | parts of row stages |
//! | `batch`, `frame` | the check of a batch, what a stage sees of it |
//! | `kv`, `memory`, `pool` | keys and values, huge pages, threads |
//! | `profile`, `kinds`, `work`, `limits` | where time goes, and what the machine could do |
#![expect(unsafe_code, reason = "threads write disjoint parts of shared buffers")]

mod attention;
mod batch;
mod elementwise;
mod frame;
mod inventory;
mod kernel;
mod kinds;
mod kv;
mod limits;
mod linear;
mod memory;
mod moe;
mod plan;
mod pool;
mod profile;
mod rotate;
mod rows;
mod schedule;
mod session;
mod weights;
mod work;

pub use session::{Cpu, CpuSession};

plugin_api::register!(profiled_compute: Cpu);
plugin_api::export_plugin!();
