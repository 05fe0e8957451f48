//! Files that are no plugins, or not all of one: refused before any of their code runs.

use crate::fixture::{Folder, check_row, library};
use crate::kit::skipped;
use host_loader::{Loader, LoaderOptions, PluginState};
use std::fs;

fn check_bytes(name: &str, bytes: &[u8], words: &[&str]) {
    let folder = Folder::new();
    let file = folder.write(name, bytes);
    check_row(&folder.loader().scan(), &file, PluginState::Refused, words);
}

#[test]
fn foreign_files_are_told_by_their_kind() {
    check_bytes("empty", b"", &["not a plugin library", "empty"]);
    check_bytes("text", b"hello, I am not a plugin\n", &["not a plugin library", "text found"]);
    check_bytes("script", b"#!/bin/sh\nexit 1\n", &["a script found"]);
    check_bytes("archive", b"\x1f\x8b\x08\x00\x00", &["a gzip file found"]);
    check_bytes("magic", b"\x7fELF", &["a damaged or cut ELF file found"]);
    let program = fs::read(std::env::current_exe().expect("a test")).expect("it is readable");
    check_bytes("program", &program, &["not a plugin: no exported symbol `host_plugin_entry`"]);
}

#[cfg(target_os = "linux")]
#[test]
fn somebody_elses_library_is_told_by_the_missing_entry() {
    let maps = fs::read_to_string("/proc/self/maps").expect("this process has a map");
    let mut files = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let Some(libc) = files.find(|path| path.contains("/libc.so") || path.contains("/libc-")) else {
        return skipped("somebody else's library", "there is no dynamic libc");
    };
    let bytes = fs::read(libc).expect("the system reads it as well");
    check_bytes("libc", &bytes, &["not a plugin: no exported symbol `host_plugin_entry`"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_cut_library_is_refused_wherever_it_is_cut() {
    let whole = library();
    let folder = Folder::new();
    let cuts: Vec<usize> = (1..64).map(|part| whole.len() * part / 64).collect();
    let mut files = Vec::new();
    for cut in cuts.into_iter().chain([63, 64, 200, whole.len() - 40, whole.len() - 1]) {
        files.push(folder.write(format!("cut_{cut}"), &whole[..cut]));
    }
    let registry = folder.loader().scan();
    for file in &files {
        check_row(&registry, file, PluginState::Refused, &["not a plugin library", "cut"]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_library_for_another_machine_is_refused() {
    let patched = |at: usize, bytes: &[u8]| {
        let mut library = library().to_vec();
        library[at..at + bytes.len()].copy_from_slice(bytes);
        library
    };
    check_bytes("class", &patched(4, &[1]), &["not a plugin library"]);
    check_bytes("endian", &patched(5, &[2]), &["not a plugin library"]);
    check_bytes("kind", &patched(16, &[2, 0]), &["Executable found, a dynamic library expected"]);
    check_bytes("machine", &patched(18, &[0xf3, 0]), &["Riscv64", "expected"]);
    check_bytes("segments", &patched(56, &[0xff, 0xff]), &["not a plugin library"]);
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    check_bytes("headers", &patched(32, &huge), &["not a plugin library"]);
}

#[cfg(unix)]
#[test]
fn odd_files_are_listed_without_being_opened() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let folder = Folder::new();
    let link = |to: &str, name: &str| {
        symlink(to, folder.file(name)).expect("a link");
        folder.file(name)
    };
    let refused = [
        (link(&folder.file("loop_b").to_string_lossy(), "loop_a"), "cannot be read"),
        (link(&folder.file("loop_a").to_string_lossy(), "loop_b"), "cannot be read"),
        (link("nowhere", "dangling"), "cannot be read"),
        (link("/dev/zero", "device"), "not a regular file: a device found"),
        (link("/etc/passwd", "outside"), "text found"),
    ];
    let pipe = folder.file("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success());
    let closed = folder.write("closed", library());
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).expect("the file is ours");
    let open = folder.write("open", library());
    fs::set_permissions(&open, fs::Permissions::from_mode(0o666)).expect("the file is ours");
    let registry = folder.loader().scan();
    for (file, words) in &refused {
        check_row(&registry, file, PluginState::Refused, &[words]);
    }
    check_row(&registry, &pipe, PluginState::Refused, &["not a regular file: a pipe found"]);
    check_row(&registry, &open, PluginState::Refused, &["anyone may write", "chmod o-w"]);
    match fs::File::open(&closed) {
        Ok(_) => skipped("a file that may not be read", "this user may read everything"),
        Err(_) => check_row(&registry, &closed, PluginState::Refused, &["Permission denied"]),
    }
}

#[cfg(unix)]
#[test]
fn a_folder_that_anyone_may_write_to_is_not_loaded_from() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::with(&["good"]);
    let mode = |mode| fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode));
    mode(0o777).expect("the folder is ours");
    let registry = folder.loader().scan();
    check_row(&registry, folder.path(), PluginState::Refused, &["anyone may write"]);
    assert_eq!(registry.plugins().len(), 1);
    mode(0o1777).expect("the folder is ours");
    check_row(&folder.loader().scan(), &folder.file("good"), PluginState::Loaded, &[]);
}

#[test]
fn a_file_over_the_limit_is_not_read() {
    let folder = Folder::new();
    let file = folder.file("sparse");
    let sparse = fs::File::create(&file).expect("the folder is ours");
    sparse.set_len(64 << 30).expect("a sparse file");
    check_row(
        &folder.loader().scan(),
        &file,
        PluginState::Refused,
        &["68719476736 bytes, at most"],
    );
    let loader = Loader::new(LoaderOptions { file_bytes_max: 1000, ..folder.options() });
    let library = folder.add("good");
    check_row(&loader.scan(), &library, PluginState::Refused, &["at most 1000 are read"]);
}

#[test]
fn files_that_are_none_of_ours_are_passed_over() {
    let folder = Folder::with(&["good"]);
    let extension = std::env::consts::DLL_EXTENSION;
    for name in [format!(".hidden.{extension}"), format!("copying.{extension}.part")] {
        fs::write(folder.path().join(name), b"half").expect("the folder is ours");
    }
    fs::write(folder.path().join("readme.txt"), b"plugins").expect("the folder is ours");
    fs::create_dir(folder.file("directory")).expect("the folder is ours");
    assert_eq!(folder.loader().scan().plugins().len(), 1);
}

#[test]
fn a_folder_that_is_not_there_is_a_row() {
    let folder = Folder::new();
    let missing = folder.path().join("missing");
    let plugin_dirs = vec![missing.clone()];
    let loader = Loader::new(LoaderOptions { plugin_dirs, ..folder.options() });
    check_row(&loader.scan(), &missing, PluginState::Refused, &["cannot be read"]);
}
