//! What the serving commands have in common: the models, the operator and the tools of the host.

use crate::args::{EndpointArgs, ServedArgs};
use crate::console::{Printable as _, note};
use crate::models::resolve;
use crate::operator::{Operator, unload_idle};
use crate::{Failure, config, folders, servers};
use host_generation::{Admin, Models};
use host_loader::{PluginReport, PluginState};
use host_mcp::{Endpoint, Endpoints, HostTools, HostToolsParts, McpOptions, McpServer};
use host_metrics::Metrics;
use host_model::{Catalog, CatalogEntry};
use host_tools::config::Config;
use host_tools::{Joined, Settings, ToolRegistry};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What a serving command serves.
#[derive(Clone)]
pub(crate) struct House {
    pub(crate) models: Models,
    pub(crate) metrics: Metrics,
    operator: Arc<Operator>,
    wanted: Arc<[String]>,
    idle_unload_s: u64,
    servers: Option<Config>,
}

impl House {
    /// With the flags of the command line; plugins and models have not been looked for yet.
    pub(crate) fn new(args: &ServedArgs) -> Result<Self, Failure> {
        let metrics = if args.no_lock_metrics { Metrics::without_locks() } else { Metrics::new() };
        let models = Models::new(&metrics);
        for alias in &args.coming.aliases {
            let (name, id) = alias
                .split_once('=')
                .ok_or_else(|| format!("--alias {alias}: NAME=ID expected"))?;
            models.add_alias(name, id);
        }
        let (models_too, metrics_too) = (models.clone(), metrics.clone());
        let operator =
            Operator::new(&args.plugins, &args.load, &args.coming, models_too, metrics_too)?;
        Ok(Self {
            models,
            metrics,
            operator: Arc::new(operator),
            wanted: args.models.clone().into(),
            idle_unload_s: args.coming.idle_unload_s,
            servers: servers::read(&args.join)?,
        })
    }

    /// The operator's side, as surfaces see it.
    pub(crate) fn admin(&self) -> Arc<dyn Admin> {
        Arc::<Operator>::clone(&self.operator)
    }

    /// The MCP server of everything there is to call, and the servers that were joined for it, if
    /// there are any. Call it on a tokio runtime.
    pub(crate) fn mcp_server(
        &self,
        endpoints: &EndpointArgs,
        config_file: Option<&Path>,
        options: McpOptions,
    ) -> Result<(McpServer, Option<Joined>), Failure> {
        let own = HostTools::new(HostToolsParts {
            models: self.models.clone(),
            metrics: self.metrics.clone(),
            admin: self.admin(),
            endpoints: self::endpoints(endpoints)?,
            settings: config::in_effect(config_file)?,
        });
        let settings = Settings { metrics: self.metrics.clone(), ..Settings::default() };
        let registry = ToolRegistry::new(settings);
        registry.add(Arc::new(own));
        registry.add(self.operator.tools());
        let joined = self.servers.clone().map(|servers| Joined::start(servers, &registry));
        Ok((McpServer::new(registry, &self.metrics, options), joined))
    }

    /// Scans the plugins and the folders of models, and loads the models of the command line; from
    /// then on idle ones are unloaded, if that is wanted.
    pub(crate) async fn open(&self) -> Result<(), Failure> {
        if self.idle_unload_s > 0 {
            let after = Duration::from_secs(self.idle_unload_s);
            tokio::spawn(unload_idle(self.models.clone(), after));
        }
        let house = self.clone();
        tokio::task::spawn_blocking(move || house.load_all()).await?
    }

    fn load_all(&self) -> Result<(), Failure> {
        report_plugins(&self.operator.scan_plugins());
        let catalog = self.operator.catalog();
        let mut wanted: Vec<_> =
            self.wanted.iter().map(|model| checkpoint(&catalog, model)).collect();
        if wanted.is_empty() && !self.operator.has_roots() {
            wanted.extend(folders::starter().map(|path| CatalogEntry::at(&path, Some("starter"))));
        }
        let has_models = !wanted.is_empty();
        for checkpoint in wanted {
            let served = self.operator.load(checkpoint)?;
            let summary = served.summary();
            note(&format!("model {} ({} ms)", summary.id, summary.load_ms));
        }
        if !catalog.entries.is_empty() {
            note(&format!("models to load on first use: {}", catalog.entries.len()));
        } else if !has_models {
            note(
                "no model yet: --model PATH, --models DIR, or POST /v1/models/load {\"path\": ...}",
            );
        }
        // After those of the command line, so that `/ready` waits for them.
        self.models.offer_catalog(catalog.entries);
        Ok(())
    }
}

/// Models elsewhere, as the flags name them; an empty text is none, as an unset variable often
/// arrives.
fn endpoints(args: &EndpointArgs) -> Result<Endpoints, Failure> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let endpoint = |url: &Option<String>| {
        let timeout = Duration::from_secs(args.model_timeout_s);
        let key = given(&args.endpoint_key);
        given(url).map(|url| Endpoint::new(&url, key, timeout)).transpose()
    };
    let (code, language) = (endpoint(&args.starcoder_endpoint)?, endpoint(&args.mistral_endpoint)?);
    Ok(Endpoints { code, language })
}

/// The checkpoint of a `--model`.
fn checkpoint(catalog: &Catalog, model: &str) -> CatalogEntry {
    // A path may hold `=`; an id may not hold a separator.
    match model.split_once('=') {
        Some((id, path)) if !id.contains(['/', '\\']) => {
            CatalogEntry::at(Path::new(path), Some(id))
        }
        _ => resolve(catalog, model),
    }
}

fn report_plugins(reports: &[PluginReport]) {
    let loaded = reports.iter().filter(|report| report.state == PluginState::Loaded);
    let names: Vec<_> = loaded.map(|report| report.name.as_str()).collect();
    note(&format!("plugins: {}", if names.is_empty() { "none".into() } else { names.join(", ") }));
    for report in reports.iter().filter(|report| report.state != PluginState::Loaded) {
        let reason = report.reason.as_deref().unwrap_or("no reason given");
        note(&format!("{} {}: {}", report.state, report.name.printable(), reason.printable()));
    }
}

/// Ends when the host is told to stop, which is heard from this call on. Call it before plugins are
/// opened: the loader puts back the handlers that were there before each.
#[cfg(unix)]
pub(crate) fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Ends when the host is told to stop.
#[cfg(not(unix))]
pub(crate) fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let interrupt = tokio::signal::ctrl_c();
    Ok(async move {
        let _ended = interrupt.await;
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::stop_signal;
    use rustix::process::{Signal, getpid, kill_process};

    #[tokio::test]
    async fn a_signal_is_heard_before_anybody_waits_for_it() {
        let told = stop_signal().expect("signals can be heard");
        kill_process(getpid(), Signal::TERM).expect("the process is there");
        told.await;
    }
}
