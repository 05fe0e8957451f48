//! `host serve`: plugins, models, HTTP, until somebody stops it.
//!
//! The address is taken before any model is loaded, so that a port in use is known at once and
//! `/health` answers while `/ready` still says no. The line with the address is printed when
//! requests can be answered.

use crate::Failure;
use crate::args::ServeArgs;
use crate::console::{Printable as _, note};
use crate::operator::Operator;
use host_generation::Models;
use host_http::{Admin, AppState, HttpOptions, check_bind};
use host_loader::{PluginReport, PluginState};
use host_metrics::Metrics;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Runs the command.
pub(crate) fn serve(args: &ServeArgs) -> Result<(), Failure> {
    let http = &args.http;
    check_bind(http.bind, http.api_key.is_some(), http.insecure)?;
    let metrics = if args.no_lock_metrics { Metrics::without_locks() } else { Metrics::new() };
    let models = Models::default();
    let operator = Arc::new(Operator::new(&args.plugins, &args.load, metrics.clone())?);
    let options = HttpOptions {
        api_key: http.api_key.clone(),
        loopback_only: http.bind.is_loopback(),
        body_bytes_max: http.body_bytes_max,
        connections_max: http.connections_max,
        grace: Duration::from_secs(http.grace_s),
        ..HttpOptions::default()
    };
    let admin: Arc<dyn Admin> = Arc::<Operator>::clone(&operator);
    let state = AppState::new(models.clone(), metrics, admin, options);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let wanted = SocketAddr::new(http.bind, http.port);
        let listener = TcpListener::bind(wanted)
            .await
            .map_err(|e| format!("cannot listen on {wanted}: {e}; choose another --port"))?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(host_http::serve(listener, state, stop_signal()));
        let wanted = args.models.clone();
        let loading = tokio::task::spawn_blocking(move || load_all(&operator, &models, &wanted));
        loading.await??;
        note(&format!("listening on http://{address}"));
        server.await??;
        Ok(())
    })
}

/// Scans the plugins and loads the models of the command line.
fn load_all(operator: &Operator, models: &Models, wanted: &[String]) -> Result<(), Failure> {
    report_plugins(&operator.rescan());
    for model in wanted {
        // A path may hold `=`; an id may not hold a separator.
        let (id, path) = match model.split_once('=') {
            Some((id, path)) if !id.contains(['/', '\\']) => (Some(id), path),
            _ => (None, model.as_str()),
        };
        let served = operator.load(Path::new(path), id)?;
        let summary = served.summary();
        note(&format!("model {} ({} ms)", summary.id, summary.load_ms));
        models.insert(served);
    }
    if wanted.is_empty() {
        note("no model yet: --model PATH, or POST /v1/models/load {\"path\": ...}");
    }
    Ok(())
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
