//! One plugin with a fault beside a healthy one: the fault is a reason, the healthy one serves.

use crate::fixture::{Folder, builder, check_row, row, with_fault};
use host_loader::{Loader, LoaderOptions, PluginState};
use std::fs;
use std::time::{Duration, Instant};

fn check(fault: &str, state: PluginState, words: &[&str]) {
    let folder = Folder::with(&["good", fault]);
    let registry = folder.loader().scan();
    check_row(&registry, &folder.file(fault), state, words);
    check_row(&registry, &folder.file("good"), PluginState::Loaded, &[]);
    assert!(["fixture", &format!("fault_{fault}")].contains(&builder(&registry).as_str()));
}

fn refused(fault: &str, words: &[&str]) {
    check(fault, PluginState::Refused, words);
}

fn quarantined(fault: &str, words: &[&str]) {
    check(fault, PluginState::Quarantined, words);
}

#[test]
fn faults_at_load_strike_the_child_only() {
    quarantined("abort_load", &["crashed", "SIGABRT"]);
    #[cfg(unix)]
    quarantined("exit_load", &["without a report", "exit status: 0"]);
    let panic = ["crashed", "SIGABRT", "panicked at", "the author wrote an entry"];
    quarantined("panic_entry", &panic);
    refused("panic_load", &["`fault_panic_load` panicked", "the author"]);
}

#[test]
fn a_library_that_hangs_is_stopped() {
    let folder = Folder::with(&["good", "hang_load"]);
    let probe_timeout = Duration::from_secs(1);
    let loader = Loader::new(LoaderOptions { probe_timeout, ..folder.options() });
    let registry = loader.scan();
    let words = ["still loading after 1000 ms"];
    check_row(&registry, &folder.file("hang_load"), PluginState::Quarantined, &words);
    check_row(&registry, &folder.file("good"), PluginState::Loaded, &[]);
}

#[cfg(unix)]
#[test]
fn what_a_library_prints_is_no_report_and_stops_nobody() {
    quarantined("forge_load", &["crashed", "SIGABRT"]);
    let started = Instant::now();
    refused("fork_load", &["the entry returned null"]);
    assert!(started.elapsed() < Duration::from_secs(25), "waited for what the library started");
}

#[test]
fn another_abi_is_refused_with_both_versions() {
    let words = ["plugin ABI 99.4, this host has 0.4", "rebuild the host"];
    refused("wrong_major", &words);
    refused("newer_abi", &["plugin ABI 0.11, this host has 0.4", "rebuild the host"]);
    refused("older_abi", &["plugin ABI 0.0, this host has 0.4", "rebuild the plugin"]);
}

#[test]
fn a_root_that_is_none_is_refused() {
    refused("null_root", &["the entry returned null", "plugin-api"]);
    refused("misaligned_root", &["misaligned"]);
    refused("bad_magic", &["without the magic"]);
    refused("small_root", &["a root of 48 bytes, 56 expected"]);
}

#[test]
fn a_manifest_that_cannot_be_used_is_refused() {
    refused("bad_manifest", &["manifest", "expected a string"]);
    refused("huge_manifest", &["manifest", "2097152 bytes"]);
    refused("odd_name", &["manifest", "new\\nline"]);
    refused("odd_claim", &["manifest", "new\\nline"]);
}

#[test]
fn a_facet_that_is_not_what_its_name_says_is_refused() {
    refused("null_facet", &["architecture/1", "`fixed`", "null pointer"]);
    refused("facet_size", &["24 bytes expected, 32 found", "rebuild"]);
    refused("fingerprint", &["fingerprint b7893a6bd18e594c expected"]);
    refused("null_function", &["function 0 is null"]);
    refused("claims_more", &["quantization/1", "`q9_z` is claimed, but not given"]);
}

#[test]
fn an_optional_facet_may_be_left_out_but_not_be_broken() {
    check("no_profile", PluginState::Loaded, &[]);
    let registry = Folder::with(&["no_profile"]).loader().scan();
    let device = registry.compute(None).expect("the fixture has one");
    assert_eq!((device.plugin(), device.profiles()), ("fault_no_profile", false));
    refused("missing_profile", &["profile/1", "`idle`", "null pointer"]);
}

#[test]
fn a_facet_of_another_layout_is_refused() {
    let words = ["layout of architecture/1", "at `build`: type `Text` expected, `Bytes` found"];
    refused("layout", &words);
    refused("no_layout", &["has no layout"]);
    refused("other_checker", &["layout checker 0.12 found, 0.11 expected"]);
}

#[test]
fn needs_that_are_not_met_are_named() {
    refused("needs", &["needs plugin `nobody` ^1"]);
    refused("needs_opset", &["needs opset ^9", "1.0.0"]);
    let folder = Folder::with(&["good", "needs", "needs_needy"]);
    let registry = folder.loader().scan();
    let words = ["needs plugin `fault_needs`"];
    check_row(&registry, &folder.file("needs_needy"), PluginState::Refused, &words);
}

#[test]
fn newer_plugins_serve_through_what_both_know() {
    refused("newer", &["architecture `fixed` needs facet architecture/2", "architecture/1"]);
    check("newer_both", PluginState::Loaded, &[]);
    check("future_kind", PluginState::Loaded, &[]);
    let folder = Folder::with(&["newer_both", "future_kind"]);
    let registry = folder.loader().scan();
    assert_eq!(builder(&registry), "fault_future_kind", "through architecture/1");
    fs::remove_file(folder.file("future_kind")).expect("the folder is ours");
    assert_eq!(builder(&folder.loader().scan()), "fault_newer_both", "through architecture/1");
    let kinds = row(&registry, &folder.file("future_kind")).providers.iter();
    assert_eq!(kinds.map(|p| p.kind.as_str()).collect::<Vec<_>>(), ["architecture", "oracle"]);
}

#[test]
fn a_fault_says_the_same_when_one_file_is_checked() {
    let folder = Folder::new();
    let file = folder.write("lone", &with_fault("wrong_major"));
    let report = folder.loader().check(&file);
    assert_eq!(report.state, PluginState::Refused);
    assert!(report.reason.is_some_and(|reason| reason.contains("99.4")));
    let report = folder.loader().check(&folder.add("good"));
    assert_eq!((report.state, report.name.as_str()), (PluginState::Loaded, "fixture"));
}
