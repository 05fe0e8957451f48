//! Counters, gauges and histograms of the host, and the page that shows them.
//!
//! One crate owns every metric name, so that the engine's loop, the loader and the HTTP layer
//! report figures without knowing the metrics library, and no name is spelled twice. Updating is
//! an atomic operation on a handle made beforehand. It serves nothing and reads no clock.

mod labels;
mod metrics;
mod model;
mod steps;

pub use labels::PluginState;
pub use metrics::{CONTENT_TYPE, Metrics};
pub use model::{InFlight, ModelMetrics, Occupancy};
pub use steps::StepFigures;
