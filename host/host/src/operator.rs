//! What the operator can do to plugins and models while the host serves.
//!
//! The HTTP surface asks for it as [`Admin`]; the commands that serve load their models through it
//! too, so that a model of the command line and one of a request are loaded alike.

use crate::args::{LoadArgs, PluginArgs};
use crate::{Failure, wiring};
use host_generation::ServedModel;
use host_http::{Admin, AdminError};
use host_loader::{Loader, PluginReport, PluginState};
use host_metrics::Metrics;
use host_model::LoadOptions;
use std::path::Path;

/// What the operator can do while the host runs.
pub(crate) struct Operator {
    loader: Loader,
    options: LoadOptions,
    metrics: Metrics,
}

impl Operator {
    /// An operator with the flags of the command line, which has not looked for plugins yet.
    pub(crate) fn new(
        plugins: &PluginArgs,
        load: &LoadArgs,
        metrics: Metrics,
    ) -> Result<Self, Failure> {
        let (loader, options) = (wiring::loader(plugins)?, wiring::load_options(load));
        Ok(Self { loader, options, metrics })
    }

    /// Loads a model with a progress bar and starts its engine.
    pub(crate) fn load(&self, path: &Path, id: Option<&str>) -> Result<ServedModel, Failure> {
        let model = wiring::load(&self.loader.registry(), path, &self.options(id))?;
        Ok(ServedModel::spawn(model, self.metrics.clone())?)
    }

    fn options(&self, id: Option<&str>) -> LoadOptions {
        LoadOptions { id: id.map(str::to_owned), ..self.options.clone() }
    }

    fn count_plugins(&self, reports: &[PluginReport]) {
        use host_metrics::PluginState as Counted;
        let states = [
            (Counted::Loaded, PluginState::Loaded),
            (Counted::Refused, PluginState::Refused),
            (Counted::Quarantined, PluginState::Quarantined),
        ];
        for (counted, state) in states {
            let count = reports.iter().filter(|report| report.state == state).count();
            self.metrics.set_plugins(counted, count);
        }
    }
}

impl Admin for Operator {
    fn plugins(&self) -> Vec<PluginReport> {
        self.loader.registry().plugins().to_vec()
    }

    fn rescan(&self) -> Vec<PluginReport> {
        let reports = self.loader.scan().plugins().to_vec();
        self.count_plugins(&reports);
        reports
    }

    fn set_plugin_enabled(&self, name: &str, enabled: bool) -> Option<Vec<PluginReport>> {
        let reports = self.loader.set_enabled(name, enabled)?.plugins().to_vec();
        self.count_plugins(&reports);
        Some(reports)
    }

    fn load_model(&self, path: &Path, id: Option<&str>) -> Result<ServedModel, AdminError> {
        let options = self.options(id);
        let model = host_model::load(&self.loader.registry(), path, &options, &|_, _| {})?;
        Ok(ServedModel::spawn(model, self.metrics.clone())?)
    }
}
