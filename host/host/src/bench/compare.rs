//! `host bench --vs URL`: the same workload on this host and on another server.
//!
//! Both are asked by one client over HTTP; this host therefore serves on a free port of its own
//! process. They take turns, and who begins alternates, so that a machine that drifts is fair.

use super::client::Server;
use super::report::{Comparison, Figures, Unit};
use super::workload::Workload;
use super::{check_length, print};
use crate::Failure;
use crate::args::{BenchArgs, ComingArgs};
use crate::console::{Printable as _, note};
use crate::operator::Operator;
use host_generation::{Generator, Models};
use host_http::{AppState, HttpOptions};
use host_metrics::Metrics;
use host_model::CatalogEntry;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Runs the command against the server at `url`.
pub(super) fn compare(args: &BenchArgs, url: &str) -> Result<(), Failure> {
    let timeout = Duration::from_secs(args.versus.timeout_s);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // First of all, so that a wrong URL is known before a model is loaded.
    note(&format!("asking {}", url.printable()));
    let model = args.versus.vs_model.as_deref();
    let theirs = runtime.block_on(Server::open("theirs", url, model, timeout))?;
    note(&format!("theirs: {} at {}", theirs.model.printable(), theirs.url.printable()));
    let (models, metrics) = (Models::default(), Metrics::new());
    let coming = ComingArgs::default();
    let operator =
        Operator::new(&args.plugins, &args.load, &coming, models.clone(), metrics.clone())?;
    operator.scan_plugins();
    let generator = operator.load(CatalogEntry::at(&args.model, None))?.into_generator()?;
    check_length(args, &generator)?;
    let state = AppState::new(models, metrics, Arc::new(operator), HttpOptions::default());
    let rows = runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        // It serves until the runtime is dropped.
        let router = host_http::router(state.clone(), Default::default());
        drop(tokio::spawn(host_http::serve(listener, router, state, std::future::pending())));
        let ours = Server::open("ours", &url, Some(&generator.summary().id), timeout).await?;
        take_turns(args, &generator, &[ours, theirs.clone()]).await
    })?;
    generator.shutdown();
    let comparison = Comparison {
        model: generator.summary().id.clone(),
        vs: theirs.url,
        vs_model: theirs.model,
        threads: args.load.threads,
        rows,
    };
    print(args.json, &comparison, Comparison::describe)
}

/// Measures each row on both servers, as often as is asked for.
async fn take_turns(
    args: &BenchArgs,
    model: &Generator,
    servers: &[Server; 2],
) -> Result<Vec<Figures>, Failure> {
    let workload = Workload::new(args, model)?;
    let rows = workload.rows();
    let mut samples = vec![[Vec::new(), Vec::new()]; rows.len()];
    for repeat in 0..args.repeats {
        let order = if repeat % 2 == 0 { [0, 1] } else { [1, 0] };
        for (row, samples) in rows.iter().zip(&mut samples) {
            for side in order {
                let sample = workload.measure(&servers[side], *row, repeat).await?;
                samples[side].push(sample);
                note(&format!(
                    "{}/{} {}: {} {}",
                    repeat + 1,
                    args.repeats,
                    workload.name(*row),
                    servers[side].side,
                    Unit::of(*row).show(sample.value)
                ));
            }
        }
    }
    let figures = rows.iter().zip(&samples);
    Ok(figures.map(|(row, s)| Figures::new(workload.name(*row), Unit::of(*row), s)).collect())
}
