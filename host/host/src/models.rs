//! `host models`: what is in the folders of models.
//!
//! Names, sizes and paths come from the catalog; only `smallest` and `inspect` open checkpoints, and
//! no memory is taken for any.

use crate::args::{LoadArgs, ModelsCommand, PluginArgs, RootArgs};
use crate::console::{Printable as _, answer, note, table};
use crate::{Failure, model, wiring};
use host_model::{Catalog, CatalogEntry};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Runs a `models` command.
pub(crate) fn models(command: &ModelsCommand) -> Result<(), Failure> {
    match command {
        ModelsCommand::List { roots, json } => list(&named_catalog(roots)?, *json),
        ModelsCommand::Smallest { roots, plugins, load } => {
            let path = smallest(named_catalog(roots)?, plugins, load)?;
            answer(&format!("{}\n", path.display()));
            Ok(())
        }
        ModelsCommand::Inspect { name, json, roots, plugins, load } => {
            let catalog = catalog(roots);
            model::inspect(&resolve(&catalog, name).path, *json, plugins, load)
        }
    }
}

/// What is in the folders of the flags; what is wrong with them is told.
pub(crate) fn catalog(roots: &RootArgs) -> Catalog {
    let catalog = Catalog::scan(&roots.roots);
    for problem in &catalog.problems {
        note(&format!("models: {}", problem.printable()));
    }
    catalog
}

/// The checkpoint that a name means: a path that is there, else an id of the catalog.
pub(crate) fn resolve(catalog: &Catalog, name: &str) -> CatalogEntry {
    let path = Path::new(name);
    let found = if path.exists() { None } else { catalog.find(name) };
    found.cloned().unwrap_or_else(|| CatalogEntry::at(path, None))
}

fn named_catalog(roots: &RootArgs) -> Result<Catalog, Failure> {
    if roots.roots.is_empty() {
        return Err("no folder of models: name one with --models DIR or HOST_MODELS".into());
    }
    Ok(catalog(roots))
}

fn list(catalog: &Catalog, is_json: bool) -> Result<(), Failure> {
    if is_json {
        let listed = json!({ "models": catalog.entries, "problems": catalog.problems });
        answer(&format!("{}\n", serde_json::to_string_pretty(&listed)?));
        return Ok(());
    }
    let mut rows = vec![["ID", "FORMAT", "MIB", "PATH"].map(str::to_owned).to_vec()];
    rows.extend(catalog.entries.iter().map(|entry| {
        vec![
            entry.id.printable(),
            entry.format.printable(),
            entry.bytes.div_ceil(1 << 20).to_string(),
            entry.path.to_string_lossy().printable(),
        ]
    }));
    answer(&table(&rows));
    Ok(())
}

/// The path of the smallest checkpoint that can be prepared and generates.
fn smallest(catalog: Catalog, plugins: &PluginArgs, load: &LoadArgs) -> Result<PathBuf, Failure> {
    let (registry, options) = (wiring::registry(plugins)?, wiring::load_options(load));
    let mut entries = catalog.entries;
    entries.sort_by_key(|entry| entry.bytes);
    let count = entries.len();
    for entry in entries {
        match host_model::prepare(&registry, &entry.path, &options) {
            Ok(prepared) if prepared.embeds() => {}
            Ok(prepared) => match prepared.read_tokenizer() {
                Ok(_) => return Ok(entry.path),
                Err(error) => tracing::info!(%error, "passed over"),
            },
            Err(error) => tracing::info!(%error, "passed over"),
        }
    }
    let why = format!(
        "none of {count} models generates and can be loaded; --log info says why, `host plugins \
         list` which plugins there are"
    );
    Err(why.into())
}
