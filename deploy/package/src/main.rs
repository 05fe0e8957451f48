//! `package`: puts the host, its plugins, the starter model and all licences into one archive.
//!
//! `make dist` calls it on the folder that `make build` fills. It writes
//! `host-VERSION-OS-ARCH.tar.gz` and its checksum into that folder. Unpacked anywhere, the archive
//! runs: the host looks for plugins and the starter model beside itself.

mod archive;
mod contents;
mod licences;

use archive::{Archive, sha256};
use clap::Parser;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What a step can fail with: one line for people.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Makes an archive of a built host.
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder with the programs and `plugins`; the archive is written into it.
    built: PathBuf,
    /// The checkout, for licences, the starter model and the files of `deploy`.
    #[arg(long, default_value = ".")]
    checkout: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match package(&arguments.built, &arguments.checkout) {
        Ok(file) => {
            let _closed = writeln!(io::stdout(), "{}", file.display());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            let _closed = writeln!(io::stderr(), "error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn package(built: &Path, checkout: &Path) -> Result<PathBuf, Failure> {
    let name = format!(
        "host-{}-{}-{}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    let mut archive = Archive::new(&name);
    contents::collect(built, checkout, &mut archive)?;
    archive.add_text("THIRD-PARTY-LICENCES.txt", licences::third_party(checkout)?);
    let bytes = archive.pack()?;
    let file = built.join(format!("{name}.tar.gz"));
    let sum = format!("{}  {name}.tar.gz\n", sha256(&bytes));
    std::fs::write(&file, bytes).map_err(|error| format!("{}: {error}", file.display()))?;
    std::fs::write(built.join(format!("{name}.tar.gz.sha256")), sum)?;
    Ok(file)
}
