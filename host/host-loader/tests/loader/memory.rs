//! Verdicts are remembered: a known folder is scanned without a child.

use crate::fixture::{Folder, check_row, with_fault};
use host_loader::{Loader, LoaderOptions, PluginState, Registry};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn scan(folder: &Folder, cache: &Path) -> Arc<Registry> {
    let cache_dir = Some(cache.to_owned());
    Loader::new(LoaderOptions { cache_dir, ..folder.options() }).scan()
}

/// Scans with a host that cannot start children: only what is remembered can be loaded.
fn scan_without_children(folder: &Folder, cache: &Path) -> Arc<Registry> {
    let cache_dir = Some(cache.to_owned());
    let probe_program = PathBuf::from("no/such/program");
    Loader::new(LoaderOptions { cache_dir, probe_program, ..folder.options() }).scan()
}

#[test]
fn five_known_plugins_are_loaded_without_a_child() {
    let names = ["good", "good_b", "good_c", "good_d", "good_e"];
    let (folder, cache) = (Folder::with(&names), Folder::new());
    scan(&folder, cache.path());
    let registry = scan_without_children(&folder, cache.path());
    for name in names {
        check_row(&registry, &folder.file(name), PluginState::Loaded, &[]);
    }
}

#[test]
fn a_known_folder_needs_no_child() {
    let (folder, cache) = (Folder::with(&["good", "abort_load", "wrong_major"]), Folder::new());
    let first = scan(&folder, cache.path());
    let second = scan_without_children(&folder, cache.path());
    for registry in [&first, &second] {
        check_row(registry, &folder.file("good"), PluginState::Loaded, &[]);
        let words = ["crashed while probing: SIGABRT"];
        check_row(registry, &folder.file("abort_load"), PluginState::Quarantined, &words);
    }
    check_row(&second, &folder.file("abort_load"), PluginState::Quarantined, &["remembered"]);
    // A refusal may be the machine's fault, so it is tried again.
    check_row(&second, &folder.file("wrong_major"), PluginState::Refused, &["cannot be tried"]);
}

#[test]
fn a_verdict_belongs_to_the_bytes_and_not_to_the_name() {
    let (folder, cache) = (Folder::new(), Folder::new());
    let file = folder.write("plugin", &with_fault("abort_load"));
    check_row(&scan(&folder, cache.path()), &file, PluginState::Quarantined, &["SIGABRT"]);
    folder.write("plugin", &with_fault("good"));
    check_row(&scan(&folder, cache.path()), &file, PluginState::Loaded, &[]);
    let moved = folder.write("moved", &with_fault("abort_load"));
    let registry = scan_without_children(&folder, cache.path());
    check_row(&registry, &moved, PluginState::Quarantined, &["SIGABRT", "remembered"]);
}

#[test]
fn a_damaged_memory_costs_a_second_probe_and_nothing_else() {
    let (folder, cache) = (Folder::with(&["good"]), Folder::new());
    scan(&folder, cache.path());
    let memory = cache.path().join("plugin-verdicts.json");
    let whole = fs::read(&memory).expect("it was written");
    for damage in [&b""[..], b"{", b"[1, 2]", &whole[..whole.len() / 2], b"\xff\xfe"] {
        fs::write(&memory, damage).expect("the folder is ours");
        check_row(&scan(&folder, cache.path()), &folder.file("good"), PluginState::Loaded, &[]);
        assert_eq!(fs::read(&memory).expect("it was written again").len(), whole.len());
    }
    let other_host = String::from_utf8(whole).expect("text").replace("abi 0", "abi 9");
    fs::write(&memory, other_host).expect("the folder is ours");
    let registry = scan_without_children(&folder, cache.path());
    check_row(&registry, &folder.file("good"), PluginState::Refused, &["cannot be tried"]);
}

#[cfg(unix)]
#[test]
fn a_memory_that_cannot_be_written_stops_nothing() {
    let folder = Folder::with(&["good"]);
    let registry = scan(&folder, Path::new("/dev/null/no/folder"));
    check_row(&registry, &folder.file("good"), PluginState::Loaded, &[]);
}
