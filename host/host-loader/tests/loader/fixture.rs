//! Folders of plugins with chosen faults.
//!
//! The fixture and the probing program are built once a process, into the folder this test was built into. `make test`
//! builds everything before and says so in `E2E_PREBUILT`.

use host_loader::{Loader, LoaderOptions, PluginReport, PluginState, Registry};
use plugin_api::{CheckpointInfo, Scheme};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// What the fixture's architecture answers for.
pub(crate) const CLAIM: &str = "fault-build";
/// What stands before the name of the fault in the library's bytes.
const MARK: &[u8] = b"fixture fault:";

/// `target/debug` of `target/debug/deps/loader-1234`, with the fixture built into it.
fn built() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let program = std::env::current_exe().expect("a running test has a path");
        let folder = program.ancestors().nth(2).expect("a test lies in `deps`").to_owned();
        if std::env::var_os("E2E_PREBUILT").is_none() {
            build(&folder);
        }
        folder
    });
    &FOLDER
}

/// The program that probes: the example of this crate, which `cargo test` builds.
pub(crate) fn probe_program() -> PathBuf {
    let name = format!("list_plugins{}", std::env::consts::EXE_SUFFIX);
    let program = built().join("examples").join(name);
    assert!(program.exists(), "{} is missing: run `cargo build --examples`", program.display());
    program
}

/// A description of a checkpoint with nothing in it.
pub(crate) fn checkpoint() -> CheckpointInfo {
    CheckpointInfo::new(Scheme::Hf, CLAIM.to_owned(), serde_json::Map::new(), Vec::new(), 0)
}

/// Name of the plugin that builds the fixture's graph.
pub(crate) fn builder(registry: &Registry) -> String {
    let provider = registry.architecture(CLAIM).expect("a fixture is loaded");
    provider.build(&checkpoint()).expect("it builds").architecture
}

/// The bytes of the healthy fixture.
pub(crate) fn library() -> &'static [u8] {
    static LIBRARY: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        let file = built().join(format!("{prefix}fixture_faults{suffix}"));
        fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    });
    &LIBRARY
}

fn build(folder: &Path) {
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(["build", "--quiet", "--profile", profile, "--lib", "--examples"]);
    command.args(["-p", "fixture-faults", "-p", "host-loader"]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.env("CARGO_TARGET_DIR", folder.parent().expect("a profile lies in a target folder"));
    let done = command.output().expect("cargo runs");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "the fixture plugin could not be built: {said}");
}

/// The library with a fault. A fault nobody knows makes a good plugin of that name; `good` is the
/// library as it was built.
pub(crate) fn with_fault(fault: &str) -> Vec<u8> {
    let mut bytes = library().to_vec();
    if fault == "good" {
        return bytes;
    }
    let places: Vec<_> =
        (0..bytes.len() - MARK.len()).filter(|&at| bytes[at..].starts_with(MARK)).collect();
    let [at] = places[..] else { panic!("one mark expected, {places:?} found") };
    let name = at + MARK.len() + 1;
    bytes[name..name + fault.len()].copy_from_slice(fault.as_bytes());
    bytes
}

/// A plugin folder of a test, removed at its end.
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("host-loader-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("the temporary folder is writable");
        Self { path }
    }

    pub(crate) fn with(faults: &[&str]) -> Self {
        let folder = Self::new();
        for fault in faults {
            folder.add(fault);
        }
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a plugin with that fault, in a file of that name.
    pub(crate) fn add(&self, fault: &str) -> PathBuf {
        self.write(fault, &with_fault(fault))
    }

    /// Writes a library as a user is asked to: under another name first.
    pub(crate) fn write(&self, name: impl AsRef<OsStr>, bytes: &[u8]) -> PathBuf {
        let file = self.file(name);
        let part = file.with_extension("part");
        fs::write(&part, bytes).expect("the folder is ours");
        fs::rename(&part, &file).expect("the folder is ours");
        file
    }

    pub(crate) fn file(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.path.join(name.as_ref()).with_extension(std::env::consts::DLL_EXTENSION)
    }

    pub(crate) fn options(&self) -> LoaderOptions {
        LoaderOptions {
            plugin_dirs: vec![self.path.clone()],
            cache_dir: None,
            probe_program: probe_program(),
            probe_timeout: Duration::from_secs(60),
            file_bytes_max: 1 << 30,
            pins: BTreeMap::new(),
        }
    }

    pub(crate) fn loader(&self) -> Loader {
        Loader::new(self.options())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left_behind = fs::remove_dir_all(&self.path);
    }
}

/// The row of a file.
pub(crate) fn row<'a>(registry: &'a Registry, file: &Path) -> &'a PluginReport {
    let found = registry.plugins().iter().find(|report| report.file == file);
    found.unwrap_or_else(|| panic!("no row for {}: {:#?}", file.display(), registry.plugins()))
}

/// Checks the row of a file: its state, words of its reason in order, and that it is one line.
pub(crate) fn check_row(registry: &Arc<Registry>, file: &Path, state: PluginState, words: &[&str]) {
    let report = row(registry, file);
    let reason = report.reason.as_deref().unwrap_or_default();
    assert_eq!(report.state, state, "{}: {reason}", file.display());
    assert!(!reason.contains('\n') && reason.chars().count() <= 410, "{reason}");
    assert_eq!(reason.is_empty(), state == PluginState::Loaded, "{}: {reason}", file.display());
    let mut rest = reason;
    for word in words {
        let at = rest.find(word).unwrap_or_else(|| panic!("`{word}` is not in `{reason}`"));
        rest = &rest[at + word.len()..];
    }
}
