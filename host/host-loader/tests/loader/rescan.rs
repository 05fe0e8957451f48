//! Rescans: what is new comes, what is gone goes, what is loaded stays.

use crate::fixture::{CLAIM, Folder, builder, check_row, library, row, with_fault};
use host_loader::{Loader, LoaderOptions, PluginState};
use std::fs;
use std::path::PathBuf;

#[test]
fn a_new_file_is_found_and_old_snapshots_stay() {
    let folder = Folder::new();
    let loader = folder.loader();
    let before = loader.scan();
    assert!(before.architecture(CLAIM).is_none());
    folder.add("good");
    assert!(loader.registry().architecture(CLAIM).is_none(), "not before the rescan");
    let after = loader.scan();
    assert!(after.architecture(CLAIM).is_some() && before.plugins().is_empty());
    assert!(std::sync::Arc::ptr_eq(&after, &loader.registry()));
}

#[test]
fn a_removed_file_is_not_routed_to_and_can_come_back() {
    let folder = Folder::with(&["good"]);
    let loader = folder.loader();
    let provider = loader.scan().architecture(CLAIM).expect("it is loaded");
    fs::remove_file(folder.file("good")).expect("the folder is ours");
    for _ in 0..2 {
        let registry = loader.scan();
        assert!(registry.architecture(CLAIM).is_none());
        check_row(&registry, &folder.file("good"), PluginState::Removed, &["the file is gone"]);
    }
    assert_eq!(provider.plugin(), "fixture", "who has it keeps it");
    folder.add("good");
    let registry = loader.scan();
    check_row(&registry, &folder.file("good"), PluginState::Loaded, &[]);
    assert_eq!(registry.plugins().len(), 1);
}

#[test]
fn a_replaced_file_is_loaded_anew() {
    let folder = Folder::new();
    let file = folder.write("plugin", library());
    let loader = folder.loader();
    assert_eq!(row(&loader.scan(), &file).name, "fixture");
    for name in ["score", "good_b", "good_c"] {
        folder.write("plugin", &with_fault(name));
        let registry = loader.scan();
        assert_eq!(row(&registry, &file).name, format!("fault_{name}"));
        assert_eq!(builder(&registry), format!("fault_{name}"), "the code is new as well");
        assert_eq!(registry.plugins().len(), 1);
    }
    folder.write("plugin", &with_fault("wrong_major"));
    let registry = loader.scan();
    check_row(&registry, &file, PluginState::Refused, &["ABI 99."]);
    assert!(registry.architecture(CLAIM).is_none());
}

#[cfg(unix)]
#[test]
fn a_file_that_was_overwritten_in_place_is_not_taken_for_the_old_one() {
    let folder = Folder::new();
    let file = folder.write("plugin", library());
    let loader = folder.loader();
    loader.scan();
    // Only bytes behind the library are added: those that are mapped must not change here.
    fs::write(folder.path().join("longer"), b"other bytes").expect("the folder is ours");
    let mut opened = fs::File::options().append(true).open(&file).expect("the file is ours");
    std::io::Write::write_all(&mut opened, b"other bytes").expect("the file is ours");
    let registry = loader.scan();
    let words = ["overwritten in place while plugin `fixture` runs", "rename", "restart"];
    check_row(&registry, &file, PluginState::Refused, &words);
}

#[test]
fn what_is_loaded_stays_when_no_child_can_be_started() {
    let folder = Folder::with(&["good"]);
    let loader = folder.loader();
    loader.scan();
    folder.add("score");
    let broken = folder.options();
    let missing = PathBuf::from("no/such/program");
    let other = Loader::new(LoaderOptions { probe_program: missing, ..broken });
    let words = ["cannot be tried", "no/such/program"];
    check_row(&other.scan(), &folder.file("good"), PluginState::Refused, &words);
    check_row(&loader.scan(), &folder.file("good"), PluginState::Loaded, &[]);
}
