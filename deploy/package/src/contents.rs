//! What an archive of the host holds beside licences, and where.

use crate::Failure;
use crate::archive::Archive;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAMS: [&str; 3] = ["host", "host-join", "host-pull"];
/// Where completions of a shell are looked for, as the file is called there.
const COMPLETIONS: [(&str, &str); 3] =
    [("bash", "host.bash"), ("zsh", "_host"), ("fish", "host.fish")];
/// Files of the checkout that help to install the host, as folders of `deploy`.
const DEPLOY: [&str; 3] = ["systemd", "launchd", "windows"];

pub(crate) fn collect(built: &Path, checkout: &Path, archive: &mut Archive) -> Result<(), Failure> {
    let suffix = std::env::consts::EXE_SUFFIX;
    for name in PROGRAMS {
        let name = format!("{name}{suffix}");
        archive.add_program(&name, &built.join(&name))?;
    }
    add_folder(archive, "plugins", &built.join("plugins"))?;
    add_folder(archive, "models/starter", &checkout.join("models/starter"))?;
    for name in DEPLOY {
        add_folder(archive, &format!("deploy/{name}"), &checkout.join("deploy").join(name))?;
    }
    archive.add_file("LICENSE", &checkout.join("LICENSE"))?;
    let host = built.join(format!("host{suffix}"));
    for (shell, file) in COMPLETIONS {
        let text = output(Command::new(&host).args(["completions", shell]))?;
        archive.add_text(&format!("share/completions/{file}"), text);
    }
    let pages = built.join("man");
    output(Command::new(&host).arg("man").arg(&pages))?;
    add_folder(archive, "share/man/man1", &pages)
}

/// The files of a folder, without those of folders in it.
fn add_folder(archive: &mut Archive, name: &str, folder: &Path) -> Result<(), Failure> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    if files.is_empty() {
        return Err(format!("{}: no file in it", folder.display()).into());
    }
    for file in files {
        let own = file.file_name().unwrap_or_default().to_string_lossy();
        archive.add_file(&format!("{name}/{own}"), &file)?;
    }
    Ok(())
}

fn output(command: &mut Command) -> Result<Vec<u8>, Failure> {
    let done = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        return Err(format!("{command:?}: {}: {said}", done.status).into());
    }
    Ok(done.stdout)
}
