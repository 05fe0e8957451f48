//! What the operator can do to plugins and models while the host serves.
//!
//! Surfaces ask for it as [`Admin`]; the models of the command line are loaded through it
//! too, so that a model of the command line and one of a request are loaded alike.

mod idle;
mod room;

use crate::args::{ComingArgs, LoadArgs, PluginArgs};
use crate::progress::LoadBar;
use crate::{Failure, models, wiring};
use host_generation::{Admin, LoadFailure, LoadProgress, LoadStage, Models, ServedModel, Wanted};
use host_loader::{Loader, PluginReport, PluginState, Registry};
use host_metrics::Metrics;
use host_model::{Catalog, CatalogEntry, LoadOptions, MemoryBudget};
use host_tools::PluginTools;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use idle::unload_idle;

/// What the operator can do while the host runs.
pub(crate) struct Operator {
    loader: Loader,
    options: LoadOptions,
    coming: ComingArgs,
    budget: MemoryBudget,
    models: Models,
    metrics: Metrics,
    tools: Arc<PluginTools>,
    /// Held by the load that runs: each keeps every core busy, and measures what memory is left.
    turn: Mutex<()>,
}

impl Operator {
    /// An operator with the flags of the command line, which has not looked for plugins or models
    /// yet.
    pub(crate) fn new(
        plugins: &PluginArgs,
        load: &LoadArgs,
        coming: &ComingArgs,
        models: Models,
        metrics: Metrics,
    ) -> Result<Self, Failure> {
        let mib = coming.memory_budget.map(|mib| MemoryBudget::new(mib.saturating_mul(1 << 20)));
        Ok(Self {
            loader: wiring::loader(plugins)?,
            options: wiring::load_options(load),
            coming: coming.clone(),
            budget: mib.unwrap_or_else(MemoryBudget::of_machine),
            models,
            metrics,
            tools: Arc::default(),
            turn: Mutex::new(()),
        })
    }

    /// Whether folders of models were named.
    pub(crate) fn has_roots(&self) -> bool {
        !self.coming.roots.roots.is_empty()
    }

    /// Looks through the folders of models.
    pub(crate) fn catalog(&self) -> Catalog {
        models::catalog(&self.coming.roots)
    }

    /// Loads a model with a progress bar, to stay in the list.
    pub(crate) fn load(&self, checkpoint: CatalogEntry) -> Result<ServedModel, Failure> {
        let wanted = self.models.want_checkpoint(checkpoint.clone());
        let Wanted::Load(_, Some(job)) = wanted else {
            return Err(format!("{}: it is being loaded already", checkpoint.id).into());
        };
        self.models.offer(checkpoint);
        let bar = LoadBar::new(&format!("loading {}", job.entry().path.display()));
        let outcome = self.load_model(job.entry(), &|progress| {
            bar.report(progress.done_bytes, progress.total_bytes);
        });
        job.finish(outcome.clone());
        Ok(outcome?)
    }

    /// Looks at the plugin folders again.
    pub(crate) fn scan_plugins(&self) -> Vec<PluginReport> {
        self.take_in(&self.loader.scan())
    }

    /// The tools that plugins offer.
    pub(crate) fn tools(&self) -> Arc<PluginTools> {
        Arc::clone(&self.tools)
    }

    /// Counts the plugins there are now, and offers the tools of those that are in use.
    fn take_in(&self, registry: &Registry) -> Vec<PluginReport> {
        use host_metrics::PluginState as Counted;
        self.tools.replace(registry.tools());
        let reports = registry.plugins();
        let states = [
            (Counted::Loaded, PluginState::Loaded),
            (Counted::Refused, PluginState::Refused),
            (Counted::Quarantined, PluginState::Quarantined),
            (Counted::Disabled, PluginState::Disabled),
        ];
        for (counted, state) in states {
            let count = reports.iter().filter(|report| report.state == state).count();
            self.metrics.set_plugins(counted, count);
        }
        reports.to_vec()
    }
}

impl Admin for Operator {
    fn plugins(&self) -> Vec<PluginReport> {
        self.loader.registry().plugins().to_vec()
    }

    fn rescan(&self) -> Vec<PluginReport> {
        let reports = self.scan_plugins();
        self.models.offer_catalog(self.catalog().entries);
        reports
    }

    fn set_plugin_enabled(&self, name: &str, enabled: bool) -> Option<Vec<PluginReport>> {
        let registry = self.loader.set_enabled(name, enabled)?;
        let reports = self.take_in(&registry);
        self.models.note_change();
        Some(reports)
    }

    fn load_model(
        &self,
        checkpoint: &CatalogEntry,
        progress: &dyn Fn(LoadProgress),
    ) -> Result<ServedModel, LoadFailure> {
        progress(LoadProgress::at(LoadStage::Queued));
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        progress(LoadProgress::at(LoadStage::Prepare));
        let options = LoadOptions { id: Some(checkpoint.id.clone()), ..self.options.clone() };
        let registry = self.loader.registry();
        let prepared = host_model::prepare(&registry, &checkpoint.path, &options)?;
        progress(LoadProgress::at(LoadStage::Memory));
        let lease = room::make_room(&self.models, &self.budget, &prepared)?;
        let weights = |done_bytes, total_bytes| {
            progress(LoadProgress { stage: LoadStage::Weights, done_bytes, total_bytes });
        };
        let lease = Some(lease);
        let model = host_model::load_prepared(&registry, prepared, &options, lease, &weights)?;
        Ok(ServedModel::spawn(model, self.metrics.clone())?)
    }

    fn memory(&self) -> &MemoryBudget {
        &self.budget
    }
}
