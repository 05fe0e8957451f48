//! The scan: every file of the plugin folders, from candidate to provider or to a reason.
//!
//! A scan never fails and never ends the host. What is loaded stays loaded; a rescan adds new
//! files, takes changed ones again and stops routing to those that are gone.

use crate::candidate::{self, Fingerprint};
use crate::open::{self, OpenPlugin};
use crate::report::printable;
use crate::verdicts::{Verdict, Verdicts};
use crate::{PluginReport, PluginState, Refusal, Registry, inspect, probe};
use plugin_api::Need;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Children that probe at the same time.
const PROBES_AT_ONCE: usize = 4;

/// Where plugins come from and how they are tried.
#[derive(Debug, Clone)]
pub struct LoaderOptions {
    /// Folders to scan.
    pub plugin_dirs: Vec<PathBuf>,
    /// Where verdicts are remembered; none: they are not.
    pub cache_dir: Option<PathBuf>,
    /// Program that answers `probe-plugin FILE`.
    pub probe_program: PathBuf,
    /// How long a plugin may take to load there.
    pub probe_timeout: Duration,
    /// Largest plugin file.
    pub file_bytes_max: u64,
    /// Which plugin answers for a `kind:claim` that several offer.
    pub pins: BTreeMap<String, String>,
}

/// Loads plugins and keeps them.
#[derive(Debug)]
pub struct Loader {
    options: LoaderOptions,
    /// Every library this process has opened, by hash. Locked by a scan for its whole length.
    opened: Mutex<BTreeMap<String, Arc<LoadedPlugin>>>,
    registry: RwLock<Arc<Registry>>,
}

/// A plugin that is mapped and checked.
#[derive(Debug)]
pub(crate) struct LoadedPlugin {
    pub(crate) open: OpenPlugin,
    load_us: u64,
}

/// A file on its way through the checks.
struct Candidate {
    file: PathBuf,
    print: Option<Fingerprint>,
    sha256: Option<String>,
    outcome: Result<(), Refusal>,
    known_good: bool,
}

impl Loader {
    /// A loader that has scanned nothing yet.
    #[must_use]
    pub fn new(options: LoaderOptions) -> Self {
        Self { options, opened: Mutex::default(), registry: RwLock::default() }
    }

    /// The newest snapshot.
    #[must_use]
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The folders it scans.
    #[must_use]
    pub fn plugin_dirs(&self) -> &[PathBuf] {
        &self.options.plugin_dirs
    }

