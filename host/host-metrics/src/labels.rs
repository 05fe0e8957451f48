//! The label sets of the metric families.
//!
//! Labels multiply the series a monitor has to store, so each is a small fixed set: models and
//! plugins that are loaded, routes, status codes, reasons. A label must never hold what a client
//! can choose freely.

use std::fmt::Debug;

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ModelLabel {
    pub(crate) model: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct FinishLabels {
    pub(crate) model: String,
    pub(crate) reason: &'static str,
}

/// A family of counters or gauges, one for each model.
pub(crate) fn model_family<M>(
    registry: &mut Registry,
    name: &str,
    help: &str,
) -> Family<ModelLabel, M>
where
    M: EncodeMetric + TypedMetric + Default + Debug + Send + Sync + 'static,
{
    let family = Family::default();
    registry.register(name, help, Family::clone(&family));
    family
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    pub(crate) route: &'static str,
    pub(crate) status: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReasonLabel {
    pub(crate) reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PluginLabel {
    pub(crate) plugin: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct StateLabel {
    pub(crate) state: &'static str,
}

/// What became of a file in the plugin folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginState {
    /// It serves.
    Loaded,
    /// It was refused, with a reason that the plugin list gives.
    Refused,
    /// Its first load crashed or hung in the child process.
    Quarantined,
    /// It was switched off.
    Disabled,
}

impl PluginState {
    /// Every state, so that the page shows those with no plugin too.
    pub const ALL: [PluginState; 4] = [
        PluginState::Loaded,
        PluginState::Refused,
        PluginState::Quarantined,
        PluginState::Disabled,
    ];

    pub(crate) fn label(self) -> StateLabel {
        let state = match self {
            PluginState::Loaded => "loaded",
            PluginState::Refused => "refused",
            PluginState::Quarantined => "quarantined",
            PluginState::Disabled => "disabled",
        };
        StateLabel { state }
    }
}
