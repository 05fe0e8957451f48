//! From flags to the parts of the host: the loader, load options, a running model.

use crate::args::{LoadArgs, PluginArgs};
use crate::progress::LoadBar;
use crate::{Failure, folders};
use host_generation::Generator;
use host_loader::{Loader, LoaderOptions, Registry};
use host_metrics::Metrics;
use host_model::{LoadOptions, LoadedModel};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Largest plugin file that is looked at.
const PLUGIN_BYTES_MAX: u64 = 1 << 30;

/// A loader for the folders of the flags.
pub(crate) fn loader(args: &PluginArgs) -> Result<Loader, Failure> {
    let mut pins = BTreeMap::new();
    for pin in &args.pins {
        let (claim, plugin) = pin
            .split_once('=')
            .ok_or_else(|| format!("--pin {pin}: KIND:CLAIM=PLUGIN expected"))?;
        pins.insert(claim.to_owned(), plugin.to_owned());
    }
    Ok(Loader::new(LoaderOptions {
        plugin_dirs: plugin_dirs(args)?,
        cache_dir: args.cache_dir.clone().or_else(folders::cache),
        probe_program: std::env::current_exe()?,
        probe_timeout: Duration::from_secs(args.probe_timeout_s),
        file_bytes_max: PLUGIN_BYTES_MAX,
        pins,
    }))
}

/// The plugins of the flags, scanned once.
pub(crate) fn registry(args: &PluginArgs) -> Result<Arc<Registry>, Failure> {
    Ok(loader(args)?.scan())
}

/// The folders of the flags, or the one beside the program. An empty text is none, as an unset
/// variable often arrives.
pub(crate) fn plugin_dirs(args: &PluginArgs) -> io::Result<Vec<PathBuf>> {
    let named: Vec<_> =
        args.dirs.iter().filter(|dir| !dir.as_os_str().is_empty()).cloned().collect();
    match named.is_empty() {
        true => Ok(vec![folders::beside_program("plugins")?]),
        false => Ok(named),
    }
}

/// Load options of the flags.
pub(crate) fn load_options(args: &LoadArgs) -> LoadOptions {
    LoadOptions {
        id: None,
        device: args.device.clone(),
        threads: args.threads,
        kv_dtype: args.kv_dtype.clone(),
        context_length: args.context_length,
        isq: args.isq.clone(),
        importance: args.imatrix.clone(),
        kv_bytes_max: args.kv_memory.saturating_mul(1 << 20),
        block_size: args.block_size,
        batch_tokens_max: args.batch_tokens_max,
        prefill_tokens_beside_decode_max: args.prefill_tokens_beside_decode_max,
        sequences_max: args.sequences_max,
        queue_max: args.queue_max,
        draft_tokens_max: args.speculate,
        prefix_cache: !args.no_prefix_cache,
    }
}

/// Loads a model with a progress bar.
pub(crate) fn load(
    registry: &Arc<Registry>,
    path: &Path,
    options: &LoadOptions,
) -> Result<LoadedModel, Failure> {
    let bar = LoadBar::new(&format!("loading {}", path.display()));
    Ok(host_model::load(registry, path, options, &|done, total| bar.report(done, total))?)
}

/// Loads a model and starts its engine, for the commands that use one model.
pub(crate) fn generator(
    plugins: &PluginArgs,
    load_args: &LoadArgs,
    path: &Path,
) -> Result<Generator, Failure> {
    start(&registry(plugins)?, load_args, path)
}

/// As [`generator`], with plugins that were looked for already.
pub(crate) fn start(
    registry: &Arc<Registry>,
    load_args: &LoadArgs,
    path: &Path,
) -> Result<Generator, Failure> {
    let model = load(registry, path, &load_options(load_args))?;
    Ok(Generator::spawn(model, Metrics::new())?)
}
