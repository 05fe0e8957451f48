//! The scan: every file of the plugin folders, from candidate to provider or to a reason.
//!
//! A scan never fails and never ends the host. What is loaded stays loaded; a rescan adds new
//! files, takes changed ones again and stops routing to those that are gone. A plugin that the
//! operator disabled is treated as one that is not there, until this process ends.

use crate::candidate::{self, Fingerprint};
use crate::needs::first_unmet;
use crate::open::{self, OpenPlugin};
use crate::report::printable;
use crate::verdicts::{Verdict, Verdicts};
use crate::{PluginReport, PluginState, Refusal, Registry, inspect, probe};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
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
    /// Locked by a scan for its whole length.
    known: Mutex<Known>,
    registry: RwLock<Arc<Registry>>,
}

/// What a snapshot is made of.
#[derive(Debug, Default)]
struct Known {
    /// Every library this process has opened.
    opened: Opened,
    /// What the last scan found, whether it may be used or not.
    found: Vec<Found>,
    reports: Vec<PluginReport>,
    /// Names of plugins that are not to be used.
    disabled: BTreeSet<String>,
}

/// Libraries by the hash of their file.
type Opened = BTreeMap<String, Arc<LoadedPlugin>>;

/// A plugin that is mapped and checked.
#[derive(Debug)]
struct LoadedPlugin {
    open: OpenPlugin,
    print: Fingerprint,
    load_us: u64,
}

/// A plugin and the file it was found in.
type Found = (PathBuf, Arc<LoadedPlugin>);

/// A file on its way through the checks.
struct Candidate {
    file: PathBuf,
    known: Option<(Fingerprint, String)>,
    /// Whether it was loaded before, here or in a child.
    tried: bool,
    outcome: Result<(), Refusal>,
}

impl Loader {
    /// A loader that has scanned nothing yet.
    #[must_use]
    pub fn new(options: LoaderOptions) -> Self {
        Self { options, known: Mutex::default(), registry: RwLock::default() }
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
        let mut known = self.known();
        let (files, mut reports) = self.files();
        let mut found: Vec<Found> = Vec::new();
        for candidate in self.judge(files, &known.opened) {
            let (report, plugin) = load(candidate, &found, &mut known.opened);
            reports.push(report);
            found.extend(plugin);
        }
        (known.found, known.reports) = (found, reports);
        self.publish(&known)
    }

    /// Switches a plugin off, or on again, and makes a new snapshot of what the last scan found.
    /// None: no plugin of that name is there to be switched.
    pub fn set_enabled(&self, name: &str, enabled: bool) -> Option<Arc<Registry>> {
        let mut known = self.known();
        known.found.iter().find(|(_, plugin)| plugin.open.manifest.name == name)?;
        if enabled {
            known.disabled.remove(name);
        } else {
            known.disabled.insert(name.to_owned());
        }
        tracing::info!(plugin = name, enabled, "plugin switched");
        Some(self.publish(&known))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the snapshot that is answered from now on.
    fn publish(&self, known: &Known) -> Arc<Registry> {
        let (mut plugins, mut reports) = (known.found.clone(), known.reports.clone());
        drop_disabled(&mut plugins, &mut reports, &known.disabled);
        drop_unmet_needs(&mut plugins, &mut reports);
        let removed = gone(&self.registry(), &reports);
        reports.extend(removed);
        let open: Vec<_> = plugins.iter().map(|(_, plugin)| &plugin.open).collect();
        let registry = Arc::new(Registry::new(&open, reports, &self.options.pins));
        *self.registry.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&registry);
        registry
    }

    /// Says what a scan would make of one file, without using it.
    #[must_use]
    pub fn check(&self, file: &Path) -> PluginReport {
        let mut known = self.known();
        match self.judge(vec![file.to_owned()], &known.opened).pop() {
            Some(candidate) => load(candidate, &[], &mut known.opened).0,
            None => unreachable!("one file in, one candidate out"),
        }
    }

    /// The libraries of all folders; a folder that cannot be read is a row of its own.
    fn files(&self) -> (Vec<PathBuf>, Vec<PluginReport>) {
        let (mut files, mut reports) = (Vec::new(), Vec::new());
        for folder in &self.options.plugin_dirs {
            match candidate::libraries(folder) {
                Ok(found) => files.extend(found),
                Err(refusal) => reports.push(PluginReport::refused(folder, None, &refusal)),
            }
        }
        (files, reports)
    }

    /// Everything that can be said without opening a file in this process.
    fn judge(&self, files: Vec<PathBuf>, opened: &Opened) -> Vec<Candidate> {
        let mut verdicts = Verdicts::read(self.options.cache_dir.as_deref());
        let look = |file| self.look(file, &verdicts, opened);
        let mut candidates: Vec<Candidate> = files.into_iter().map(look).collect();
        self.probe_all(candidates.iter_mut().filter(|c| c.outcome.is_ok() && !c.tried).collect());
        for candidate in &candidates {
            let Some((print, sha256)) = &candidate.known else { continue };
            let verdict = match &candidate.outcome {
                Ok(()) => Verdict::Good,
                Err(Refusal::Remembered(_)) => continue,
                Err(refusal) if refusal.is_harmful() => Verdict::Harmful(refusal.to_string()),
                Err(_) => continue,
            };
            verdicts.note(&candidate.file, print, sha256, verdict);
        }
        verdicts.write();
        candidates
    }

