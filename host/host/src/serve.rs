//! `host serve`: plugins, models, HTTP, until somebody stops it.
//!
//! The address is taken before any model is loaded, so that a port in use is known at once and
//! `/health` answers while `/ready` still says no. The line with the address is printed when
//! requests can be answered.

use crate::args::{HttpArgs, LogArgs, ServeArgs};
use crate::console::{Printable as _, note};
use crate::models::resolve;
use crate::operator::{Operator, unload_idle};
use crate::{Failure, logging, servers};
use host_generation::Models;
use host_http::{Admin, ApiKeys, AppState, HttpOptions, RateLimits, check_bind};
use host_loader::{PluginReport, PluginState};
use host_metrics::Metrics;
use host_model::{Catalog, CatalogEntry};
use host_tools::{Joined, Settings, ToolRegistry};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Runs the command.
pub(crate) fn serve(args: &ServeArgs, logs: &LogArgs) -> Result<(), Failure> {
    let http = &args.http;
    let keys = api_keys(http)?;
    check_bind(http.bind, !keys.is_empty(), http.insecure)?;
    let (access_log, _lines) = logging::access_log(http.access_log.as_deref(), logs)?.unzip();
    let metrics = if args.no_lock_metrics { Metrics::without_locks() } else { Metrics::new() };
    let models = Models::new(&metrics);
    for alias in &args.coming.aliases {
        let (name, id) =
            alias.split_once('=').ok_or_else(|| format!("--alias {alias}: NAME=ID expected"))?;
        models.add_alias(name, id);
    }
    let (models_too, metrics_too) = (models.clone(), metrics.clone());
    let operator = Operator::new(&args.plugins, &args.load, &args.coming, models_too, metrics_too)?;
    let operator = Arc::new(operator);
    let options = HttpOptions {
        keys,
        rate_limits: RateLimits {
            requests_per_minute: http.requests_per_minute,
            tokens_per_minute: http.tokens_per_minute,
        },
        access_log,
        loopback_only: http.bind.is_loopback(),
        body_bytes_max: http.body_bytes_max,
        connections_max: http.connections_max,
        grace: Duration::from_secs(http.grace_s),
        ..HttpOptions::default()
    };
    let admin: Arc<dyn Admin> = Arc::<Operator>::clone(&operator);
    let tools = Settings { metrics: metrics.clone(), ..Settings::default() };
    let state = AppState::new(models.clone(), metrics, admin, options);
    let servers = servers::read(&args.join)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let wanted = SocketAddr::new(http.bind, http.port);
        let listener = TcpListener::bind(wanted)
            .await
            .map_err(|e| format!("cannot listen on {wanted}: {e}; choose another --port"))?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(host_http::serve(listener, state, stop_signal()));
        if args.coming.idle_unload_s > 0 {
            let after = Duration::from_secs(args.coming.idle_unload_s);
            tokio::spawn(unload_idle(models.clone(), after));
        }
        let registry = ToolRegistry::new(tools);
        let joined = servers.map(|servers| Joined::start(servers, &registry));
        let wanted = args.models.clone();
        let loading = tokio::task::spawn_blocking(move || load_all(&operator, &models, &wanted));
        loading.await??;
        if let Some(joined) = &joined {
            joined.strict_ones().await?;
        }
        note(&format!("listening on http://{address}"));
        let served = server.await?;
        if let Some(joined) = joined {
            joined.stop().await;
        }
        Ok(served?)
    })
}

/// The keys of the flags; an empty one is none, as an unset variable often arrives.
fn api_keys(http: &HttpArgs) -> Result<ApiKeys, Failure> {
    let given = http.api_key.as_deref().filter(|key| !key.is_empty());
    let keys = given.map(ApiKeys::one).unwrap_or_default();
    match &http.api_key_file {
        Some(file) => Ok(keys.and(ApiKeys::read(file)?)),
        None => Ok(keys),
    }
}

/// Scans the plugins and the folders of models, and loads the models of the command line.
fn load_all(operator: &Operator, models: &Models, wanted: &[String]) -> Result<(), Failure> {
    report_plugins(&operator.scan_plugins());
    let catalog = operator.catalog();
    for model in wanted {
        let served = operator.load(checkpoint(&catalog, model))?;
        let summary = served.summary();
        note(&format!("model {} ({} ms)", summary.id, summary.load_ms));
    }
    if !catalog.entries.is_empty() {
        note(&format!("models to load on first use: {}", catalog.entries.len()));
    } else if wanted.is_empty() {
        note("no model yet: --model PATH, --models DIR, or POST /v1/models/load {\"path\": ...}");
    }
    // After those of the command line, so that `/ready` waits for them.
    models.offer_catalog(catalog.entries);
    Ok(())
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

/// Ends when the host is told to stop.
async fn stop_signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else {
            let _ended = interrupt.await;
            return;
        };
        tokio::select! {
            _ = interrupt => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    let _ended = interrupt.await;
    note("stopping: running answers finish first");
}
