//! The smallest host: lists the plugins of the folders it is given, each with its verdict.
//!
//! It is its own probing program, as every host is: called as `list_plugins probe-plugin FILE` it
//! loads one file and reports.

use host_loader::{Loader, LoaderOptions, probe_main};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [command, file] if command == "probe-plugin" => probe_main(Path::new(file)),
        folders => match list(folders) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_closed) => ExitCode::FAILURE,
        },
    }
}

fn list(folders: &[OsString]) -> std::io::Result<()> {
    let loader = Loader::new(LoaderOptions {
        plugin_dirs: folders.iter().map(PathBuf::from).collect(),
        cache_dir: None,
        probe_program: std::env::current_exe()?,
        probe_timeout: Duration::from_secs(5),
        file_bytes_max: 1 << 30,
        pins: BTreeMap::new(),
    });
    let mut stdout = std::io::stdout().lock();
    for report in loader.scan().plugins() {
        let reason = report.reason.as_deref().unwrap_or_default();
        writeln!(stdout, "{:12} {:32} {reason}", report.state.to_string(), report.name)?;
    }
    Ok(())
}
