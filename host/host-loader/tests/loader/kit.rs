//! The large set of bad files that may lie beside the repository; it needs a C compiler.

use crate::fixture::Folder;
use host_loader::{Loader, LoaderOptions, PluginState};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Says what a test leaves out.
pub(crate) fn skipped(what: &str, why: &str) {
    let note = format!("skipped: {what} ({why})\n");
    let _closed = std::io::stderr().lock().write_all(note.as_bytes());
}

/// Whether a C compiler is there.
pub(crate) fn compiler() -> bool {
    Command::new("cc").arg("--version").output().is_ok_and(|done| done.status.success())
}

#[test]
fn every_file_of_the_kit_is_listed_with_a_reason() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/kits/reliability/bad_plugins.sh");
    if !script.exists() || !compiler() {
        return skipped("the kit of bad plugins", "../shared or cc is not there");
    }
    let made = Folder::new();
    let done = Command::new("bash").arg(&script).arg(made.path()).output().expect("bash runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let folder = made.path().join("plugins");
    std::fs::copy(Folder::with(&["good"]).file("good"), folder.join("good.so"))
        .expect("the folder is ours");
    let probe_timeout = Duration::from_secs(2);
    let plugin_dirs = vec![folder.clone()];
    let loader = Loader::new(LoaderOptions { plugin_dirs, probe_timeout, ..made.options() });
    let registry = loader.scan();
    let table = std::fs::read_to_string(made.path().join("PLUGINS.tsv")).expect("the kit's list");
    // A head; a hidden file, a folder and a copy on its way are passed over; one good plugin. Of
    // a pair of links and of a pair of twins the list names one.
    assert_eq!(registry.plugins().len(), table.lines().count() - 1 - 3 + 1 + 2);
    assert!(!Path::new("/tmp/PWNED_BY_PLUGIN").exists(), "a script was run");
    for report in registry.plugins() {
        let good = report.file == folder.join("good.so");
        assert_eq!(report.state == PluginState::Loaded, good, "{report:?}");
        let reason = report.reason.as_deref().unwrap_or_default();
        assert!(good != (reason.len() > 10) && !reason.contains('\n'), "{report:?}");
    }
}
