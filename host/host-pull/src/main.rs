//! `host pull`: fetches a checkpoint from the Hugging Face hub into the hub's own cache.
//!
//! A program of its own, so that the one that serves holds no TLS and opens no connection to
//! anywhere. What it writes is what the hub's Python library writes, so both find what the other
//! fetched, and `host serve --models` finds it too.

mod args;
mod cache;
mod choice;
mod download;
mod error;
mod hub;
mod repository;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser as _;

use args::Args;
use cache::Cache;
use download::fetch;
use error::PullError;
use hub::Hub;

fn main() -> ExitCode {
    let args = Args::parse();
    match pull(&args) {
        Ok(path) => {
            print(&path);
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Fetches what is missing; where the checkpoint lies then.
fn pull(args: &Args) -> Result<PathBuf, PullError> {
    let repository = &args.checkpoint.repository;
    let cache = Cache::find(args.cache_dir.as_deref(), repository)?;
    if args.offline {
        return cache.known(args.checkpoint.quantization.as_deref(), &args.revision);
    }
    let hub = Hub::new(&args.endpoint, args.token()?.as_deref());
    let revision = hub.revision(repository, &args.revision)?;
    let files = choice::choose(&revision.files, args.checkpoint.quantization.as_deref())?;
    for file in &files {
        fetch(&hub, &cache, repository, &revision.commit, file)?;
    }
    cache.note_revision(&args.revision, &revision.commit)?;
    Ok(cache.checkpoint(&revision.commit, &files))
}

#[expect(clippy::print_stdout, reason = "the path is the answer")]
fn print(path: &std::path::Path) {
    println!("{}", path.display());
}

#[expect(clippy::print_stderr, reason = "there is no log")]
fn complain(error: &PullError) {
    eprintln!("error: {error}");
}
