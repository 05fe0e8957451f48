//! `host serve`: plugins, models, HTTP, until somebody stops it.
//!
//! The address is taken before any model is loaded, so that a port in use is known at once and
//! `/health` answers while `/ready` still says no. The line with the address is printed when
//! requests can be answered.

use crate::args::{HttpArgs, LogArgs, ServeArgs};
use crate::console::note;
use crate::house::{House, stop_signal};
use crate::{Failure, logging};
use host_http::{AgentOptions, ApiKeys, AppState, HttpOptions, RateLimits, check_bind};
use host_mcp::{McpOptions, McpServer};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Runs the command.
pub(crate) fn serve(
    args: &ServeArgs,
    logs: &LogArgs,
    config_file: Option<&Path>,
) -> Result<(), Failure> {
    let http = &args.http;
    let keys = api_keys(http)?;
    check_bind(http.bind, !keys.is_empty(), http.insecure)?;
    let (access_log, _lines) = logging::access_log(http.access_log.as_deref(), logs)?.unzip();
    let house = House::new(&args.served)?;
    let mut options = HttpOptions {
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
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let own = McpOptions::default();
        let body_bytes_max = own.body_bytes_max.min(http.body_bytes_max);
        let mcp_options = McpOptions { body_bytes_max, sessions_max: http.mcp_sessions_max, ..own };
        let (mcp, joined) = house.mcp_server(&args.served.endpoints, config_file, mcp_options)?;
        options.agent = Some(agent_options(args, &mcp));
        let (models, metrics) = (house.models.clone(), house.metrics.clone());
        let state = AppState::new(models, metrics, house.admin(), options);
        let (leaving, drain) = (state.clone(), Duration::from_secs(http.drain_s));
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let stopped = move || stopping.clone().cancelled_owned();
        let others = mcp.router();
        let listener = listen(http.bind, http.port, "--port").await?;
        let address = listener.local_addr()?;
        let mut servers = tokio::task::JoinSet::new();
        let router = host_http::router(state.clone(), others.clone());
        servers.spawn(host_http::serve(listener, router, state.clone(), stopped()));
        if let Some(port) = http.mcp_port {
            let listener = listen(http.bind, port, "--mcp-port").await?;
            note(&format!("MCP on http://{}/mcp", listener.local_addr()?));
            let router = host_http::others_alone(state.clone(), others);
            servers.spawn(host_http::serve(listener, router, state, stopped()));
        }
        let told_to_stop = stop_signal()?;
        tokio::spawn(async move {
            told_to_stop.await;
            if let Err(error) = turn_away(&leaving, drain).await {
                tracing::warn!(%error, "signals cannot be heard");
            }
            note("stopping: running answers finish first");
            tell_supervisor(Stage::Stopping);
            mcp.drain();
            stop.cancel();
        });
        house.open().await?;
        if let Some(joined) = &joined {
            joined.strict_ones().await?;
        }
        note(&format!("listening on http://{address}"));
        tell_supervisor(Stage::Ready);
        while let Some(ended) = servers.join_next().await {
            ended??;
        }
        if let Some(joined) = joined {
            joined.stop().await;
        }
        Ok(())
    })
}

/// Serves on until whoever balances load has had the time to notice; a second signal cuts it short.
async fn turn_away(state: &AppState, time: Duration) -> io::Result<()> {
    state.leave();
    if !time.is_zero() {
        note("stopping: not ready any more, still serving");
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = stop_signal()? => {}
        }
    }
    Ok(())
}

/// What models may call for clients of chats: the tools that clients of MCP find.
fn agent_options(args: &ServeArgs, mcp: &McpServer) -> AgentOptions {
    AgentOptions {
        registry: mcp.registry().clone(),
        profile: args.agent.tools(),
        permission: args.agent.agent_permission,
        time_max: args.agent.time_max(),
    }
}

/// What a supervisor of services wants to know.
#[derive(Clone, Copy)]
enum Stage {
    Ready,
    Stopping,
}

/// Tells systemd, where it started the host and asked to be told; a service of `Type=notify` counts
/// as started from then on.
#[cfg(unix)]
fn tell_supervisor(stage: Stage) {
    let state = match stage {
        Stage::Ready => sd_notify::NotifyState::Ready,
        Stage::Stopping => sd_notify::NotifyState::Stopping,
    };
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the supervisor cannot be told; is NOTIFY_SOCKET right?");
    }
}

#[cfg(not(unix))]
fn tell_supervisor(_stage: Stage) {}

async fn listen(bind: std::net::IpAddr, port: u16, flag: &str) -> Result<TcpListener, Failure> {
    let wanted = SocketAddr::new(bind, port);
    let bound = TcpListener::bind(wanted).await;
    Ok(bound.map_err(|e| format!("cannot listen on {wanted}: {e}; choose another {flag}"))?)
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