    /// Scans the folders and makes a new snapshot.
    pub fn scan(&self) -> Arc<Registry> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let (files, mut reports) = self.files();
        let candidates = self.judge(files);
        let mut plugins: Vec<(PathBuf, Arc<LoadedPlugin>)> = Vec::new();
        for candidate in candidates {
            let (report, plugin) = load(candidate, &plugins, &mut opened);
            reports.push(report);
            plugins.extend(plugin);
        }
        drop_unmet_needs(&mut plugins, &mut reports);
        let plugins: Vec<_> = plugins.into_iter().map(|(_, plugin)| plugin).collect();
        let registry = Arc::new(Registry::new(&plugins, reports, &self.options.pins));
        *self.registry.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&registry);
        registry
    }

    /// Says what a scan would make of one file, without using it.
    #[must_use]
    pub fn check(&self, file: &Path) -> PluginReport {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let mut candidates = self.judge(vec![file.to_owned()]);
        match candidates.pop() {
            Some(candidate) => load(candidate, &[], &mut opened).0,
            None => refused(file, None, &Refusal::Unreadable("it is gone".to_owned())),
        }
    }

    /// The libraries of all folders; a folder that cannot be read is a row of its own.
    fn files(&self) -> (Vec<PathBuf>, Vec<PluginReport>) {
        let (mut files, mut reports) = (Vec::new(), Vec::new());
        for folder in &self.options.plugin_dirs {
            match candidate::libraries(folder) {
                Ok(found) => files.extend(found),
                Err(error) => {
                    let refusal = Refusal::Unreadable(error.to_string());
                    reports.push(refused(folder, None, &refusal));
                }
            }
        }
        (files, reports)
    }

    /// Everything that can be said without opening a file in this process.
    fn judge(&self, files: Vec<PathBuf>) -> Vec<Candidate> {
        let mut verdicts = Verdicts::read(self.options.cache_dir.as_deref());
        let look = |file| look(file, self.options.file_bytes_max, &verdicts);
        let mut candidates: Vec<Candidate> = files.into_iter().map(look).collect();
        let unknown: Vec<&mut Candidate> = candidates
            .iter_mut()
            .filter(|candidate| candidate.outcome.is_ok() && !candidate.known_good)
            .collect();
        self.probe_all(unknown);
        for candidate in &candidates {
            let (Some(print), Some(sha256)) = (&candidate.print, &candidate.sha256) else {
                continue;
            };
            let verdict = match &candidate.outcome {
                Ok(()) => Verdict::Good,
                Err(Refusal::Remembered(_)) => continue,
                Err(refusal) if refusal.is_harmful() => Verdict::Harmful(refusal.to_string()),
                Err(_) => continue,
            };
            if verdicts.on(sha256) != Some(&verdict)
                || verdicts.hash_of(&candidate.file, print).is_none()
            {
                verdicts.note(&candidate.file, print, sha256, verdict);
            }
        }
        verdicts.write();
        candidates
    }

    /// Tries unknown files in children, a few at a time.
    fn probe_all(&self, unknown: Vec<&mut Candidate>) {
        let (program, timeout) = (&self.options.probe_program, self.options.probe_timeout);
        let queue = Mutex::new(unknown.into_iter());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        std::thread::scope(|scope| {
            for _ in 0..PROBES_AT_ONCE {
                scope.spawn(|| {
                    while let Some(candidate) = next() {
                        candidate.outcome = probe::probe(program, &candidate.file, timeout);
                    }
                });
            }
        });
    }
}

/// Looks at a file and at what is known about it; reads it only when nothing is known.
fn look(file: PathBuf, bytes_max: u64, verdicts: &Verdicts) -> Candidate {
    let mut candidate =
        Candidate { file, print: None, sha256: None, outcome: Ok(()), known_good: false };
    candidate.outcome = judge_file(&mut candidate, bytes_max, verdicts);
    candidate
}

fn judge_file(
    candidate: &mut Candidate,
    bytes_max: u64,
    verdicts: &Verdicts,
) -> Result<(), Refusal> {
    let print = candidate::examine(&candidate.file, bytes_max)?;
    candidate.sha256 = verdicts.hash_of(&candidate.file, &print);
    candidate.print = Some(print);
    if candidate.sha256.is_none() {
        let bytes = candidate::read(&candidate.file)?;
        inspect::inspect(&bytes)?;
        candidate.sha256 = Some(candidate::sha256(&bytes));
    }
    match candidate.sha256.as_deref().and_then(|sha256| verdicts.on(sha256)) {
        Some(Verdict::Good) => candidate.known_good = true,
        Some(Verdict::Harmful(reason)) => return Err(Refusal::Remembered(reason.clone())),
        None => {}
    }
    Ok(())
}

/// Opens a candidate here, or finds it open already.
fn load(
    candidate: Candidate,
    others: &[(PathBuf, Arc<LoadedPlugin>)],
    opened: &mut BTreeMap<String, Arc<LoadedPlugin>>,
) -> (PluginReport, Option<(PathBuf, Arc<LoadedPlugin>)>) {
    let Candidate { file, sha256, outcome, .. } = candidate;
    let plugin = outcome.and_then(|()| {
        let hash = sha256.clone().unwrap_or_default();
        let plugin = match opened.get(&hash) {
            Some(plugin) => Arc::clone(plugin),
            None => {
                let plugin = open_here(&file)?;
                opened.insert(hash, Arc::clone(&plugin));
                plugin
            }
        };
        let name = &plugin.open.manifest.name;
        match others.iter().find(|(_, other)| other.open.manifest.name == *name) {
            Some((other, _)) => {
                Err(Refusal::Duplicate { name: name.clone(), other: printable(other) })
            }
            None => Ok(plugin),
        }
    });
    match plugin {
        Ok(plugin) => (loaded(&file, sha256, &plugin), Some((file, plugin))),
        Err(refusal) => {
            let report = refused(&file, sha256, &refusal);
            let reason = report.reason.as_deref().unwrap_or_default();
            tracing::warn!(file = %printable(&file), reason, "plugin not loaded");
            (report, None)
        }
    }
}

