//! What a library changes about the process while it is loaded is put back.
//!
//! The check is made in a process of its own: this test, run again with a folder in its
//! environment.
#![cfg(unix)]

use crate::fixture::Folder;
use host_loader::{Loader, LoaderOptions, PluginState};
use std::hint::black_box;
use std::process::Command;

const FOLDER: &str = "HOST_LOADER_TEST_FOLDER";

/// What a plugin could have changed, as text.
fn state() -> String {
    // Of this thread: another blocks all signals for a moment while it starts one.
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let wanted = ["SigIgn", "SigCgt", "SigBlk", "Umask"];
    let lines = status.lines().filter(|line| wanted.iter().any(|word| line.starts_with(word)));
    let directory = std::env::current_dir().expect("there is one");
    let third = (black_box(1.0_f32) / black_box(3.0)).to_bits();
    let down = (black_box(1.0_f32) + black_box(1e-7)).to_bits();
    let small = (black_box(1e-30_f32) * black_box(1e-10)).to_bits();
    let lines: Vec<_> = lines.collect();
    let floats = format!("{third:x} {down:x} {small:x}");
    format!("{lines:?} {} {} {floats}", locale(), directory.display())
}

fn locale() -> String {
    // SAFETY: asks only.
    let text = unsafe { libc::setlocale(libc::LC_ALL, std::ptr::null()) };
    // SAFETY: not null for a query, and a text with an end.
    unsafe { std::ffi::CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

#[test]
fn what_a_library_changes_is_put_back() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let options = Folder::new().options();
        let loader = Loader::new(LoaderOptions { plugin_dirs: vec![folder.into()], ..options });
        let before = state();
        let registry = loader.scan();
        assert_eq!(registry.plugins()[0].state, PluginState::Loaded, "{:?}", registry.plugins());
        assert_eq!(state(), before);
        return;
    }
    let folder = Folder::with(&["changed_world"]);
    let mut again = Command::new(std::env::current_exe().expect("a running test has a path"));
    again.args(["--exact", "environment::what_a_library_changes_is_put_back"]);
    let done = again.env(FOLDER, folder.path()).output().expect("this program runs");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
}