    /// Looks at a file and at what is known about it; reads it only when nothing is known.
    fn look(&self, file: PathBuf, verdicts: &Verdicts, opened: &Opened) -> Candidate {
        let mut candidate = Candidate { file, known: None, tried: false, outcome: Ok(()) };
        candidate.outcome = self.identify(&candidate.file, verdicts).and_then(|known| {
            let (_, sha256) = candidate.known.insert(known);
            match verdicts.on(sha256) {
                _ if opened.contains_key(sha256) => candidate.tried = true,
                Some(Verdict::Good) => candidate.tried = true,
                Some(Verdict::Harmful(reason)) => return Err(Refusal::Remembered(reason.clone())),
                None => {}
            }
            Ok(())
        });
        candidate
    }

    fn identify(&self, file: &Path, verdicts: &Verdicts) -> Result<(Fingerprint, String), Refusal> {
        let print = candidate::examine(file, self.options.file_bytes_max)?;
        if let Some(sha256) = verdicts.hash_of(file, &print) {
            return Ok((print, sha256));
        }
        let bytes = candidate::read(file, self.options.file_bytes_max)?;
        inspect::inspect(&bytes)?;
        Ok((print, candidate::sha256(&bytes)))
    }

    /// Tries unknown files in children, a few at a time.
    fn probe_all(&self, unknown: Vec<&mut Candidate>) {
        let (program, timeout) = (&self.options.probe_program, self.options.probe_timeout);
        let workers = unknown.len().min(PROBES_AT_ONCE);
        let queue = Mutex::new(unknown.into_iter());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some(candidate) = next() {
                        candidate.outcome = probe::probe(program, &candidate.file, timeout);
                    }
                });
            }
        });
    }
}

/// Opens a candidate here, or finds it open already.
fn load(
    candidate: Candidate,
    others: &[Found],
    opened: &mut Opened,
) -> (PluginReport, Option<Found>) {
    let Candidate { file, known, outcome, .. } = candidate;
    let sha256 = known.as_ref().map(|(_, sha256)| sha256.clone());
    let plugin = outcome.and_then(|()| {
        let (print, sha256) = known.expect("only a file that was read has passed");
        let plugin = match opened.get(&sha256) {
            Some(plugin) => Arc::clone(plugin),
            None => {
                let plugin = open_here(&file, print, opened)?;
                opened.insert(sha256, Arc::clone(&plugin));
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
        Ok(plugin) => {
            let report = PluginReport::loaded(&file, sha256, &plugin.open, plugin.load_us);
            (report, Some((file, plugin)))
        }
        Err(refusal) => {
            let report = PluginReport::refused(&file, sha256, &refusal);
            let reason = report.reason.as_deref().unwrap_or_default();
            tracing::info!(file = %printable(&file), reason, "plugin not loaded");
            (report, None)
        }
    }
}

fn open_here(
    file: &Path,
    print: Fingerprint,
    opened: &Opened,
) -> Result<Arc<LoadedPlugin>, Refusal> {
    // The system takes one file for one library: it would give us the old one back, whose pages
    // are those of the new file by now.
    let same_file = |other: &&Arc<LoadedPlugin>| {
        print.identity != (0, 0) && other.print.identity == print.identity
    };
    if let Some(other) = opened.values().find(same_file) {
        return Err(Refusal::Overwritten(other.open.manifest.name.clone()));
    }
    let started = Instant::now();
    let open = open::open(&std::path::absolute(file).unwrap_or_else(|_| file.to_owned()))?;
    let load_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    tracing::info!(plugin = open.manifest.name, version = %open.manifest.version, "plugin loaded");
    Ok(Arc::new(LoadedPlugin { open, print, load_us }))
}

/// Takes out plugins that the operator does not want.
fn drop_disabled(
    plugins: &mut Vec<Found>,
    reports: &mut [PluginReport],
    disabled: &BTreeSet<String>,
) {
    plugins.retain(|(_, plugin)| !disabled.contains(&plugin.open.manifest.name));
    for report in reports.iter_mut() {
        if report.state == PluginState::Loaded && disabled.contains(&report.name) {
            *report = PluginReport::disabled(report);
        }
    }
}

/// Takes out plugins that need what is not there, until no more have to go.
fn drop_unmet_needs(plugins: &mut Vec<Found>, reports: &mut [PluginReport]) {
    loop {
        let manifests: Vec<_> = plugins.iter().map(|(_, plugin)| &plugin.open.manifest).collect();
        let Some((index, need)) = first_unmet(&manifests) else { return };
        let (file, _) = plugins.remove(index);
        if let Some(report) = reports.iter_mut().find(|report| report.file == file) {
            report.state = PluginState::Refused;
            report.reason = Some(Refusal::Need(need).to_string());
        }
    }
}

/// Rows of plugins that were loaded from files that are no longer there.
fn gone(before: &Registry, now: &[PluginReport]) -> Vec<PluginReport> {
    let was_loaded = |report: &&PluginReport| {
        let state = report.state;
        matches!(state, PluginState::Loaded | PluginState::Removed | PluginState::Disabled)
    };
    let is_gone = |report: &&PluginReport| {
        now.iter().all(|other| other.file != report.file && other.sha256 != report.sha256)
    };
    before.plugins().iter().filter(was_loaded).filter(is_gone).map(PluginReport::removed).collect()
}
