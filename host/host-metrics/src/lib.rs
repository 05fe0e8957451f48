//! Counters, gauges and histograms of the host, and the page that shows them.
//!
//! One crate owns every metric name, so that the engine's loop, the loader and the HTTP layer
//! report figures without knowing the metrics library, and no name is spelled twice. Updating is
//! an atomic operation on a handle made beforehand. It serves nothing and reads no clock.

#[cfg(test)]
mod deploy;
mod labels;
mod locks;
mod mcp;
mod metrics;
mod model;
mod steps;
mod tools;
mod vllm;

pub use labels::PluginState;
pub use locks::{Lock, LockMetrics, Mutex, RwLock};
pub use mcp::{McpAnswer, McpMetrics};
pub use metrics::{CONTENT_TYPE, Metrics};
pub use model::{CacheShape, Finish, InFlight, ModelMetrics, Occupancy};
pub use parking_lot::{Condvar, MutexGuard, RwLockReadGuard, RwLockWriteGuard};
pub use steps::StepFigures;
pub use tools::ToolMetrics;