fn open_here(file: &Path) -> Result<Arc<LoadedPlugin>, Refusal> {
    let started = Instant::now();
    let open = open::open(&std::path::absolute(file).unwrap_or_else(|_| file.to_owned()))?;
    let load_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    tracing::info!(plugin = open.manifest.name, version = %open.manifest.version, "plugin loaded");
    Ok(Arc::new(LoadedPlugin { open, load_us }))
}

/// Takes out plugins that need what is not there, until no more have to go.
fn drop_unmet_needs(plugins: &mut Vec<(PathBuf, Arc<LoadedPlugin>)>, reports: &mut [PluginReport]) {
    loop {
        let unmet = plugins.iter().enumerate().find_map(|(index, (_, plugin))| {
            let need = plugin.open.manifest.needs.iter().find(|need| !met(need, plugins))?;
            Some((index, describe(need)))
        });
        let Some((index, need)) = unmet else { return };
        let (file, _) = plugins.remove(index);
        if let Some(report) = reports.iter_mut().find(|report| report.file == file) {
            report.state = PluginState::Refused;
            report.reason = Some(Refusal::Need(need).to_string());
        }
    }
}

fn met(need: &Need, plugins: &[(PathBuf, Arc<LoadedPlugin>)]) -> bool {
    let manifests = || plugins.iter().map(|(_, plugin)| &plugin.open.manifest);
    match need {
        Need::Plugin { name, version } => {
            manifests().any(|m| m.name == *name && version.matches(&m.version))
        }
        Need::Dtype { name } => manifests().any(|manifest| {
            let quantizations = manifest.providers.iter().filter(|p| p.kind == "quantization");
            quantizations.flat_map(|provider| &provider.claims).any(|claim| claim == name)
        }),
        Need::Opset { version } => version.matches(&graph::OPSET),
        // A need of the future cannot be checked, and is the plugin's own risk.
        _ => true,
    }
}

fn describe(need: &Need) -> String {
    match need {
        Need::Plugin { name, version } => format!("plugin `{name}` {version}"),
        Need::Dtype { name } => format!("dtype `{name}`"),
        Need::Opset { version } => format!("opset {version} (this host has {})", graph::OPSET),
        _ => "something this host does not know".to_owned(),
    }
}

fn loaded(file: &Path, sha256: Option<String>, plugin: &LoadedPlugin) -> PluginReport {
    let manifest = &plugin.open.manifest;
    PluginReport {
        file: file.to_owned(),
        name: manifest.name.clone(),
        version: Some(manifest.version.clone()),
        state: PluginState::Loaded,
        reason: None,
        providers: manifest.providers.clone(),
        shadowed: Vec::new(),
        sha256,
        load_us: plugin.load_us,
    }
}

fn refused(file: &Path, sha256: Option<String>, refusal: &Refusal) -> PluginReport {
    let harmful = refusal.is_harmful();
    PluginReport {
        file: file.to_owned(),
        name: printable(Path::new(file.file_name().unwrap_or(file.as_os_str()))),
        version: None,
        state: if harmful { PluginState::Quarantined } else { PluginState::Refused },
        reason: Some(refusal.to_string().replace(['\n', '\r'], " ")),
        providers: Vec::new(),
        shadowed: Vec::new(),
        sha256,
        load_us: 0,
    }
}
