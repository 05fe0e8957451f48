//! Builds what the tests run: the host, the plugins and the misbehaving fixture.
//!
//! `cargo test` alone does not put programs and dynamic libraries where a user finds them, so they
//! are built here, once a process, in the profile of the running test. `make test` builds them
//! first and says so in `E2E_PREBUILT`, because its test runner starts one process a test.

use crate::command::cargo;
use crate::{dynamic_library, root};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The host program.
#[must_use]
pub fn host_program() -> PathBuf {
    built(&format!("host{}", std::env::consts::EXE_SUFFIX))
}

/// The dynamic library of a package, such as `plugin-qwen`.
#[must_use]
pub fn plugin_file(package: &str) -> PathBuf {
    built(&dynamic_library(package))
}

/// The MCP server that misbehaves, built alone unless everything was built before.
#[must_use]
pub fn fixture_server() -> PathBuf {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = profile_dir();
        if std::env::var_os("E2E_PREBUILT").is_none() {
            build(&folder, &["-p", "fixture-mcp-server"]);
        }
        folder.join(format!("fixture-mcp-server{}", std::env::consts::EXE_SUFFIX))
    });
    PROGRAM.clone()
}

/// An example for users that is a program, built unless everything was built before.
///
/// # Panics
/// It was to be there and is not.
#[must_use]
pub fn example_program(name: &str) -> PathBuf {
    let folder = profile_dir();
    if std::env::var_os("E2E_PREBUILT").is_none() {
        build(&folder, &["--example", name]);
    }
    let program = folder.join(format!("examples/{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{} is missing: run `make test-prebuild` first", program.display());
    program
}

/// Builds a plugin that is not among the workspace's default members, unless that was done before.
pub fn build_plugin(name: &str) {
    if std::env::var_os("E2E_PREBUILT").is_none() {
        build(&profile_dir(), &["-p", &format!("plugin-{name}")]);
    }
}

/// The folder cargo builds into, whatever the user calls it.
#[must_use]
pub fn target_dir() -> PathBuf {
    profile_dir().parent().expect("a profile lies in a target folder").to_owned()
}

/// `target/debug` of `target/debug/deps/e2e-1234`.
fn profile_dir() -> PathBuf {
    let program = std::env::current_exe().expect("a running test has a path");
    let deps = program.parent().expect("a test lies in a folder");
    deps.parent().expect("`deps` lies in a profile's folder").to_owned()
}

fn built(file: &str) -> PathBuf {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = profile_dir();
        if std::env::var_os("E2E_PREBUILT").is_none() {
            build(&folder, &[]);
        }
        folder
    });
    let path = FOLDER.join(file);
    assert!(path.exists(), "{} is missing: run `make test-prebuild` first", path.display());
    path
}

/// Builds some packages, the default members if none is named.
fn build(folder: &Path, packages: &[&str]) {
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let arguments = [&["build", "--profile", profile, "--quiet"], packages].concat();
    cargo(&root(), &target_dir(), &arguments);
}
