//! Plugins that the operator switches off and on.

use crate::fixture::{CLAIM, Folder, builder, check_row, row};
use host_loader::PluginState;
use std::fs;

#[test]
fn a_disabled_plugin_answers_for_nothing_and_who_has_it_keeps_it() {
    let folder = Folder::with(&["good"]);
    let loader = folder.loader();
    let before = loader.scan();
    let provider = before.architecture(CLAIM).expect("it is loaded");
    let registry = loader.set_enabled("fixture", false).expect("it is there");
    assert!(registry.architecture(CLAIM).is_none());
    assert!(std::sync::Arc::ptr_eq(&registry, &loader.registry()));
    let file = folder.file("good");
    check_row(&registry, &file, PluginState::Disabled, &["disabled by the operator"]);
    assert_eq!(row(&registry, &file).abi, row(&before, &file).abi, "what it is stays listed");
    assert!(provider.build(&crate::fixture::checkpoint()).is_ok(), "a running model goes on");
    let registry = loader.set_enabled("fixture", true).expect("it is there");
    check_row(&registry, &file, PluginState::Loaded, &[]);
    assert_eq!(builder(&registry), "fixture");
}

#[test]
fn the_next_best_answers_for_a_disabled_plugin() {
    let folder = Folder::with(&["good", "score"]);
    let loader = folder.loader();
    assert_eq!(builder(&loader.scan()), "fault_score");
    let registry = loader.set_enabled("fault_score", false).expect("it is there");
    assert_eq!(builder(&registry), "fixture");
    assert!(row(&registry, &folder.file("good")).shadowed.is_empty());
}

#[test]
fn a_rescan_keeps_a_plugin_disabled_and_a_new_loader_does_not() {
    let folder = Folder::with(&["good"]);
    let loader = folder.loader();
    loader.scan();
    loader.set_enabled("fixture", false).expect("it is there");
    let file = folder.file("good");
    check_row(&loader.scan(), &file, PluginState::Disabled, &[]);
    fs::remove_file(&file).expect("the folder is ours");
    check_row(&loader.scan(), &file, PluginState::Removed, &["the file is gone"]);
    folder.add("good");
    check_row(&loader.scan(), &file, PluginState::Disabled, &[]);
    check_row(&folder.loader().scan(), &file, PluginState::Loaded, &[]);
}

#[test]
fn only_what_is_there_can_be_switched() {
    let folder = Folder::with(&["good", "wrong_major"]);
    let loader = folder.loader();
    assert!(loader.set_enabled("fixture", false).is_none(), "nothing was scanned yet");
    loader.scan();
    for name in ["", "gone", "fault_wrong_major"] {
        assert!(loader.set_enabled(name, false).is_none(), "{name}");
    }
    assert!(loader.set_enabled("fixture", true).is_some(), "it may be enabled already");
}
